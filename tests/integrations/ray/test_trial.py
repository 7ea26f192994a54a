"""`RayTrial`: the point of a config, and a watch's host, as Tune's worker sees a trial."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("ray")

import lrsearch
from lrsearch import ScheduleSpace
from lrsearch.exceptions import RunStopped, UnsupportedError
from lrsearch.integrations.optuna import VERDICT_KEY, plan_of, readings_of, verdict_of
from lrsearch.integrations.ray import CONFIG_KEY, START_KEY, RayTrial, pairs_of, step_of, watch
from lrsearch.search import FAMILY, MULTIPLIER, PLAN_KEY, RATE_KEY, Plan
from lrsearch.stability import CONTINUE, Host, Reading, Verdict

BUDGET = 60
SPACE = ScheduleSpace(budget=BUDGET, families=("linear", "wsd"))
POINT = {FAMILY: "wsd", "wsd_cooldown": 0.25, "wsd_shape": "linear", MULTIPLIER: 2.0}
READING = Reading(step=20, learning_rate=0.1, budget=BUDGET, peak=0.2, loss=1.0, initial_loss=2.0)


def point(**changes: Any) -> dict[str, Any]:
    """A config with every dimension of the space at its low end, but for these."""
    plain = {d.name: d.choices[0] if d.choices else d.low for d in SPACE.dimensions()}
    return plain | {FAMILY: "linear", MULTIPLIER: 2.0} | changes


# The point


def test_the_schedule_is_that_of_the_config() -> None:
    config = point(**{FAMILY: "wsd", "wsd_cooldown": 0.25, MULTIPLIER: 0.5, "width": 8})
    trial = RayTrial(config)
    schedule = SPACE.suggest(trial, 0.4)
    expected = SPACE.plan(config, 0.4)
    assert (schedule.family, schedule.peak) == ("wsd", expected.peak)
    assert schedule.parameters["cooldown"] == 0.25
    assert trial.plan == expected
    assert (trial.budget, trial.peak) == (BUDGET, expected.peak)


def test_before_a_schedule_there_is_no_plan() -> None:
    trial = RayTrial({})
    assert (trial.plan, trial.budget, trial.peak, trial.number) == (None, None, None, None)
    assert RayTrial({CONFIG_KEY: {"number": 7}}).number == 7


def test_it_is_a_host() -> None:
    assert isinstance(RayTrial({}), Host)


@pytest.mark.parametrize("missing", [FAMILY, MULTIPLIER])
def test_a_config_without_our_dimensions_is_told_where_to_put_them(missing: str) -> None:
    config = {name: value for name, value in point().items() if name != missing}
    with pytest.raises(UnsupportedError, match=f"no '{missing}'.*EdgeSearcher.*param_space"):
        SPACE.suggest(RayTrial(config), 0.1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({FAMILY: "rex"}, rf"{FAMILY} is 'rex', and the space has \['linear', 'wsd'\]"),
        ({MULTIPLIER: 8.1}, rf"{MULTIPLIER} is 8.1, outside \[0.125, 8.0\]"),
        ({MULTIPLIER: 0.1}, rf"{MULTIPLIER} is 0.1, outside"),
        ({MULTIPLIER: math.nan}, rf"{MULTIPLIER} is nan, outside"),
    ],
)
def test_a_value_outside_the_space_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{words}.*same ScheduleSpace"):
        SPACE.suggest(RayTrial(point(**change)), 0.1)


@pytest.mark.parametrize("end", [0.125, 8.0])
def test_the_last_digit_of_a_bound_is_not_outside(end: float) -> None:
    value = math.nextafter(end, math.copysign(math.inf, end - 1.0))
    assert RayTrial(point(**{MULTIPLIER: value})).suggest_float(MULTIPLIER, 0.125, 8.0) == value


def test_numbers_come_as_floats() -> None:
    assert type(RayTrial({MULTIPLIER: 2}).suggest_float(MULTIPLIER, 0.125, 8.0)) is float


def test_a_requested_rate_makes_the_multiplier_whatever_the_bounds() -> None:
    trial = RayTrial(point() | {CONFIG_KEY: {"rate": 5.0}})
    assert trial.user_attrs == {RATE_KEY: 5.0}
    assert SPACE.suggest(trial, 0.01).peak == pytest.approx(5.0)
    assert trial.plan is not None
    assert trial.plan.multiplier > SPACE.multiplier[1]


def test_a_known_rates_multiplier_may_lie_outside_too() -> None:
    """What the searcher worked out of a rate where it knows the edge."""
    config = point(**{MULTIPLIER: 100.0}) | {CONFIG_KEY: {"rate": 5.0}}
    assert RayTrial(config).suggest_float(MULTIPLIER, 0.125, 8.0) == 100.0
    with pytest.raises(UnsupportedError, match="outside"):
        RayTrial(config | {"wsd_cooldown": 2.0}).suggest_float("wsd_cooldown", 0.1, 0.5)


# What travels


def test_the_first_result_tells_where_the_attempt_began(results) -> None:
    RayTrial({}, resumed_from=12).report({"loss": 1.5})
    (result,) = results
    assert (result["loss"], step_of(result)) == (1.5, 12)
    ((key, start),) = pairs_of(result)
    assert key == START_KEY
    assert (start["pid"], start["step"]) == (os.getpid(), 12)


def test_attributes_travel_with_the_next_result_exactly_once(results) -> None:
    trial = RayTrial({})
    trial.report({})
    trial.set_user_attr("a", 1)
    trial.set_user_attr("b", {"nested": [1, 2]})
    assert len(results) == 1
    trial.report({})
    trial.set_user_attr("a", 2)
    trial.report({})
    trial.report({})
    assert [pairs_of(r) for r in results[1:]] == [
        (("a", 1), ("b", {"nested": [1, 2]})),
        (("a", 2),),
        (),
    ]
    assert trial.user_attrs == {"a": 2, "b": {"nested": [1, 2]}}


def test_what_travels_is_a_tuple() -> None:
    """Tune flattens dicts, and its TensorBoard logger takes lists for histograms."""
    assert type(pairs_of({"lrsearch": (("a", 1),)})) is tuple
    assert pairs_of({"lrsearch": [["a", 1]]}) == (("a", 1),)  # read back from JSON
    assert pairs_of({}) == pairs_of(None) == pairs_of({"lrsearch": None}) == ()
    assert (step_of(None), step_of({}), step_of({"lrsearch_step": 3.0})) == (None, None, 3)


def test_a_plan_travels_as_the_study_keeps_it(results) -> None:
    trial = RayTrial(point())
    SPACE.suggest(trial, 0.1)
    trial.report({})
    found = dict(pairs_of(results[0]))
    assert Plan.from_dict(found[PLAN_KEY]) == trial.plan == plan_of(found)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_metric_that_is_not_finite_is_left_out(results, bad: float) -> None:
    RayTrial({}).report({"loss": bad, "accuracy": 0.5, "epoch": 3, "name": "x", "done": True})
    (result,) = results
    assert "loss" not in result
    assert (result["accuracy"], result["epoch"], result["name"]) == (0.5, 3, "x")
    assert result["done"] is True


def test_a_checkpoint_goes_with_its_result(results) -> None:
    RayTrial({}).report({"loss": 1.0}, checkpoint="a checkpoint")
    assert results[0]["checkpoint"] == "a checkpoint"


def test_every_reading_is_one_result(results) -> None:
    trial = RayTrial({})
    later = replace(READING, step=30)
    trial.emit(READING)
    trial.emit(later)
    assert [step_of(r) for r in results] == [20, 30]
    assert [readings_of(dict(pairs_of(r))) for r in results] == [[READING], [later]]
    assert all(set(r) == {"lrsearch", "lrsearch_step"} for r in results)  # no metric


# The end


def test_it_stops_nothing_but_what_is_no_longer_finite() -> None:
    trial = RayTrial({})
    assert trial.decide([]) is CONTINUE
    exploded = replace(READING, loss=1e6)
    assert trial.decide([READING, exploded]) is CONTINUE  # for the trial scheduler to say
    verdict = trial.decide([READING, replace(READING, step=30, loss=None, finite=False)])
    assert (verdict.stop, verdict.regime, verdict.step) == (True, "diverged", 30)


def test_to_stop_is_to_report_the_verdict_and_be_done(results) -> None:
    trial = RayTrial({})
    verdict = Verdict(stop=True, regime="diverged", side="hot", step=30, reason="diverged: so")
    with pytest.raises(RunStopped, match="diverged: so"):
        trial.stop(verdict)
    (result,) = results
    assert result["done"] is True
    assert verdict_of(dict(pairs_of(result))) == verdict
    assert set(dict(pairs_of(result))) == {START_KEY, VERDICT_KEY}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_run_that_turns_nan_ends_itself_under_any_trial_scheduler(results, bad: float) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batches = [torch.randn(8, 3) for _ in range(4)]

    def loss_fn(model: nn.Module, batch: Any) -> torch.Tensor:
        return model(batch).square().mean()

    trial, done = RayTrial(point()), 0
    SPACE.suggest(trial, 0.01)
    with pytest.raises(RunStopped, match="diverged"):
        with watch(model, optimizer, loss_fn, trial=trial) as watching:
            for batch in islice(cycle(batches), BUDGET):
                optimizer.zero_grad()
                loss = loss_fn(model, batch) * (bad if done >= BUDGET // 2 else 1.0)
                loss.backward()
                optimizer.step()
                done += 1
                watching.step(loss, batch)
    assert done < BUDGET
    verdict = verdict_of(dict(pairs_of(results[-1])))
    assert verdict is not None
    assert (verdict.regime, verdict.step) == ("diverged", done)
    assert [r.get("done") for r in results] == [*[None] * (len(results) - 1), True]
    readings = [r for result in results for r in readings_of(dict(pairs_of(result)))]
    assert [r.step for r in readings] == [r.step for r in watching.readings]
    assert len(readings) == len(results) - 1  # each its own result, then the end


def test_a_watched_run_reports_its_readings_to_the_end(results) -> None:
    assert lrsearch.integrations.ray.trial({}, resumed_from=4).step == 4
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    trial, batch = RayTrial({}), torch.randn(8, 3)
    with watch(
        model, optimizer, lambda m, b: m(b).square().mean(), trial=trial, budget=BUDGET
    ) as watching:
        for _ in range(BUDGET):
            optimizer.zero_grad()
            loss = model(batch).square().mean()
            loss.backward()
            optimizer.step()
            watching.step(loss, batch)
    assert len(results) == len(watching.readings) > 4
    assert not any("done" in r for r in results)
    assert trial.step == watching.readings[-1].step
