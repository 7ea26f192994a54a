"""From a point of a search space to the tuner that trains it."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
import torch

from lrsearch import EdgeSampler, enqueue
from lrsearch.exceptions import InvalidSpaceError, UnsupportedError
from lrsearch.schedules import Schedule
from lrsearch.search import FAMILY, MULTIPLIER, Engine, ScheduleSpace, TrialRecord
from lrsearch.search._evidence import evidence
from lrsearch.search._kinds import Kinds
from lrsearch.search._locate import Locator
from lrsearch.tuners import CDAT, CLARA, tuner_of

SPACE = ScheduleSpace(100, families=("cdat", "clara", "linear"), warmup=0.1)


def optimizer(lr: float = 0.5) -> torch.optim.Optimizer:
    w, v = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    return torch.optim.SGD([{"params": [w]}, {"params": [v], "lr": lr / 2}], lr)


def test_the_multiplier_is_sigma_in_units_of_the_edge() -> None:
    plan = SPACE.plan({FAMILY: "cdat", MULTIPLIER: 0.75}, 0.2)
    assert plan.parameters["sigma"] == pytest.approx(1.5)
    tuner = tuner_of(plan.schedule(), optimizer())
    assert isinstance(tuner, CDAT)
    assert (tuner.sigma, tuner.decay) == (1.5, 0.9)
    fixed = ScheduleSpace(100, families=("cdat",), parameters={"cdat.sigma": 1.9})
    assert fixed.plan({FAMILY: "cdat", MULTIPLIER: 0.75}, 0.2).parameters["sigma"] == 1.9


def test_clara_begins_at_the_peak_and_groups_keep_their_ratio() -> None:
    plan = SPACE.plan({FAMILY: "clara", MULTIPLIER: 1.0, "clara_damping": 0.002}, 0.2)
    made = optimizer()
    tuner = tuner_of(plan.schedule(), made)
    assert isinstance(tuner, CLARA)
    rates = [group["lr"] for group in made.param_groups]
    assert rates == pytest.approx([plan.peak, plan.peak / 2])


def test_tuners_have_no_warmup_in_a_space() -> None:
    assert SPACE.plan({FAMILY: "clara", MULTIPLIER: 1.0}, 0.2).warmup_steps == 0
    assert SPACE.plan({FAMILY: "linear", MULTIPLIER: 1.0}, 0.2).warmup_steps == 10


def test_a_plan_is_no_tuner() -> None:
    with pytest.raises(UnsupportedError, match=r"'linear' is no tuner .*cdat, clara"):
        tuner_of(Schedule("linear", 0.1, 10), optimizer())
    with pytest.raises(InvalidSpaceError, match="cdat, clara"):
        ScheduleSpace(100, families=("cdta",))


def test_what_a_tuner_lost_says_little_of_schedules() -> None:
    """The engine leaves the tuner that lost, and not the schedules beside it."""
    engine = Engine(SPACE, seed=0)
    records: list[TrialRecord] = []
    for number in range(12):
        values = engine.ask(number, records)
        loss = 1.0 if values[FAMILY] == "linear" else 3.0
        records.append(
            TrialRecord(number=number, state="complete", parameters=values, values=(loss,))
        )
    tried = [record.parameters[FAMILY] for record in records]
    assert tried.count("linear") >= 8
    assert tried[-4:] == ["linear"] * 4


def test_a_dear_tuner_must_promise_more() -> None:
    """Of two tuners of which nothing is known, the cheap one is tried first, and more often."""
    space = ScheduleSpace(100, families=("cdat", "clara"))
    assert {Engine(space, seed).ask(0, [])[FAMILY] for seed in range(5)} == {"clara"}
    engine, records = Engine(space, 0), list[TrialRecord]()
    rng = np.random.default_rng(0)
    for number in range(12):
        values = engine.ask(number, records)
        loss = (1.0 + 0.05 * float(rng.standard_normal()),)
        records.append(TrialRecord(number=number, state="complete", parameters=values, values=loss))
    tried = [record.parameters[FAMILY] for record in records]
    assert tried.count("cdat") < tried.count("clara")


def ended(number: int, family: str, multiplier: float, *, hot: bool = False) -> TrialRecord:
    return TrialRecord(
        number=number,
        state="stopped" if hot else "complete",
        side="hot" if hot else None,
        values=() if hot else (1.0,),
        parameters={FAMILY: family, MULTIPLIER: multiplier},
    )


def test_where_a_tuner_begins_says_nothing_of_where_schedules_diverge() -> None:
    locator = Locator(SPACE)
    at = locator.points([{FAMILY: "linear", MULTIPLIER: m} for m in (1.0, 4.0)])

    def holds(*records: TrialRecord) -> np.ndarray:
        return evidence(locator, Kinds().grown(records)).cliff.holds(at)

    hot = ended(0, "linear", 4.0, hot=True)
    tuners = [ended(i, "cdat", 6.0) for i in (1, 2)]
    tuners += [ended(i, "clara", 1.0, hot=True) for i in (3, 4)]
    np.testing.assert_array_equal(holds(hot, *tuners), holds(hot))
    np.testing.assert_array_equal(holds(*tuners), holds())
    own = locator.points([{FAMILY: "clara", MULTIPLIER: 1.0}])
    burnt, before = (evidence(locator, Kinds().grown(seen)).cliff for seen in (tuners, []))
    assert burnt.holds(own)[0] < before.holds(own)[0] / 2


def test_a_rate_is_not_enqueued_for_a_tuner_that_no_peak_sets() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0))
    for wanted in ({"family": "cdat"}, {"family": "cdat", "sigma": 2.0}, {}):
        with pytest.raises(InvalidSpaceError, match="sigma follows from the multiplier"):
            enqueue(study, 0.1, **wanted)
    assert not study.trials
    enqueue(study, 0.1, "clara")
    trial = study.ask()
    assert SPACE.suggest(trial, 0.2).peak == pytest.approx(0.1)


def test_a_loss_without_a_second_derivative_goes_forward_only() -> None:
    space = ScheduleSpace(100, families=("cdat",), parameters={"cdat.curvature": "forward"})
    tuner = tuner_of(space.plan({FAMILY: "cdat", MULTIPLIER: 0.5}, 0.2).schedule(), optimizer())
    assert isinstance(tuner, CDAT)
    assert (tuner.curvature, tuner.sigma) == ("forward", 1.0)
