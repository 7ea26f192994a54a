"""`StabilityTrialScheduler`: the verdicts of `decide`, under Tune's own words for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")
import ray
from ray import cloudpickle
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.search_generator import SearchGenerator

from lrsearch import ScheduleSpace
from lrsearch.integrations.optuna import ERROR_KEY, verdict_of
from lrsearch.integrations.optuna._attributes import reading_key
from lrsearch.integrations.ray import EdgeSearcher, StabilityTrialScheduler
from lrsearch.integrations.ray import _scheduler as scheduler_module
from lrsearch.search import FAMILY, MULTIPLIER, PLAN_KEY, decide
from lrsearch.stability import Reading, Verdict

BUDGET = 1000
SPACE = ScheduleSpace(budget=BUDGET, families=("linear",))
PLAN = SPACE.plan({FAMILY: "linear", MULTIPLIER: 1.0}, 0.5)
STOP, CONTINUE = TrialScheduler.STOP, TrialScheduler.CONTINUE


def run(**changes: Any) -> list[Reading]:
    common = {
        "learning_rate": 0.5,
        "loss": 1.8,
        "initial_loss": 2.0,
        "gradient_norm": 1.0,
        "sharpness": 2.0,
        "threshold": 2.0,
    }
    return [Reading(step=step, **common | changes) for step in range(50, 501, 50)]


def from_half(readings: list[Reading], **changes: Any) -> list[Reading]:
    half = len(readings) // 2
    return [*readings[:half], *(replace(r, **changes) for r in readings[half:])]


RUNS = {
    "healthy": run(),
    "exploding": from_half(run(), loss=50.0),
    "not finite": from_half(run(), loss=None, finite=False),
    "dead": from_half(run(), gradient_norm=1e-6),
    "cold": run(sharpness=0.1),
}


class Controller:
    """Of Tune's controller, what a trial scheduler may look at."""

    def __init__(self, searcher: Any = None) -> None:
        self.search_alg = searcher or SimpleNamespace()  # one that need not listen
        self.trials: list[Any] = []

    def get_trials(self) -> list[Any]:
        return self.trials

    get_live_trials = get_trials


def trial(name: str = "a", **config: Any) -> Trial:
    return Trial("function", stub=True, trial_id=name, config=config)


def told(readings: list[Reading], **metrics: Any) -> list[dict[str, Any]]:
    """Results as they arrive: one reading each, the plan with the first."""
    found = []
    for iteration, reading in enumerate(readings, 1):
        pairs = ((reading_key(reading.step), reading.to_dict()),)
        if iteration == 1:
            pairs = ((PLAN_KEY, PLAN.to_dict()), *pairs)
        found.append({"training_iteration": iteration, "lrsearch_step": reading.step, **metrics})
        found[-1]["lrsearch"] = pairs
    return found


def begun(**options: Any) -> tuple[StabilityTrialScheduler, Trial]:
    scheduler, one = StabilityTrialScheduler(**options), trial()
    assert scheduler.set_search_properties("loss", "min")
    scheduler.on_trial_add(Controller(), one)
    return scheduler, one


# Its verdicts


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("where", ["result", "config"])
def test_its_verdicts_are_those_of_decide(kind: str, where: str) -> None:
    """With the plan from the first result, or from our searcher's config."""
    scheduler, one = begun()
    results = told(RUNS[kind])
    if where == "config":
        one.config["lrsearch"] = {"plan": PLAN.to_dict()}
        results[0]["lrsearch"] = results[0]["lrsearch"][1:]
    said = [scheduler.on_trial_result(Controller(), one, result) for result in results]
    expected = [
        STOP if decide(RUNS[kind][: n + 1], plan=PLAN).stop else CONTINUE
        for n in range(len(results))
    ]
    assert said == expected
    assert (STOP in said) is (kind != "healthy")
    assert scheduler.stopped == said.count(STOP)
    assert f"stopped {said.count(STOP)}" in scheduler.debug_string()


def test_trials_are_judged_apart() -> None:
    scheduler, sick = begun()
    sound = trial("b")
    scheduler.on_trial_add(Controller(), sound)
    said: dict[str, list[str]] = {"a": [], "b": []}
    for bad, good in zip(told(RUNS["exploding"]), told(RUNS["healthy"]), strict=True):
        said["a"].append(scheduler.on_trial_result(Controller(), sick, bad))
        said["b"].append(scheduler.on_trial_result(Controller(), sound, good))
    assert STOP in said["a"]
    assert STOP not in said["b"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_metric_that_is_not_finite_stops_a_trial_with_readings_or_without(bad: Any) -> None:
    searcher = Told()
    for pairs, step in (((), 0), (((reading_key(50), run()[0].to_dict()),), 50)):
        scheduler, one = begun()
        said = scheduler.on_trial_result(
            Controller(searcher), one, {"loss": bad, "lrsearch": pairs}
        )
        assert said == STOP
        name, verdict = searcher.said.pop()
        assert (name, verdict.regime, verdict.step) == ("a", "diverged", step)
        assert f"loss is {bad}" in verdict.reason


@pytest.mark.parametrize("result", [{"loss": 1.0}, {"loss": None}, {}, {"other": math.nan}])
def test_whatever_else_a_training_function_reports_goes_on(result: dict[str, Any]) -> None:
    scheduler, one = begun()
    assert scheduler.on_trial_result(Controller(), one, result) == CONTINUE


class Told:
    """A searcher that is told why a trial is stopped or given up."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def stopping(self, trial_id: str, verdict: Verdict) -> None:
        self.said.append((trial_id, verdict))

    failing = stopping


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_our_searcher_is_told_through_what_tune_wraps_around_it(layers: int) -> None:
    searcher = EdgeSearcher(SPACE, metric="loss", edge=0.5, seed=1)
    given: Any = ConcurrencyLimiter(searcher, max_concurrent=4) if layers == 2 else searcher
    controller = Controller(SearchGenerator(given) if layers else given)
    scheduler, one = begun()
    given.suggest("a")
    for result in told(RUNS["exploding"]):
        if scheduler.on_trial_result(controller, one, result) == STOP:
            break
        searcher.on_trial_result("a", result)
    given.on_trial_complete(trial_id="a", result=result, error=False)
    (frozen,) = searcher.study.get_trials()
    seen = result["training_iteration"]
    assert frozen.state.name == "PRUNED"
    assert verdict_of(frozen.user_attrs) == decide(RUNS["exploding"][:seen], plan=PLAN)


@pytest.mark.parametrize("attribute", ["search_alg", "_search_alg"])
def test_our_searcher_is_told_why_a_trial_is_given_up(attribute: str) -> None:
    """Tune passes a wrapper of its controller, or the controller itself."""
    searcher = EdgeSearcher(SPACE, metric="loss", edge=0.5, seed=1)
    scheduler, one = begun()
    searcher.suggest("a")
    one.get_error = lambda: OSError("trace\n\n  no space left on device  \n")
    scheduler.on_trial_error(SimpleNamespace(**{attribute: searcher}), one)
    searcher.on_trial_complete(trial_id="a", result=None, error=True)
    (frozen,) = searcher.study.get_trials()
    assert frozen.user_attrs[ERROR_KEY] == "OSError: no space left on device"


def test_other_searchers_need_not_listen() -> None:
    scheduler, one = begun()
    scheduler.on_trial_error(Controller(SimpleNamespace()), one)
    said = [scheduler.on_trial_result(Controller(), one, r) for r in told(RUNS["dead"])]
    assert STOP in said


def test_searchers_that_want_a_metric_in_every_result_get_one() -> None:
    """Tune's OptunaSearch ends the experiment with a KeyError otherwise."""
    heard: list[dict[str, Any]] = []

    class Inner(ASHAScheduler):
        def on_trial_result(self, tune_controller: Any, trial: Trial, result: Any) -> str:
            heard.append(dict(result))
            return super().on_trial_result(tune_controller, trial, result)

    scheduler, one = begun(wrapped=Inner())
    reading, metric = told(RUNS["healthy"])[0], {"training_iteration": 2, "loss": 0.5}
    for result in (reading, metric):
        assert scheduler.on_trial_result(Controller(), one, result) == CONTINUE
    assert math.isnan(reading["loss"])
    assert metric["loss"] == 0.5
    assert ["loss" in result for result in heard] == [False, True]


# A trial scheduler inside


def asha() -> ASHAScheduler:
    return ASHAScheduler(max_t=16, grace_period=1, reduction_factor=2)


def test_a_wrapped_asha_is_asked_and_its_word_counts() -> None:
    scheduler, alone = StabilityTrialScheduler(asha()), asha()
    assert scheduler.set_search_properties("loss", "min")
    assert alone.set_search_properties("loss", "min")
    assert scheduler.metric == "loss"
    said, expected = [], []
    for name, loss in (("a", 0.1), ("b", 0.9), ("c", 0.05), ("d", 0.5)):
        one, result = trial(name), {"training_iteration": 1, "loss": loss}
        for each, words in ((scheduler, said), (alone, expected)):
            each.on_trial_add(Controller(), one)
            words.append(each.on_trial_result(Controller(), one, result))
    assert said == expected
    assert STOP in said
    assert scheduler.wrapped.debug_string() == alone.debug_string()
    assert alone.debug_string() in scheduler.debug_string()


def test_where_we_stop_a_run_asha_is_not_asked() -> None:
    """A run that is to end says nothing of where the cut for others should be."""
    scheduler = StabilityTrialScheduler(asha())
    scheduler.set_search_properties("loss", "min")
    one = trial()
    scheduler.on_trial_add(Controller(), one)
    for result in told(RUNS["not finite"], loss=0.5):
        if scheduler.on_trial_result(Controller(), one, result) == STOP:
            break
    last = result["training_iteration"]
    assert last > 4
    (bracket,) = scheduler.wrapped._brackets
    assert {m for m, recorded in bracket._rungs if recorded} == {1, 2, 4}


@pytest.mark.parametrize("call", ["on_trial_complete", "on_trial_remove", "on_trial_error"])
def test_the_inner_one_hears_of_every_end(call: str) -> None:
    heard: list[str] = []

    class Inner(ASHAScheduler):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith("on_trial"):
                heard.append(name)
            return super().__getattribute__(name)

    scheduler = StabilityTrialScheduler(Inner())
    scheduler.set_search_properties("loss", "min")
    one = trial()
    scheduler.on_trial_add(Controller(), one)
    arguments = (Controller(), one, *([{"loss": 1.0}] if call == "on_trial_complete" else []))
    getattr(scheduler, call)(*arguments)
    assert heard == ["on_trial_add", call]


def test_a_contradicting_metric_of_the_inner_one_is_passed_on() -> None:
    scheduler = StabilityTrialScheduler(ASHAScheduler(metric="error", mode="min"))
    assert scheduler.set_search_properties("loss", "min") is False
    assert StabilityTrialScheduler().set_search_properties("loss", "min") is True


def test_the_inner_one_chooses_who_runs() -> None:
    first, second = trial("a"), trial("b")
    controller = Controller()
    controller.trials = [first, second]

    class Last(ASHAScheduler):
        def choose_trial_to_run(self, tune_controller: Any) -> Trial:
            return tune_controller.get_trials()[-1]

    assert StabilityTrialScheduler(Last()).choose_trial_to_run(controller) is second


def test_it_travels() -> None:
    scheduler, one = begun(patience=5.0)
    scheduler.on_trial_result(Controller(), one, told(RUNS["healthy"])[0])
    copy = cloudpickle.loads(cloudpickle.dumps(scheduler))
    assert (copy.metric, copy.patience) == ("loss", 5.0)


# Hung trials


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def look(monkeypatch) -> Callable[..., list[Any]]:
    """The actors that are killed when the trial scheduler looks at these trials at a time."""
    clock, killed = Clock(), []
    monkeypatch.setattr(scheduler_module, "time", clock)
    monkeypatch.setattr(ray, "kill", killed.append)

    def at(now: float, scheduler: StabilityTrialScheduler, *trials: Trial) -> list[Any]:
        clock.now = now
        controller = Controller()
        controller.trials = list(trials)
        scheduler.choose_trial_to_run(controller)
        found = list(killed)
        killed.clear()
        return found

    return at


def running(name: str) -> Trial:
    one = trial(name)
    one.set_status(Trial.RUNNING)
    one.temporary_state.ray_actor = f"actor of {name}"
    return one


def test_a_trial_that_is_silent_for_too_long_loses_its_process(look) -> None:
    scheduler = StabilityTrialScheduler(patience=10.0)
    silent, busy = running("a"), running("b")
    assert look(0.0, scheduler, silent, busy) == []
    assert look(9.0, scheduler, silent, busy) == []
    scheduler.on_trial_result(Controller(), busy, {"loss": 1.0})
    assert look(11.0, scheduler, silent, busy) == ["actor of a"]
    assert look(12.0, scheduler, silent, busy) == []  # once: Tune starts it again
    assert look(20.0, scheduler, silent, busy) == ["actor of b"]
    assert look(22.0, scheduler, silent, busy) == ["actor of a"]


def test_only_time_spent_running_counts(look) -> None:
    scheduler = StabilityTrialScheduler(patience=10.0)
    one = running("a")
    assert look(0.0, scheduler, one) == []
    one.set_status(Trial.PAUSED)
    assert look(8.0, scheduler, one) == []
    one.set_status(Trial.RUNNING)
    assert look(12.0, scheduler, one) == []
    assert look(21.0, scheduler, one) == []
    assert look(23.0, scheduler, one) == ["actor of a"]


def test_without_patience_it_waits_for_ever(look) -> None:
    assert look(0.0, StabilityTrialScheduler(), running("a")) == []
    assert look(1e9, StabilityTrialScheduler(), running("a")) == []


# Runs that are behind


def looked(loss: float, steps: tuple[int, ...] = (50, 100, 200, 400, 1000)) -> list[Reading]:
    return [replace(run()[0], step=step, annealed_validation=loss) for step in steps]


def to_its_end(scheduler: StabilityTrialScheduler, name: str, loss: float, value: float) -> Trial:
    one = trial(name, lrsearch={"number": 5})
    scheduler.on_trial_add(Controller(), one)
    results = told(looked(loss), loss=value)
    for result in results:
        assert scheduler.on_trial_result(Controller(), one, result) == CONTINUE
    scheduler.on_trial_complete(Controller(), one, results[-1])
    return one


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_run_is_compared_with_the_one_that_ended_best(mode: str) -> None:
    searcher = Told()
    scheduler = StabilityTrialScheduler()
    assert scheduler.set_search_properties("loss", mode)
    for name in "abc":
        to_its_end(scheduler, name, 0.4, 0.3)
    late = trial("late")
    scheduler.on_trial_add(Controller(), late)
    said = [scheduler.on_trial_result(Controller(searcher), late, r) for r in told(looked(0.9))]
    assert said[0] == STOP
    _, verdict = searcher.said[0]
    assert verdict.regime == "behind"
    assert "trial 5" in verdict.reason


def test_of_many_that_are_behind_one_goes_to_its_end_now_and_then() -> None:
    scheduler = StabilityTrialScheduler()
    assert scheduler.set_search_properties("loss", "min")
    for name in "abc":
        to_its_end(scheduler, name, 0.4, 0.3)
    said = []
    for n in range(7):
        late = trial(f"late{n}")
        scheduler.on_trial_add(Controller(), late)
        results = iter(told(looked(0.9), loss=0.5))
        said.append(any(scheduler.on_trial_result(Controller(), late, r) == STOP for r in results))
        if not said[-1]:
            scheduler.on_trial_complete(Controller(), late, told(looked(0.9), loss=0.5)[-1])
    assert said == [True] * 5 + [False, True]


def test_one_that_was_stopped_on_its_way_is_nobodys_peer() -> None:
    scheduler, _ = begun()
    results = told(looked(0.4, (50, 100)), loss=0.1)
    for name in "bcd":
        one = trial(name)
        scheduler.on_trial_add(Controller(), one)
        for result in results:
            scheduler.on_trial_result(Controller(), one, result)
        scheduler.on_trial_complete(Controller(), one, results[-1])
    late = trial("late")
    scheduler.on_trial_add(Controller(), late)
    said = [scheduler.on_trial_result(Controller(), late, r) for r in told(looked(0.9))]
    assert STOP not in said


def test_what_a_wrapped_one_alone_was_told_counts() -> None:
    scheduler = StabilityTrialScheduler(ASHAScheduler(metric="loss", mode="max", grace_period=99))
    assert scheduler.metric == "loss"
    to_its_end(scheduler, "d", 0.4, 0.3)  # the best, where large is good
    for name in "abc":
        to_its_end(scheduler, name, 0.2, 0.1)
    late = trial("late")
    scheduler.on_trial_add(Controller(), late)
    said = [scheduler.on_trial_result(Controller(), late, r) for r in told(looked(0.4), loss=0.2)]
    assert STOP not in said


def test_a_restored_one_knows_them_again() -> None:
    before, after = StabilityTrialScheduler(), StabilityTrialScheduler()
    for scheduler in (before, after):
        assert scheduler.set_search_properties("loss", "min")
    searcher = SimpleNamespace(readings=lambda name: looked(0.4))
    for name in "abc":
        done = to_its_end(before, name, 0.4, 0.3)
        done.config["lrsearch"]["plan"] = PLAN.to_dict()
        done.run_metadata.last_result = told(looked(0.4), loss=0.3)[-1]
        done.set_status(Trial.TERMINATED)
        after.on_trial_add(Controller(searcher), done)
    late = trial("late")
    after.on_trial_add(Controller(), late)
    assert after.on_trial_result(Controller(), late, told(looked(0.9))[0]) == STOP
