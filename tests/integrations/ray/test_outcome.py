"""How a Tune trial ended: every way, as the study says it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from optuna.trial import TrialState

pytest.importorskip("ray")

from lrsearch.integrations.optuna import ERROR_KEY, VERDICT_KEY
from lrsearch.integrations.optuna._attributes import reading_key
from lrsearch.integrations.ray._outcome import Outcome, by_itself, outcome_of
from lrsearch.integrations.ray._record import STEP_KEY
from lrsearch.search import PLAN_KEY, ScheduleSpace
from lrsearch.stability import Reading, Verdict

BUDGET = 50
SPACE = ScheduleSpace(budget=BUDGET, families=("linear",))
PLAN = {PLAN_KEY: SPACE.plan({"schedule_family": "linear", "edge_multiplier": 1.0}, 0.1).to_dict()}
OURS = Verdict(stop=True, regime="diverged", side="hot", step=12, reason="diverged: ours")
STATED = Verdict(stop=True, regime="dead", step=11, reason="dead: stated")
READ = {reading_key(step): Reading(step=step, learning_rate=0.1).to_dict() for step in (8, 24)}


def ended(
    result: dict[str, Any] | None,
    attributes: dict[str, Any] | None = None,
    *,
    error: bool = False,
    by_itself: bool = False,
    **told: Any,
) -> Outcome:
    return outcome_of(
        result, attributes or {}, metric="loss", error=error, by_itself=by_itself, **told
    )


def at(step: int, **metrics: Any) -> dict[str, Any]:
    return {"training_iteration": 3, STEP_KEY: step, **metrics}


def bare(**metrics: Any) -> dict[str, Any]:
    """A result of a training function that does not count steps."""
    return {"training_iteration": 3, **metrics}


# Failed


@pytest.mark.parametrize(
    ("attributes", "told", "words"),
    [
        ({ERROR_KEY: "KeyError: 'x'"}, {"failure": "the process died"}, "KeyError: 'x'"),
        ({}, {"failure": "the process died"}, "the process died"),
        ({}, {}, "failed in Ray; Tune's error.txt of this trial tells why"),
    ],
)
def test_a_failure_says_what_is_known_of_it_best_first(attributes, told, words: str) -> None:
    found = ended(at(20, loss=1.0), attributes, error=True, by_itself=True, **told)
    assert found == Outcome(state=TrialState.FAIL, failure=words)


def test_a_stated_error_is_a_failure_though_tune_calls_it_the_end() -> None:
    found = ended(at(BUDGET, loss=1.0), {ERROR_KEY: "OSError: disk"} | PLAN, by_itself=True)
    assert found == Outcome(state=TrialState.FAIL, failure="OSError: disk")


def test_a_failure_that_was_recovered_from_is_none() -> None:
    found = ended(at(BUDGET, loss=1.0), by_itself=True, failure="the process died once")
    assert found == Outcome(state=TrialState.COMPLETE, value=1.0)


@pytest.mark.parametrize("attributes", [{}, PLAN])
def test_a_training_function_that_reports_nothing_has_failed(attributes) -> None:
    found = ended({"trial_id": "a", "done": True}, attributes)
    assert found.state == TrialState.FAIL
    assert found.failure == "ended without a result: report 'loss' with trial.report"


# Pruned


@pytest.mark.parametrize(
    ("attributes", "told", "verdict"),
    [
        ({}, {"verdict": OURS}, OURS),
        ({VERDICT_KEY: STATED.to_dict()}, {}, STATED),
        ({VERDICT_KEY: STATED.to_dict()}, {"verdict": OURS}, OURS),
        ({VERDICT_KEY: STATED.to_dict()} | PLAN, {}, STATED),
    ],
)
@pytest.mark.parametrize("by_itself", [False, True])
def test_a_verdict_is_pruned_with_its_reason(attributes, told, verdict, by_itself: bool) -> None:
    found = ended(at(BUDGET, loss=0.1), attributes, by_itself=by_itself, **told)
    assert found == Outcome(state=TrialState.PRUNED, verdict=verdict)


@pytest.mark.parametrize(
    ("result", "attributes", "step"),
    [
        (at(20, loss=0.5), {}, 20),
        (at(20, loss=0.5), PLAN, 20),
        (at(BUDGET - 1, loss=0.5), PLAN, BUDGET - 1),
        (at(20, loss=math.nan), PLAN, 20),
        (bare(loss=0.5), READ, 24),
        (bare(loss=0.5), {}, 0),
        (None, READ | PLAN, 24),
        (None, {}, 0),
    ],
)
def test_stopped_by_tune_is_pruned_with_its_step_not_complete(result, attributes, step) -> None:
    found = ended(result, attributes)
    assert (found.state, found.value) == (TrialState.PRUNED, None)
    assert found.verdict is not None
    assert (found.verdict.regime, found.verdict.step) == ("host", step)
    assert (found.verdict.stop, found.verdict.side) == (True, None)
    assert found.verdict.reason == f"stopped by Tune's trial scheduler at step {step}"


@pytest.mark.parametrize(
    "metrics", [{"loss": math.nan}, {"loss": math.inf}, {"loss": None}, {}, {"other": 1.0}]
)
def test_a_whole_run_without_a_number_is_diverged(metrics: dict[str, Any]) -> None:
    found = ended(at(BUDGET, **metrics), PLAN, by_itself=True)
    assert (found.state, found.value) == (TrialState.PRUNED, None)
    assert found.verdict is not None
    assert (found.verdict.regime, found.verdict.side) == ("diverged", "hot")
    assert found.verdict.step == BUDGET
    assert found.verdict.reason == "diverged: loss is not finite, or was not reported"


# Complete


@pytest.mark.parametrize(
    ("result", "attributes", "by_itself"),
    [
        (at(20, loss=0.5), {}, True),  # a training function of its own, without a plan
        (bare(loss=0.5), {}, True),
        (at(20, loss=0.5), PLAN, True),  # it may end before its budget if it likes
        (at(BUDGET, loss=0.5), PLAN, False),  # stopped at the last step: it is whole
        (at(BUDGET + 1, loss=0.5), PLAN, False),
        (at(20, loss=0.5, other=math.nan), {}, True),
    ],
)
def test_a_whole_run_is_complete_with_its_metric(result, attributes, by_itself: bool) -> None:
    found = ended(result, attributes, by_itself=by_itself)
    assert found == Outcome(state=TrialState.COMPLETE, value=0.5)


@pytest.mark.parametrize("metric", [1, True + 0])
def test_the_value_is_a_float(metric: Any) -> None:
    assert type(ended(bare(loss=metric), by_itself=True).value) is float


@pytest.mark.parametrize(
    ("result", "seen", "expected"),
    [
        ({"training_iteration": 4, "done": True}, 4, True),
        ({"training_iteration": 4, "done": True}, 3, False),  # stopped on its last result
        ({"training_iteration": 4, "done": False}, 4, False),  # stopped after it was told
        ({"training_iteration": 4}, 4, False),
        ({"done": True}, None, False),
        (None, 4, False),
    ],
)
def test_only_a_last_result_told_twice_and_done_is_an_end(result, seen, expected) -> None:
    assert by_itself(result, seen) is expected
