"""`StabilityTrialScheduler` after `Tuner.restore`, which gives a trial scheduler nothing back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray")
from pyarrow.fs import LocalFileSystem
from ray import tune
from ray.train._internal.session import _TrainingResult
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    ASHAScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.search import ConcurrencyLimiter

from lrsearch import ScheduleSpace
from lrsearch.integrations.optuna._attributes import reading_key
from lrsearch.integrations.ray import EdgeSearcher, StabilityTrialScheduler
from lrsearch.integrations.ray._history import results_of
from lrsearch.search import FAMILY, MULTIPLIER, PLAN_KEY, decide
from lrsearch.stability import Reading

SPACE = ScheduleSpace(budget=1000, families=("linear",))
PLAN = SPACE.plan({FAMILY: "linear", MULTIPLIER: 1.0}, 0.5)
CONTROLLER = SimpleNamespace(search_alg=SimpleNamespace(), get_live_trials=list)
STOP, CONTINUE = TrialScheduler.STOP, TrialScheduler.CONTINUE


def reading(step: int, **changes: Any) -> Reading:
    common = {"loss": 1.8, "initial_loss": 2.0, "sharpness": 2.0, "threshold": 2.0}
    return Reading(step=step, learning_rate=0.5, **common | {"gradient_norm": 1.0} | changes)


def result(iteration: int, *readings: Reading, **metrics: Any) -> dict[str, Any]:
    pairs: list[Any] = [[reading_key(r.step), r.to_dict()] for r in readings]
    if iteration == 1:
        pairs = [[PLAN_KEY, PLAN.to_dict()], *pairs]
    return {"training_iteration": iteration, "lrsearch": pairs, **metrics}


class Driver:
    """Where Tune keeps what trials have reported: the driver's staging folder, and the storage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trial(
        self,
        name: str,
        results: list[dict[str, Any]],
        *,
        file: list[dict[str, Any]] | None = None,
        where: str = "storage",
        status: str = Trial.PENDING,
        torn: bool = False,
    ) -> Trial:
        """A trial as Tune restores it; ``file`` is what its result.json holds."""
        staging, kept = self.folder / "staging" / name, self.folder / "storage" / name
        text = "".join(json.dumps(r) + "\n" for r in (results if file is None else file))
        if where != "nowhere":
            place = staging if where == "staging" else kept
            place.mkdir(parents=True)
            (place / "result.json").write_text(text + ('{"training_it' if torn else ""))
        one = Trial("function", stub=True, trial_id=name)
        one.storage = SimpleNamespace(
            trial_driver_staging_path=str(staging),
            storage_filesystem=LocalFileSystem(),
            trial_fs_path=str(kept),
        )
        one.set_status(status)
        if results:
            one.update_last_result(dict(results[-1]))
        return one


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path)


def iterations(trial: Trial) -> list[int]:
    return [r["training_iteration"] for r in results_of(trial)]


# The history


@pytest.mark.parametrize("where", ["staging", "storage"])
def test_all_results_come_back_as_they_were(driver: Driver, where: str) -> None:
    results = [result(n, reading(50 * n), loss=0.5) for n in (1, 2, 3)]
    found = results_of(driver.trial("a", results, where=where))
    assert found == results


def test_nested_results_come_back_flattened(driver: Driver) -> None:
    one = driver.trial("a", [result(1, loss=0.5, valid={"error": 0.1})])
    assert results_of(one)[0]["valid/error"] == 0.1


def test_a_new_trial_has_no_history(driver: Driver) -> None:
    assert results_of(driver.trial("a", [], where="nowhere")) == []
    assert results_of(driver.trial("b", [], file=[result(1)])) == []  # Tune starts it over


def test_without_a_file_the_last_result_is_all_there_is(driver: Driver) -> None:
    results = [result(n) for n in (1, 2)]
    assert iterations(driver.trial("a", results, where="nowhere")) == [2]
    one = driver.trial("b", results, where="nowhere")
    one.storage = None
    assert iterations(one) == [2]


def test_tunes_own_state_says_how_far_a_trial_is(driver: Driver) -> None:
    results = [result(n, loss=float(n)) for n in range(1, 6)]
    assert iterations(driver.trial("ahead", results[:3], file=results)) == [1, 2, 3]
    assert iterations(driver.trial("behind", results, file=results[:2])) == [1, 2, 5]


def test_a_line_that_was_being_written_is_left_out(driver: Driver, caplog) -> None:
    results = [result(n) for n in (1, 2)]
    assert iterations(driver.trial("a", results, torn=True)) == [1, 2]
    assert "damaged" in caplog.text


# The readings


def until_cold() -> list[Reading]:
    """Readings of which the last one, and none before it, shows that the run is cold."""
    found = [reading(50 * n, sharpness=0.1) for n in range(1, 20)]
    return next(found[:n] for n in range(1, 20) if decide(found[:n], plan=PLAN).stop)


def judged(scheduler: StabilityTrialScheduler, trial: Trial, *readings: Reading) -> str:
    last = (trial.last_result or {}).get("training_iteration", 0)
    return scheduler.on_trial_result(CONTROLLER, trial, result(last + 1, *readings))


def test_a_restored_run_is_judged_from_all_its_readings(driver: Driver) -> None:
    """One reading alone does not tell that it is cold; with its past it does."""
    cold = until_cold()
    assert len(cold) > 3
    assert not decide(cold[-1:], plan=PLAN).stop
    one = driver.trial("a", [result(n + 1, r) for n, r in enumerate(cold[:-1])])
    scheduler = StabilityTrialScheduler()
    scheduler.on_trial_add(CONTROLLER, one)
    assert judged(scheduler, one, cold[-1]) == STOP
    without = StabilityTrialScheduler()
    without.on_trial_add(CONTROLLER, driver.trial("b", [], where="nowhere"))
    assert judged(without, one, cold[-1]) == CONTINUE


def test_readings_of_a_dead_attempt_beyond_the_checkpoint_are_dropped(driver: Driver) -> None:
    """It had exploded at step 200; the attempt that goes on from step 100 does not."""
    sound = [reading(50), reading(100)]
    exploded = [replace(reading(step), loss=1e3) for step in (150, 200)]
    one = driver.trial("a", [result(n + 1, r) for n, r in enumerate([*sound, *exploded])])
    scheduler = StabilityTrialScheduler()
    scheduler.on_trial_add(CONTROLLER, one)
    for step in (150, 200, 250):
        assert judged(scheduler, one, reading(step)) == CONTINUE
    assert scheduler._readings["a"] == [*sound, *(reading(s) for s in (150, 200, 250))]


@pytest.mark.parametrize("status", [Trial.TERMINATED, Trial.ERROR])
def test_nothing_is_kept_of_a_trial_that_has_ended(driver: Driver, status: str) -> None:
    one = driver.trial("a", [result(1, reading(50))], status=status)
    scheduler = StabilityTrialScheduler(patience=1.0)
    scheduler.on_trial_add(CONTROLLER, one)
    assert [scheduler._readings, scheduler._plans, scheduler._heard] == [{}, {}, {}]


@pytest.mark.parametrize("end", ["on_trial_complete", "on_trial_remove", "on_trial_error"])
def test_a_trial_that_ends_is_forgotten(driver: Driver, end: str) -> None:
    scheduler, one = StabilityTrialScheduler(), driver.trial("a", [], where="nowhere")
    scheduler.on_trial_add(CONTROLLER, one)
    judged(scheduler, one, reading(50))
    assert scheduler._readings
    arguments = (CONTROLLER, one, *([{}] if end == "on_trial_complete" else []))
    getattr(scheduler, end)(*arguments)
    assert [scheduler._readings, scheduler._plans, scheduler._heard] == [{}, {}, {}]


@pytest.mark.parametrize("again", ["a new driver", "a new process"])
def test_our_searchers_study_knows_the_readings_where_tunes_files_do_not(
    driver: Driver, again: str
) -> None:
    cold = until_cold()
    searcher = EdgeSearcher(SPACE, metric="loss", edge=0.5, seed=1)
    searcher.suggest("a")
    controller = SimpleNamespace(search_alg=ConcurrencyLimiter(searcher, max_concurrent=1))
    scheduler, one = StabilityTrialScheduler(), driver.trial("a", [], where="nowhere")
    scheduler.on_trial_add(controller, one)
    for n, each in enumerate(cold[:-1]):
        told = result(n + 1, each)
        assert scheduler.on_trial_result(controller, one, told) == CONTINUE
        searcher.on_trial_result("a", told)
    if again == "a new process":
        scheduler.on_trial_error(controller, one)
    else:
        scheduler = StabilityTrialScheduler()
    scheduler.on_trial_add(controller, one)
    assert scheduler._readings["a"] == cold[:-1]
    last = result(1, cold[-1])  # a new attempt sends its plan once more
    assert scheduler.on_trial_result(controller, one, last) == STOP


@pytest.mark.parametrize("there", [True, False])
def test_a_trial_whose_checkpoint_is_gone_starts_over(tmp_path: Path, there: bool) -> None:
    """Tune would give it up: its snapshot names a checkpoint that was deleted meanwhile."""
    folder = tmp_path / "checkpoint_0"
    folder.mkdir()
    one = Trial("function", stub=True, trial_id="a")
    kept = tune.Checkpoint.from_directory(folder)
    known = _TrainingResult(checkpoint=kept, metrics={"training_iteration": 1})
    one.run_metadata.checkpoint_manager.register_checkpoint(known)
    if not there:
        folder.rmdir()
    StabilityTrialScheduler().on_trial_add(CONTROLLER, one)
    assert one.checkpoint == (kept if there else None)


# The rungs


def asha() -> StabilityTrialScheduler:
    made = StabilityTrialScheduler(ASHAScheduler(max_t=16, grace_period=1, reduction_factor=2))
    assert made.set_search_properties("loss", "min")
    return made


LOSSES = {"a": [0.9, 0.8, 0.7, 0.6], "b": [0.5, 0.4], "c": [0.95], "d": [0.3, 0.2, 0.1]}


def histories() -> dict[str, list[dict[str, Any]]]:
    return {
        name: [result(n + 1, reading(50 * n + 50), loss=loss) for n, loss in enumerate(losses)]
        for name, losses in LOSSES.items()
    }


def test_asha_has_the_rungs_that_it_had(driver: Driver) -> None:
    undisturbed, restored = asha(), asha()
    ended = {"c": Trial.TERMINATED, "b": Trial.TERMINATED}
    for name, results in histories().items():
        one = driver.trial(f"{name}-before", [], where="nowhere")
        undisturbed.on_trial_add(CONTROLLER, one)
        for each in results:
            undisturbed.on_trial_result(CONTROLLER, one, each)
        if name in ended:
            undisturbed.on_trial_complete(CONTROLLER, one, results[-1])
    for name, results in histories().items():
        one = driver.trial(f"{name}-before", results, status=ended.get(name, Trial.PENDING))
        restored.on_trial_add(CONTROLLER, one)
    rungs = [
        {m: dict(recorded) for m, recorded in s.wrapped._brackets[0]._rungs}
        for s in (undisturbed, restored)
    ]
    assert rungs[1] == rungs[0]
    assert len(rungs[0][1]) == 4
    for scheduler in (undisturbed, restored):
        one = driver.trial("new", [], where="nowhere")
        scheduler.on_trial_add(CONTROLLER, one)
        assert scheduler.on_trial_result(CONTROLLER, one, result(1, loss=0.92)) == STOP
    empty = asha()
    empty.on_trial_add(CONTROLLER, one)
    assert empty.on_trial_result(CONTROLLER, one, result(1, loss=0.92)) == CONTINUE


def test_one_that_acts_on_running_trials_is_not_told_of_old_results(driver: Driver) -> None:
    """Population-based training would exploit and pause trials of the new driver."""

    class Population(PopulationBasedTraining):
        told = 0

        def on_trial_result(self, *arguments: Any) -> str:
            self.told += 1
            return str(CONTINUE)

    inner = Population(time_attr="training_iteration", hyperparam_mutations={"width": [1, 2]})
    scheduler = StabilityTrialScheduler(inner)
    assert scheduler.set_search_properties("loss", "min")
    results = [result(n, reading(50 * n), loss=0.5) for n in (1, 2)]
    scheduler.on_trial_add(CONTROLLER, driver.trial("a", results))
    assert inner.told == 0
    assert [r.step for r in scheduler._readings["a"]] == [50, 100]


@pytest.mark.parametrize("decision", [STOP, CONTINUE, None])
def test_a_stop_that_waited_for_a_checkpoint_is_carried_out_at_once(driver, decision) -> None:
    """Tune would begin the trial again, and stop it after its first checkpoint."""
    ended: list[Any] = []
    searcher = SimpleNamespace(on_trial_complete=lambda *a, **b: ended.append((a, b)))
    live: set[Any] = set()
    inner = SimpleNamespace(_cached_trial_decisions={"a": decision} if decision else {})
    controller = SimpleNamespace(
        _tune_controller=inner, search_alg=searcher, get_live_trials=lambda: live
    )
    results = [result(n, reading(50 * n), loss=0.5) for n in (1, 2)]
    one = driver.trial("a", results)
    live.add(one)
    scheduler = asha()
    scheduler.on_trial_add(controller, one)
    assert inner._cached_trial_decisions == {}
    if decision == STOP:
        assert one.status == Trial.TERMINATED
        assert live == set()
        ((arguments, options),) = ended
        assert arguments == ("a",)
        assert options["result"]["training_iteration"] == 2
        assert "a" not in scheduler._readings
    else:
        assert one.status == Trial.PENDING
        assert live == {one}
        assert ended == []


def test_a_trial_whose_process_died_is_not_told_to_the_inner_one_twice(driver: Driver) -> None:
    """Tune adds it again in the same driver, where the inner one remembers it."""
    scheduler = StabilityTrialScheduler(MedianStoppingRule(grace_period=0))
    assert scheduler.set_search_properties("loss", "min")
    results = [result(n, reading(50 * n), loss=0.5, time_total_s=n) for n in (1, 2)]
    one = driver.trial("a", [], file=results)
    scheduler.on_trial_add(CONTROLLER, one)
    for each in results:
        scheduler.on_trial_result(CONTROLLER, one, each)
        one.update_last_result(each)
    scheduler.on_trial_error(CONTROLLER, one)
    scheduler.on_trial_add(CONTROLLER, one)
    assert [len(kept) for kept in scheduler.wrapped._results.values()] == [2]
    assert [r.step for r in scheduler._readings["a"]] == [50, 100]  # ours are learnt again
