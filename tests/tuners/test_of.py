"""From a point of a search space to the tuner that trains it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrsearch.exceptions import InvalidSpaceError, UnsupportedError
from lrsearch.schedules import Schedule
from lrsearch.search import FAMILY, MULTIPLIER, Engine, ScheduleSpace, TrialRecord
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
