"""`EdgeSearcher` as Tune calls it: a study that knows how every trial went and ended."""

from __future__ import annotations

import math
from typing import Any

import pytest
from optuna.trial import TrialState

pytest.importorskip("ray")
from ray import cloudpickle
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.search_generator import SearchGenerator

from lrsearch import ScheduleSpace
from lrsearch.integrations.optuna import (
    ATTEMPTS_KEY,
    COST_KEY,
    ERROR_KEY,
    edge_key,
    readings_of,
    stored_edge,
    verdict_of,
)
from lrsearch.integrations.optuna._attributes import reading_key
from lrsearch.integrations.ray import CONFIG_KEY, START_KEY, EdgeSearcher
from lrsearch.stability import Edge, Reading, Verdict

BUDGET = 50
SPACE = ScheduleSpace(budget=BUDGET, families=("linear", "wsd"))
OURS = {d.name for d in SPACE.dimensions()}
EDGE = Edge.known(0.1)


def made(**options: Any) -> EdgeSearcher:
    plain = {"metric": "loss", "edge": EDGE, "seed": 3}
    return EdgeSearcher(SPACE, **plain | options)


pytestmark = pytest.mark.usefixtures("boards")


def result(step: int, iteration: int, *pairs: tuple[str, Any], **metrics: Any) -> dict[str, Any]:
    record = {"training_iteration": iteration, "lrsearch_step": step, "lrsearch": pairs}
    return record | metrics


def whole(searcher: EdgeSearcher, trial_id: str, loss: float, iteration: int = 1) -> None:
    """A trial whose training function comes to its end, as Tune tells of it."""
    last = result(BUDGET, iteration, loss=loss)
    searcher.on_trial_result(trial_id, last)
    searcher.on_trial_complete(trial_id=trial_id, result=last | {"done": True}, error=False)


READ = Reading(step=20, learning_rate=0.1, loss=1.0)
START = {"host": "node", "pid": 7, "step": 0}


def test_what_a_result_brings_is_recorded_once() -> None:
    searcher = made(edge=None)
    searcher.suggest("a")
    measured = Edge.known(0.3)
    told = result(
        20,
        1,
        (START_KEY, START),
        (edge_key("curve", "SGD"), measured.to_dict()),
        (reading_key(20), READ.to_dict()),
        (COST_KEY, {"steps": 20.0, "watch": 1.0}),
    )
    searcher.on_trial_result("a", told)
    searcher.on_trial_result("a", told)
    kept = searcher.study.get_trials()[0].user_attrs
    assert readings_of(kept) == [READ]
    assert kept[ATTEMPTS_KEY] == [START]
    assert kept[COST_KEY] == {"steps": 20.0, "watch": 1.0}
    assert stored_edge(searcher.study, edge_key("curve", "SGD")) == measured
    again = result(20, 2, (START_KEY, START | {"pid": 8, "step": 20}))
    searcher.on_trial_result("a", again)
    searcher.on_trial_complete(trial_id="a", result=again, error=True)
    kept = searcher.study.get_trials()[0].user_attrs
    assert [a["pid"] for a in kept[ATTEMPTS_KEY]] == [7, 8]


def test_one_key_has_one_edge() -> None:
    searcher = made(edge=None)
    name = edge_key("curve", "SGD")
    for trial_id, rate in (("a", 0.3), ("b", 0.7)):
        searcher.suggest(trial_id)
        searcher.on_trial_result(trial_id, result(1, 1, (name, Edge.known(rate).to_dict())))
    assert stored_edge(searcher.study, name) == Edge.known(0.3)


def test_results_of_trials_that_are_not_ours_are_left_alone() -> None:
    searcher = made()
    searcher.on_trial_result("stranger", result(1, 1, ("a", 1), loss=1.0))
    searcher.on_trial_complete(trial_id="stranger", result=None, error=True)
    assert searcher.study.get_trials() == []


STOPPED = Verdict(stop=True, regime="dead", step=20, reason="dead: no gradient")


@pytest.mark.parametrize(
    ("last", "seen", "error", "told", "state", "words"),
    [
        # The last result again, told as the end: the training function has come to its end.
        (result(BUDGET, 2, loss=0.5), True, False, None, "COMPLETE", None),
        # A result on which a trial scheduler stops is told as the end alone.
        (result(20, 2, loss=0.5), False, False, None, "PRUNED", "trial scheduler at step 20"),
        (result(20, 2), False, False, None, "PRUNED", "trial scheduler at step 20"),
        (None, False, False, None, "PRUNED", "stopped by Tune's trial scheduler at step 0"),
        (result(BUDGET, 2, loss=0.5), False, False, None, "COMPLETE", None),  # at its last step
        (result(20, 2), False, False, STOPPED, "PRUNED", "dead: no gradient"),
        (result(BUDGET, 2, loss=math.nan), True, False, None, "PRUNED", "loss is not finite"),
        (result(BUDGET, 2, loss=math.inf), True, False, None, "PRUNED", "loss is not finite"),
        (result(BUDGET, 2), True, False, None, "PRUNED", "was not reported"),
        (None, False, True, None, "FAIL", "Tune's error.txt"),
        (None, False, True, "ActorDiedError: gone", "FAIL", "ActorDiedError: gone"),
        (result(9, 2, (ERROR_KEY, "KeyError: 1")), False, False, None, "FAIL", "KeyError: 1"),
    ],
)
def test_the_study_says_how_a_trial_ended(last, seen, error, told, state, words) -> None:
    searcher = made()
    searcher.suggest("a")
    searcher.on_trial_result("a", result(10, 1))
    if seen:
        searcher.on_trial_result("a", last)
    if isinstance(told, Verdict):
        searcher.stopping("a", told)
    elif told is not None:
        searcher.failing("a", told)
    searcher.on_trial_complete(trial_id="a", result=last, error=error)
    (trial,) = searcher.study.get_trials()
    assert trial.state.name == state
    assert trial.values == ([0.5] if state == "COMPLETE" else None)
    verdict, failure = verdict_of(trial.user_attrs), trial.user_attrs.get(ERROR_KEY)
    if state == "PRUNED":
        assert verdict is not None
        assert words in verdict.reason
        assert verdict.step == ((last or {}).get("lrsearch_step") or 0)
    elif state == "FAIL":
        assert words in failure
    else:
        assert (verdict, failure) == (None, None)


def test_the_workers_own_verdict_stands() -> None:
    searcher = made()
    searcher.suggest("a")
    last = result(20, 1, ("lrsearch:verdict", STOPPED.to_dict()), done=True)
    searcher.on_trial_complete(trial_id="a", result=last, error=False)
    (trial,) = searcher.study.get_trials()
    assert (trial.state, verdict_of(trial.user_attrs)) == (TrialState.PRUNED, STOPPED)


def test_through_tunes_wrappers_the_end_arrives() -> None:
    """Tune calls by keyword: an argument of another name would end the experiment."""
    searcher = made()
    generator = SearchGenerator(ConcurrencyLimiter(searcher, max_concurrent=1))
    limiter = generator.searcher
    assert limiter.suggest("a")[CONFIG_KEY]["number"] == 0
    assert limiter.suggest("b") is None  # later
    last = result(BUDGET, 1, loss=0.5)
    generator.on_trial_result("a", last)
    generator.on_trial_complete("a", last, error=False)
    assert searcher.study.get_trials()[0].values == [0.5]
    assert limiter.suggest("b")[CONFIG_KEY]["number"] == 1


@pytest.mark.parametrize("reading", [True, False])
@pytest.mark.parametrize("end", ["whole", "stopped", "failed"])
def test_what_another_has_ended_stays_ended(end: str, reading: bool) -> None:
    """From optuna-dashboard, say, while it runs."""
    searcher = made()
    searcher.suggest("a")
    searcher.study.tell(0, 0.9)
    if reading:
        searcher.on_trial_result("a", result(20, 1, (reading_key(20), READ.to_dict())))
    if end == "whole":
        whole(searcher, "a", 0.5, iteration=2)
    else:
        searcher.on_trial_complete(trial_id="a", result=result(20, 2), error=end == "failed")
    (trial,) = searcher.study.get_trials()
    assert (trial.state, trial.values) == (TrialState.COMPLETE, [0.9])
    assert not {ERROR_KEY, "lrsearch:verdict", reading_key(20)} & set(trial.user_attrs)


def test_it_travels() -> None:
    searcher = made(edge=None)
    searcher.suggest("a")
    searcher.finished_when = lambda: True
    copy = cloudpickle.loads(cloudpickle.dumps(searcher))
    assert copy.experiment == searcher.experiment
    assert copy.suggest("b")[CONFIG_KEY]["number"] == 1  # begins with no open trial of its own
    copy.on_trial_complete(trial_id="a", result=None, error=True)
    assert copy.study.get_trials()[0].state == TrialState.RUNNING
