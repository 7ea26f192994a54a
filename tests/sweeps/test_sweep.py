"""A sweep in this process: what it refuses, what it keeps, and whose trials it takes over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import optuna
import pytest
import torch
from optuna.exceptions import StorageInternalError
from torch import nn

from lrsearch.curvature import FORWARD
from lrsearch.exceptions import (
    CalibrationError,
    CheckpointError,
    InvalidSpaceError,
    SpaceMismatchError,
    StorageError,
    StudyMismatchError,
    TaskError,
)
from lrsearch.integrations.optuna import (
    ATTEMPTS_KEY,
    COST_KEY,
    OptunaHost,
    best_schedule,
    edge_key,
    readings_of,
    store_edge,
    verdict_of,
)
from lrsearch.schedules import Schedule, get_family
from lrsearch.search import Plan, ScheduleSpace
from lrsearch.stability import Edge
from lrsearch.sweeps import (
    Silent,
    SweepResult,
    TrialEnd,
    best_weights,
    confirm,
    estimate,
    leaderboard,
    open_storage,
    open_study,
)
from lrsearch.sweeps import _lease as lease
from lrsearch.sweeps import _trial as trial_module
from lrsearch.sweeps import sweep as run_sweep
from lrsearch.training import Task, load_checkpoint, tensor_stream
from lrsearch.training import _loop as loop_module

BUDGET = 30
SPACE = ScheduleSpace(budget=BUDGET)
X = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([[1.0], [2.0], [-1.0], [0.5]])


def loss(model: nn.Module, batch: Any) -> torch.Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def evaluate(model: nn.Module) -> float:
    with torch.no_grad():
        return float(loss(model, (X, Y)))


def line(**changes: Any) -> Task:
    plain = {
        "name": "line",
        "model": lambda: nn.Linear(4, 1),
        "loss": loss,
        "stream": tensor_stream(X, Y, batch_size=16),
        "evaluate": evaluate,
        "optimizer": lambda model, rate: torch.optim.SGD(model.parameters(), lr=rate),
        "budget": BUDGET,
    }
    return Task(**plain | changes)


class Story(Silent):
    """Remembers what it is told; ``at_step`` may interfere."""

    def __init__(self, at_step: Callable[[int, int], None] = lambda number, step: None) -> None:
        self.notes: list[str] = []
        self.ends: list[TrialEnd] = []
        self.begun: list[tuple[int, int]] = []
        self.known_trials: list[int] = []
        self.measured: list[bool] = []
        self.at_step = at_step

    def known(self, ended: int) -> None:
        self.known_trials.append(ended)

    def note(self, line: str) -> None:
        self.notes.append(line)

    def edge(self, edge: Edge, *, measured: bool) -> None:
        self.measured.append(measured)

    def begin(self, number: int, plan: Plan, resumed_from: int) -> None:
        self.begun.append((number, resumed_from))

    def step(self, number: int, step: int) -> None:
        self.at_step(number, step)

    def end(self, trial: TrialEnd) -> None:
        self.ends.append(trial)


class Bench:
    """A study with a known edge, so that no test pays for a calibration that it does not need."""

    def __init__(self, folder: Path) -> None:
        self.url = f"journal:///{folder}/s.log"
        self.folder = folder / "s.log.runs" / "line"

    def study(self) -> optuna.Study:
        return open_study(open_storage(self.url, create=False), "line")

    def prepare(self, task: Task) -> None:
        opened = open_storage(self.url, create=True)
        study = open_study(opened, "line", direction=task.direction, create=True)
        store_edge(study, edge_key(task.name, ""), Edge.known(0.1))

    def sweep(self, task: Task, space: ScheduleSpace = SPACE, **options: Any) -> SweepResult:
        if not (self.folder.parent.parent / "s.log").exists():
            self.prepare(task)
        return run_sweep(task, space, storage=self.url, study_name="line", **options)

    def interrupted(self, task: Task, at: int, **options: Any) -> None:
        """Leave trial 0 at this step, as a worker does that is told to stop."""
        reached = False

        def look(number: int, step: int) -> None:
            nonlocal reached
            reached = step >= at

        with pytest.raises(KeyboardInterrupt):
            self.sweep(task, listener=Story(look), interrupted=lambda: reached, **options)
        assert self.states()[0] == "RUNNING"
        assert load_checkpoint(self.checkpoint)["step"] == at

    @property
    def checkpoint(self) -> Path:
        return self.folder / "trial-00000.pt"

    def states(self) -> list[str]:
        return [t.state.name for t in self.study().get_trials()]

    def everything(self) -> tuple[Any, ...]:
        study = self.study()
        trials = [(t.number, t.state, t.params, t.values, t.user_attrs) for t in study.get_trials()]
        return trials, study.user_attrs, study.directions


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def nth_call(n: int, act: Callable[[], Any]) -> Callable[[nn.Module], float]:
    """An ``evaluate`` that does something else in its n-th call (from 0)."""
    calls = 0

    def evaluated(model: nn.Module) -> float:
        nonlocal calls
        calls += 1
        return act() if calls - 1 == n else evaluate(model)

    return evaluated


def explode() -> float:
    raise ZeroDivisionError("no such data")


# Tasks that misbehave


def test_a_task_that_raises_once_fails_one_trial_alone(bench: Bench) -> None:
    story = Story()
    bench.sweep(line(evaluate=nth_call(1, explode)), trials=4, listener=story)
    assert bench.states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    failed = leaderboard(bench.study()).iloc[-1]
    assert (failed["trial"], failed["state"]) == (1, "fail")
    assert failed["reason"] == "ZeroDivisionError: no such data"
    assert failed["peak"] > 0
    assert [e.reason for e in story.ends][:2] == ["finished", "ZeroDivisionError: no such data"]
    assert readings_of(bench.study().get_trials()[1].user_attrs)  # what was paid for is kept


def test_a_task_that_always_raises_is_given_up_after_three(bench: Bench) -> None:
    broken = line(evaluate=lambda model: explode())
    wanted = "first 3 trials all failed, the last with ZeroDivisionError: no such data: mend"
    for _ in range(2):  # again: at once
        with pytest.raises(TaskError, match=wanted):
            bench.sweep(broken, trials=20)
        assert bench.states() == ["FAIL"] * 3


def test_one_success_keeps_it_going(bench: Bench) -> None:
    calls = iter([False, True, True, True, True, True])
    task = line(evaluate=lambda model: explode() if next(calls) else evaluate(model))
    bench.sweep(task, trials=6)
    assert bench.states() == ["COMPLETE"] + ["FAIL"] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluate": lambda model: "good"}, "evaluate must return a number, got 'good'"),
        ({"loss": lambda model, batch: model(batch[0])}, "loss must be a scalar"),
    ],
)
def test_a_task_that_breaks_the_rules_is_told_which(bench: Bench, change, message) -> None:
    with pytest.raises(TaskError, match=message):
        bench.sweep(line(**change), trials=4)
    assert bench.states() == ["FAIL"] * 3


def test_a_metric_that_is_not_finite_never_reaches_the_study(bench: Bench) -> None:
    metrics = iter([math.nan, math.inf, -math.inf])
    bench.sweep(line(evaluate=lambda model: next(metrics)), trials=3)
    found = bench.study().get_trials()
    assert [t.state.name for t in found] == ["PRUNED"] * 3
    assert [t.values for t in found] == [None] * 3
    assert {verdict_of(t.user_attrs).reason for t in found} == {
        "diverged: validation loss is not finite"
    }


def test_a_loss_that_turns_nan_prunes_the_trial_with_its_reason(bench: Bench) -> None:
    seen = 0

    def turning(model: nn.Module, batch: Any) -> torch.Tensor:
        nonlocal seen
        seen += model.training
        return loss(model, batch) * (math.nan if seen == 12 else 1.0)

    bench.sweep(line(loss=turning), trials=2)
    assert bench.states() == ["PRUNED", "COMPLETE"]
    stopped = bench.study().get_trials()[0]
    assert (
        "diverged: loss or weights not finite by step 12" in verdict_of(stopped.user_attrs).reason
    )
    assert readings_of(stopped.user_attrs)[-1].step == 12
    assert leaderboard(bench.study()).iloc[1]["steps"] == 12


@pytest.mark.parametrize("bad", ["constant", "unprobeable"])
def test_a_batch_that_cannot_be_measured_costs_readings_not_trials(bench: Bench, bad: str) -> None:
    def sometimes(seed: int, epoch: int) -> Any:
        for index, batch in enumerate(tensor_stream(X, Y, batch_size=16)(seed, epoch)):
            constant = bad == "constant" and index % 2
            yield (batch[0][:1].expand(16, 4), batch[1][:1].expand(16, 1)) if constant else batch

    def picky(model: nn.Module, batch: Any) -> torch.Tensor:
        if bad == "unprobeable" and not torch.is_grad_enabled():
            raise KeyError("a cache that only training fills")
        return loss(model, batch)

    bench.sweep(line(stream=sometimes, loss=picky), trials=2)
    assert bench.states() == ["COMPLETE", "COMPLETE"]
    told = "the batch is constant" if bad == "constant" else "a cache that only training fills"
    for trial in bench.study().get_trials():
        notes = [r.note or "" for r in readings_of(trial.user_attrs)]
        assert any(told in note for note in notes)
        assert any(told not in note for note in notes) == (bad == "constant")


def test_an_exploding_run_is_stopped_and_the_rest_goes_on(bench: Bench) -> None:
    bench.sweep(line(), trials=3, rates=[("constant", 1e4)])
    assert bench.states() == ["PRUNED", "COMPLETE", "COMPLETE"]
    row = leaderboard(bench.study()).iloc[-1]
    assert row["peak"] == pytest.approx(1e4)
    assert row["reason"].startswith("diverged: ")
    assert row["steps"] < BUDGET
    assert row["cost"] < 1


def test_a_task_that_raises_while_its_edge_is_measured(tmp_path: Path) -> None:
    task = line(loss=lambda model, batch: explode())
    with pytest.raises(TaskError, match="'line' failed while its edge was measured: ZeroDiv") as e:
        run_sweep(task, SPACE, storage=f"sqlite:///{tmp_path}/s.db", study_name="line")
    assert isinstance(e.value.__cause__, ZeroDivisionError)
    study = open_study(open_storage(f"sqlite:///{tmp_path}/s.db", create=False), "line")
    assert study.get_trials() == []
    run_sweep(line(), SPACE, storage=f"sqlite:///{tmp_path}/s.db", study_name="line", trials=1)


def test_a_nan_loss_from_the_start_ends_in_calibration(tmp_path: Path) -> None:
    task = line(loss=lambda model, batch: loss(model, batch) * math.nan)
    with pytest.raises(CalibrationError, match="not finite before the first step"):
        run_sweep(task, SPACE, storage=f"sqlite:///{tmp_path}/s.db", study_name="line")


# What a study refuses


@pytest.mark.parametrize(
    ("changes", "space", "options", "error", "message"),
    [
        ({"direction": "maximize"}, SPACE, {}, StudyMismatchError, "direction minimize.*maximize"),
        ({"name": "other"}, SPACE, {}, StudyMismatchError, "about task 'line'.*not 'other'"),
        ({"metric": "error"}, SPACE, {}, StudyMismatchError, r"line' \(validation loss\), not"),
        ({}, SPACE, {"seed": 8}, StudyMismatchError, "begun with seed 7, not 8: leave the seed"),
        ({}, ScheduleSpace(31), {}, SpaceMismatchError, "budget was 30 and is now 31"),
        ({}, ScheduleSpace(30, ("uba",)), {}, SpaceMismatchError, "schedule_family was .*uba"),
        ({}, SPACE, {"share": 0.0}, InvalidSpaceError, r"share must lie in \(0, 1\].*0\.0"),
        ({}, SPACE, {"share": 5.0}, InvalidSpaceError, r"got 5\.0"),
        ({}, SPACE, {"rates": [(None, math.nan)]}, InvalidSpaceError, "finite number, got nan"),
        ({}, SPACE, {"rates": [(None, -1.0)]}, InvalidSpaceError, "> 0"),
    ],
)
def test_what_does_not_fit_the_study_adds_nothing_to_it(
    bench: Bench, changes, space, options, error, message
) -> None:
    bench.sweep(line(), trials=2, seed=7)
    before = bench.everything()
    with pytest.raises(error, match=message):
        bench.sweep(line(**changes), space, trials=9, **options)
    assert bench.everything() == before
    bench.sweep(line(), trials=3)  # without a seed: the study's own
    assert bench.states() == ["COMPLETE"] * 3


@pytest.mark.parametrize("rate", [("cosine", math.inf), ("cosinus", 0.1), (None, 0.0)])
def test_a_nonsensical_rate_is_refused_before_anything_is_measured(tmp_path: Path, rate) -> None:
    task = line(model=lambda: pytest.fail("calibrated"))
    with pytest.raises(ValueError, match=r"learning_rate|cosinus"):
        run_sweep(task, SPACE, storage=f"sqlite:///{tmp_path}/s.db", rates=[rate])


def test_a_rate_of_a_family_that_is_not_searched_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidSpaceError, match="does not search cosine"):
        bench.sweep(line(), ScheduleSpace(BUDGET, ("linear",)), rates=[("cosine", 0.1)])
    assert bench.states() == []


# Going on


def test_the_same_call_again_does_nothing_and_more_trials_go_on(bench: Bench) -> None:
    assert bench.sweep(line(), trials=2).complete
    before = bench.everything()
    story = Story()
    assert bench.sweep(line(), trials=2, listener=story).complete
    assert bench.everything() == before
    assert (story.known_trials, story.ends, story.measured) == ([2], [], [False])
    bench.sweep(line(), trials=3, listener=story)
    assert [e.number for e in story.ends] == [2]
    assert bench.everything()[0][:2] == before[0]


def test_tuners_are_candidates_and_leave_a_schedule(bench: Bench) -> None:
    space = ScheduleSpace(budget=200, families=("cdat", "clara"))
    bench.sweep(line(), trials=4, space=space)
    study = bench.study()
    rows = leaderboard(study).set_index("trial")
    assert set(rows["family"]) <= {"cdat", "clara"}
    finished = [t for t in study.get_trials() if t.state.name == "COMPLETE"]
    assert len(finished) >= 2  # sigma far above the edge diverges
    for trial in finished:
        row = rows.loc[trial.number]
        per_step = get_family(row["family"]).gradients
        assert row["cost"] == pytest.approx(per_step, abs=0.25)  # the rest is watching
        found = best_schedule(study, trial)
        assert (found.family, found.budget) == ("piecewise", 200)
        assert found.provenance["tuner"] == row["family"]
        assert found.provenance["tuner_metric"] == trial.value
        assert "metric" not in found.provenance
        again = confirm(study, line(), found, seeds=1)
        assert (again.metric, again.tuner) == (trial.value, row["family"])
        rates = [r.learning_rate for r in readings_of(trial.user_attrs) if r.learning_rate > 0]
        assert min(rates) * 0.99 <= found.values().min() <= found.peak <= max(rates) * 1.01


def judged(model: nn.Module) -> float:
    """By the statistics that batch normalisation has kept."""
    value = evaluate(model.eval())
    model.train()
    return value


def normed() -> Task:
    return line(model=lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1)), evaluate=judged)


def test_averaged_weights_and_second_phases_are_candidates(bench: Bench) -> None:
    space = ScheduleSpace(budget=60, families=("swa", "ema", "two_phase"))
    rates = [(family, 0.05) for family in space.families]
    bench.sweep(normed(), trials=3, space=space, rates=rates)
    study = bench.study()
    rows = leaderboard(study).set_index("trial")
    assert sorted(rows["family"]) == sorted(space.families)
    assert bench.states() == ["COMPLETE"] * 3
    for trial in study.get_trials():
        cost, family = trial.user_attrs[COST_KEY], rows.loc[trial.number, "family"]
        averages = get_family(family).averages
        assert cost.get("result", 0.0) == pytest.approx(10 * FORWARD if averages else 0.0)
        assert rows.loc[trial.number, "cost"] == pytest.approx(sum(cost.values()) / 60)
        found = best_schedule(study, trial)
        assert (found.family, found.averaging is not None) == (family, averages)
        assert Schedule.from_dict(found.to_dict()) == found
        again = confirm(study, normed(), found, seeds=1)
        assert math.isfinite(again.values[0])
    # The weights that are kept are those that the metric is of.
    kept = load_checkpoint(best_weights(bench.folder))
    model = normed().model()
    model.load_state_dict(kept["model"])
    best = study.best_trial
    assert (kept["trial"], kept["metric"]) == (best.number, best.value)
    assert judged(model) == best.value


@pytest.mark.parametrize("at", [20, 40])
def test_an_averaged_trial_goes_on_from_its_checkpoint(bench: Bench, at: int, tmp_path) -> None:
    space = ScheduleSpace(budget=48, families="swa")
    bench.interrupted(normed(), at=at, space=space)
    bench.sweep(normed(), trials=1, space=space)
    (resumed,) = bench.study().get_trials()
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other")
    other.sweep(normed(), trials=1, space=space)
    (whole,) = other.study().get_trials()
    assert resumed.values == whole.values
    assert resumed.user_attrs[COST_KEY] == whole.user_attrs[COST_KEY]
    assert len(resumed.user_attrs[ATTEMPTS_KEY]) == 2


def test_no_time_no_trial(bench: Bench) -> None:
    assert not bench.sweep(line(), trials=2, timeout=0.0).complete
    assert bench.states() == []


def test_the_time_ends_the_sweep_between_trials(bench: Bench) -> None:
    story = Story(lambda number, step: time.sleep(0.03))
    assert not bench.sweep(line(), trials=50, timeout=0.2, listener=story).complete
    assert set(bench.states()) == {"COMPLETE"}
    assert 1 <= len(bench.states()) < 10


def test_an_enqueued_rate_is_tried_first_and_once(bench: Bench) -> None:
    rates = [("cosine", 0.07), (None, 0.05)]
    bench.interrupted(line(), at=9, rates=rates)
    bench.sweep(line(), trials=4, rates=rates)
    bench.sweep(line(), trials=6, rates=rates)
    board = leaderboard(bench.study()).sort_values("trial")
    assert len(board) == 6
    assert board["family"].iloc[0] == "cosine"
    assert board["peak"].iloc[:2].tolist() == pytest.approx([0.07, 0.05], rel=1e-12)
    assert sum(abs(p / r - 1) < 1e-6 for p in board["peak"] for r in (0.07, 0.05)) == 2


def test_workers_that_begin_at_the_same_moment_do_not_overshoot(bench: Bench, monkeypatch) -> None:
    real = optuna.Study.ask

    def slow(study: optuna.Study, *arguments: Any) -> optuna.Trial:
        time.sleep(0.2)
        return real(study, *arguments)

    bench.prepare(line())
    monkeypatch.setattr(optuna.Study, "ask", slow)
    workers = [Thread(target=bench.sweep, args=(line(),), kwargs={"trials": 3}) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert bench.states() == ["COMPLETE"] * 3


def test_rates_that_wait_do_not_count_as_trials(bench: Bench) -> None:
    bench.sweep(line(), trials=2, rates=[(None, 0.07), (None, 0.05)])
    assert bench.states() == ["COMPLETE"] * 2


def test_it_tells_where_a_trial_goes_on(bench: Bench) -> None:
    bench.interrupted(line(), at=11)
    story = Story()
    bench.sweep(line(), trials=2, listener=story)
    assert story.begun == [(0, 11), (1, 0)]


@pytest.mark.parametrize("damage", ["truncated", "empty", "another run's"])
def test_a_checkpoint_that_is_no_use_starts_that_trial_over(
    bench: Bench, tmp_path: Path, damage: str
) -> None:
    (tmp_path / "other").mkdir()
    whole = Bench(tmp_path / "other")
    whole.sweep(line(), trials=2)
    bench.interrupted(line(), at=11)
    data = bench.checkpoint.read_bytes()
    if damage == "another run's":
        third = tmp_path / "third"
        third.mkdir()
        Bench(third).interrupted(line(), at=11, seed=5)
        data = Bench(third).checkpoint.read_bytes()
    bench.checkpoint.write_bytes(
        {"truncated": data[: len(data) // 2], "empty": b"", "another run's": data}[damage]
    )
    story = Story()
    bench.sweep(line(), trials=2, listener=story)
    assert story.begun == [(0, 0), (1, 0)]
    why = "another run" if damage == "another run's" else "it is damaged"
    assert [n for n in story.notes if n.startswith("trial 0 starts over: ") and why in n]
    mine, theirs = bench.everything()[0], whole.everything()[0]
    starts = [a[-1][ATTEMPTS_KEY] for a in mine]
    assert [[(s["step"], s.get("left", False)) for s in trial] for trial in starts] == [
        [(0, True), (0, False)],
        [(0, False)],
    ]
    for a, b in zip(mine, theirs, strict=True):
        for key in (lease.LEASE_KEY, ATTEMPTS_KEY):
            a[-1].pop(key), b[-1].pop(key)
    assert mine == theirs
    assert not bench.checkpoint.exists()


def test_a_checkpoint_of_a_deleted_study_is_not_taken_for_ones_own(bench: Bench) -> None:
    bench.interrupted(line(), at=11)
    Path(bench.url.removeprefix("journal:///")).unlink()
    story = Story()
    bench.sweep(line(), trials=1, listener=story)
    assert story.begun == [(0, 0)]
    assert readings_of(bench.study().get_trials()[0].user_attrs)[0].step < 11


# Whose trial is it?


def give_to(bench: Bench, host: str, expires: float) -> str:
    """Rewrite the lease of trial 0, as a worker on another machine would have left it."""
    study = bench.study()
    trial = optuna.Trial(study, study.get_trials()[0]._trial_id)
    plain = trial.user_attrs[lease.LEASE_KEY] | {"host": host, "expires": expires}
    trial.set_user_attr(lease.LEASE_KEY, plain | {"token": "theirs"})
    return "theirs"


def test_another_hosts_lease_is_left_alone_until_it_expires(bench: Bench, monkeypatch) -> None:
    monkeypatch.setattr(lease, "SETTLE", 0.01)
    bench.interrupted(line(), at=11)
    give_to(bench, "elsewhere", time.time() + 100)
    bench.sweep(line(), trials=2)
    assert bench.states() == ["RUNNING", "COMPLETE"]
    assert bench.study().get_trials()[0].user_attrs[lease.LEASE_KEY]["token"] == "theirs"
    assert bench.checkpoint.exists()

    give_to(bench, "elsewhere", time.time() - 1)
    story = Story()
    bench.sweep(line(), trials=2, listener=story)
    assert bench.states() == ["COMPLETE", "COMPLETE"]
    assert story.begun == [(0, 11)]


def test_of_two_machines_that_claim_one_trial_the_last_writer_gets_it(
    bench: Bench, monkeypatch
) -> None:
    bench.interrupted(line(), at=11)
    give_to(bench, "elsewhere", time.time() - 1)
    monkeypatch.setattr(
        lease.time, "sleep", lambda seconds: give_to(bench, "faster", time.time() + 100)
    )
    study = bench.study()
    assert lease.claim(study, study.get_trials()[0], bench.folder, one_machine=False) is None
    monkeypatch.undo()
    mine = lease.Lease(bench.folder, 0)
    assert mine.acquire()  # the lock was given back
    mine.__exit__(None, None, None)


def test_a_lock_file_that_nobody_holds_is_no_obstacle(bench: Bench) -> None:
    bench.interrupted(line(), at=11)
    lease.lock_path(bench.folder, 0).write_text("12345 elsewhere")
    lease.lock_path(bench.folder, 1).touch()
    bench.sweep(line(), trials=2)
    assert bench.states() == ["COMPLETE"] * 2


def test_a_lock_that_is_held_protects_its_trial(bench: Bench) -> None:
    bench.interrupted(line(), at=11)
    with_lock = lease.Lease(bench.folder, 0)
    assert with_lock.acquire()
    with with_lock:
        bench.sweep(line(), trials=2)
        assert bench.states() == ["RUNNING", "COMPLETE"]
    bench.sweep(line(), trials=2)
    assert bench.states() == ["COMPLETE", "COMPLETE"]


def test_a_trial_without_a_lease_is_taken_on_one_machine_only(bench: Bench) -> None:
    """Its worker died between beginning the trial and writing the lease."""
    bench.prepare(line())
    bench.study().ask()
    study = bench.study()
    assert lease.claim(study, study.get_trials()[0], bench.folder, one_machine=False) is None
    taken = lease.claim(study, study.get_trials()[0], bench.folder, one_machine=True)
    assert taken is not None
    taken[1].__exit__(None, None, None)
    bench.sweep(line(), trials=2)
    assert bench.states() == ["COMPLETE"] * 2


def test_a_trial_without_a_lease_is_taken_on_any_machine_once_it_is_old(
    bench: Bench, monkeypatch
) -> None:
    """A lost answer may leave one behind, see `PatientStorage`."""
    monkeypatch.setattr(lease, "LIFE", 0.0)
    bench.prepare(line())
    bench.study().ask()
    study = bench.study()
    taken = lease.claim(study, study.get_trials()[0], bench.folder, one_machine=False)
    assert taken is not None
    taken[1].__exit__(None, None, None)


def test_a_trial_that_was_ended_between_two_looks_is_not_reopened(bench: Bench) -> None:
    bench.interrupted(line(), at=11)
    study = bench.study()
    seen = study.get_trials()[0]
    assert seen.state.name == "RUNNING"
    bench.study().tell(0, 0.5)
    assert lease.claim(study, seen, bench.folder, one_machine=True) is None
    assert bench.study().get_trials()[0].user_attrs == seen.user_attrs
    again = lease.Lease(bench.folder, 0)
    assert again.acquire()
    again.__exit__(None, None, None)


@pytest.mark.parametrize("state", ["FAIL", "COMPLETE"])
@pytest.mark.parametrize("at", [1, BUDGET])
def test_a_trial_that_another_worker_ends_meanwhile_stays_ended(
    bench: Bench, state: str, at: int
) -> None:
    def end(number: int, step: int) -> None:
        if (number, step) == (0, at):
            value = 0.25 if state == "COMPLETE" else None
            bench.study().tell(0, value, state=optuna.trial.TrialState[state])

    story = Story(end)
    bench.sweep(line(), trials=2, listener=story)
    assert bench.states() == [state, "COMPLETE"]
    assert "trial 0 was ended by another worker meanwhile" in story.notes
    assert bench.study().get_trials()[0].values == ([0.25] if state == "COMPLETE" else None)
    assert (story.ends[0].state, story.ends[0].reason) == (state.lower(), "ended by another worker")


def test_a_trial_that_is_ended_at_the_last_moment_stays_ended(bench: Bench, monkeypatch) -> None:
    real = trial_module._store_cost

    def slow(trial: optuna.Trial, *cost: float) -> None:
        real(trial, *cost)
        if trial.number == 0:
            bench.study().tell(0, 0.25)

    monkeypatch.setattr(trial_module, "_store_cost", slow)
    bench.sweep(line(), trials=2)
    assert bench.states() == ["COMPLETE"] * 2
    assert bench.study().get_trials()[0].values == [0.25]


# When storage or disk fail


@pytest.mark.parametrize("when", ["emit", "tell"])
def test_a_storage_that_fails_leaves_the_trial_open(bench: Bench, monkeypatch, when: str) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise StorageInternalError("server closed the connection")

    def emit(host: Any, reading: Any) -> None:
        if reading.step > 15:
            fail()

    bench.prepare(line())
    with monkeypatch.context() as broken:
        if when == "emit":
            broken.setattr(OptunaHost, "emit", emit)
        else:
            broken.setattr(optuna.Study, "tell", fail)
        with pytest.raises(StorageError, match=r"server closed .*checkpoint is kept"):
            bench.sweep(line(), trials=1)
    assert bench.states() == ["RUNNING"]
    story = Story()
    assert bench.sweep(line(), trials=1, listener=story).complete
    assert bench.states() == ["COMPLETE"]
    assert story.begun[0][1] >= 12  # it goes on from its checkpoint
    assert not bench.checkpoint.exists()


def test_a_full_disk_costs_a_checkpoint_not_the_run(bench: Bench, monkeypatch, caplog) -> None:
    def full(path: Path, state: Any) -> None:
        raise CheckpointError("no space left on the disk")

    monkeypatch.setattr(loop_module, "save_checkpoint", full)
    bench.sweep(line(), trials=1)
    assert bench.states() == ["COMPLETE"]
    assert "no space left on the disk" in caplog.text


def test_a_changed_optimizer_is_not_searched_in_the_old_edges_units(tmp_path: Path) -> None:
    storage = f"journal:///{tmp_path}/s.log"
    run_sweep(line(), SPACE, storage=storage, trials=1)
    adam = line(optimizer=lambda model, rate: torch.optim.Adam(model.parameters(), lr=rate))
    with pytest.raises(StudyMismatchError, match=r"for SGD, and task 'line' now .* Adam"):
        run_sweep(adam, SPACE, storage=storage, trials=2)


def test_storages_of_like_names_share_no_folder(tmp_path: Path) -> None:
    for url in ("journal:///{}/a.log", "sqlite:///{}/a.db", "journal:///{}/a.b.log"):
        run_sweep(line(), SPACE, storage=url.format(tmp_path), trials=1)
    assert len(list(tmp_path.glob("*.runs"))) == 3


def test_what_is_still_open_or_waits_is_told(bench: Bench) -> None:
    bench.interrupted(line(), at=15)
    give_to(bench, "elsewhere", time.time() + 100)
    story = Story()
    result = bench.sweep(line(), trials=1, rates=[("cosine", 0.1)], listener=story)
    assert (result.complete, result.running) == (False, (0,))
    assert any("still open: trials 0" in note for note in story.notes)
    assert any("1 enqueued rates wait" in note for note in story.notes)


def test_a_long_evaluation_keeps_its_lease_where_locks_do_not_tell(bench: Bench) -> None:
    bench.interrupted(line(), at=15)
    trial = optuna.Trial(bench.study(), bench.study().get_trials()[0]._trial_id)
    held = lease.Lease(bench.folder, 0)
    with pytest.MonkeyPatch.context() as fast:
        fast.setattr(lease, "RENEWAL", 0.01)
        with held.kept(trial, alone=False):
            time.sleep(0.3)
        expires = bench.study().get_trials()[0].user_attrs[lease.LEASE_KEY]
        assert expires["token"] == held.token
        time.sleep(0.1)
        assert bench.study().get_trials()[0].user_attrs[lease.LEASE_KEY] == expires  # and ends


# When little is left to be gained


def begin(folder: Path, **options: Any) -> SweepResult:
    task = line(evaluate=lambda model: 1.0 + evaluate(model))  # its own best loss is nothing
    return run_sweep(task, SPACE, storage=f"sqlite:///{folder}/s.db", **options)


def test_it_ends_when_little_is_left(tmp_path: Path) -> None:
    result = begin(tmp_path, trials=20, until=0.5)
    assert len(result.study.trials) == 4  # the fewest that it foretells anything from
    assert result.complete
    # The same command does not begin more; one that asks for more precision does.
    assert len(begin(tmp_path, trials=20, until=0.5).study.trials) == 4
    assert len(begin(tmp_path, trials=6, until=1e-9).study.trials) == 6


def test_rates_that_wait_are_tried_first(tmp_path: Path) -> None:
    rates = [("cosine", 0.01 * (i + 1)) for i in range(6)]
    result = begin(tmp_path, trials=20, until=0.9, rates=rates)
    assert len(result.study.trials) == 6


@pytest.mark.parametrize("until", [0.0, 1.0, -0.1, math.nan])
def test_a_gain_that_is_no_share_is_refused(tmp_path: Path, until: float) -> None:
    with pytest.raises(InvalidSpaceError, match=r"such as 0\.01"):
        begin(tmp_path, until=until)


def test_an_estimate_counts_everything() -> None:
    found = estimate(line(), SPACE, trials=10, share=0.02)
    assert found.edge == pytest.approx(5.3 * 40)  # as a rule; runs of 40 steps at the least
    assert found.full_runs == pytest.approx(5.3 * 40 / BUDGET + 10.2)
    assert found.step > 0
    assert found.evaluation > 0
    text = " ".join(found.sentences())
    assert "10 runs of 30 steps" in text
    assert f"{found.full_runs:.1f} full runs" in text


def test_an_estimate_counts_what_averaged_weights_are_shown() -> None:
    space = ScheduleSpace(budget=BUDGET, families=("linear", "swa"))
    found = estimate(line(), space, trials=10, share=0.02)
    assert found.result == pytest.approx(10 * FORWARD)
    assert found.full_runs == pytest.approx(5.3 * 40 / BUDGET + 10.2 + 100 * FORWARD / BUDGET)


def test_an_estimate_of_a_task_that_raises_says_so() -> None:
    def broken(model: nn.Module, batch: Any) -> torch.Tensor:
        raise OSError("the disk is gone")

    with pytest.raises(TaskError, match="failed while its steps were timed: OSError"):
        estimate(line(loss=broken), SPACE, trials=1, share=0.02)
