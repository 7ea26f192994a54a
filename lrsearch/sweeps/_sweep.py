"""A sweep over a task: measured, searched, resumable at any moment."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.trial import TrialState

from lrsearch.exceptions import InvalidSpaceError, StorageError, StudyMismatchError, TaskError
from lrsearch.integrations.optuna import (
    ERROR_KEY,
    SPACE_KEY,
    EdgeSampler,
    StabilityPruner,
    edge_key,
    enqueue,
    refuse_other_space,
    store_edge,
    stored_edge,
)
from lrsearch.search import FAMILY, RATE_KEY, ScheduleSpace
from lrsearch.stability import Edge
from lrsearch.sweeps._edge import optimizer_kind, task_edge
from lrsearch.sweeps._events import Listener, Silent
from lrsearch.sweeps._lease import LIFE, Lease, checkpoint_path, claim
from lrsearch.sweeps._storage import local_file, open_storage, open_study
from lrsearch.sweeps._trial import Bench, run_trial
from lrsearch.training import Task

TASK_KEY = "lrsearch:task"
SEED_KEY = "lrsearch:sweep_seed"
GIVE_UP = 3  # failed trials without one that worked: the task is broken, not the rates


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """What a sweep has come to.

    Attributes:
        study: The study, with everything in it.
        edge: The edge that its multipliers count from.
        running: Trials that other workers still have.
        out_of_time: Whether the time was up before all trials had begun.
    """

    study: optuna.Study
    edge: Edge
    running: tuple[int, ...] = ()
    out_of_time: bool = False

    @property
    def complete(self) -> bool:
        """Whether all the trials asked for have ended."""
        return not self.running and not self.out_of_time


def sweep(
    task: Task,
    space: ScheduleSpace,
    *,
    storage: str = "sqlite:///lrsearch.db",
    study_name: str | None = None,
    trials: int = 20,
    timeout: float | None = None,
    seed: int | None = None,
    share: float = 0.02,
    rates: Sequence[tuple[str | None, float]] = (),
    folder: Path | None = None,
    checkpoint_every: int | None = None,
    listener: Listener | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> SweepResult:
    """Measure the edge of a task, then search its schedule space until enough trials have ended.

    Called again with the same storage and study it goes on where it stopped: trials of dead workers
    are taken over at their last checkpoint, those of living ones are left alone. Several processes
    may work on one study.

    Args:
        task: What to train.
        space: What to search.
        storage: Where the study lives.
        study_name: Its name; task name and budget by default.
        trials: How many trials the study is to have in the end (all workers and starts together).
        timeout: Seconds after which no new trial begins.
        seed: Seed of everything; 0, or the study's own, by default.
        share: Share of a run's cost for watching it.
        rates: ``(family or None, peak learning rate)`` to be tried first, in absolute units.
        folder: Where checkpoints go; beside a local storage by default.
        checkpoint_every: Steps between checkpoints; a tenth of the budget by default.
        listener: Told what happens.
        interrupted: Asked between steps; once true the running trial is checkpointed.

    Raises:
        LrsearchError: If task, storage or study do not allow it; see the subclasses.
        KeyboardInterrupt: If ``interrupted`` said so.

    Cost: about 0.3 full runs for the edge, then the trials, minus what stopped runs save.
    """
    begun, listener = time.monotonic(), listener or Silent()
    if not 0 < share <= 1:
        raise InvalidSpaceError(f"share must lie in (0, 1], for example 0.02, got {share!r}.")
    name = study_name or f"{task.name}-{space.budget}"
    opened = open_storage(storage, create=True)
    study = open_study(opened, name, direction=task.direction, create=True)
    refuse_other_space(name, study.user_attrs.get(SPACE_KEY), space)
    seed = _agree(study, task, seed)
    study.sampler = EdgeSampler(space, seed=seed)
    study.pruner = StabilityPruner()
    path = local_file(storage)
    if folder is None:
        folder = _runs_folder(storage, path) / name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "begin.lock"):
        _enqueue(study, rates)  # first: a rate that makes no sense is refused at no cost
        study.set_user_attr(SPACE_KEY, space.fingerprint())  # before anything is measured for it
        edge = _edge(study, task, space, seed, listener, interrupted)
    bench = Bench(
        task=task,
        space=space,
        edge=edge,
        seed=seed,
        share=share,
        folder=folder,
        listener=listener,
        checkpoint_every=checkpoint_every,
        interrupted=interrupted,
    )
    listener.known(sum(t.state.is_finished() for t in study.get_trials(deepcopy=False)))
    while timeout is None or time.monotonic() - begun < timeout:
        _give_up_if_broken(study)
        with FileLock(folder / "begin.lock"):
            begun_trial = _begin(study, folder, trials, one_machine=path is not None)
        if begun_trial is None:
            return _result(study, edge, listener)
        trial, lease = begun_trial
        with lease, lease.kept(trial, alone=path is not None):
            listener.end(run_trial(bench, study, trial, lease))
        if interrupted():
            raise KeyboardInterrupt
    return _result(study, edge, listener, out_of_time=True)


def _runs_folder(storage: str, path: Path | None) -> Path:
    """Where locks and checkpoints go: a place that no other storage shares."""
    if path is not None:
        return path.with_name(f"{path.name}.runs")
    return Path("lrsearch-runs") / hashlib.sha256(storage.encode()).hexdigest()[:8]


def _result(
    study: optuna.Study, edge: Edge, listener: Listener, *, out_of_time: bool = False
) -> SweepResult:
    seen = study.get_trials(deepcopy=False)
    running = tuple(t.number for t in seen if t.state == TrialState.RUNNING)
    waiting = sum(t.state == TrialState.WAITING for t in seen)
    if running:
        listener.note(
            f"still open: trials {', '.join(map(str, running))} (another worker has them, or "
            f"died on another machine under {LIFE:.0f} s ago); the same command looks again"
        )
    if waiting and not out_of_time:
        listener.note(f"{waiting} enqueued rates wait: ask for more trials to have them tried")
    return SweepResult(study=study, edge=edge, running=running, out_of_time=out_of_time)


def _agree(study: optuna.Study, task: Task, seed: int | None) -> int:
    """The study's seed, after making sure that it is about this task."""
    mine = {"name": task.name, "metric": task.metric, "direction": task.direction}
    stored = study.user_attrs.get(TASK_KEY)
    if stored is not None and stored != mine:
        raise StudyMismatchError(
            f"study {study.study_name!r} is about task {stored['name']!r} ({stored['metric']}), "
            f"not {task.name!r} ({task.metric}): name another study."
        )
    known = study.user_attrs.get(SEED_KEY)
    if known is not None and seed is not None and seed != known:
        raise StudyMismatchError(
            f"study {study.study_name!r} was begun with seed {known}, not {seed}: leave the seed "
            "out to continue it, or name another study."
        )
    if stored is None:
        study.set_user_attr(TASK_KEY, mine)
    if known is None:
        known = 0 if seed is None else seed
        study.set_user_attr(SEED_KEY, known)
    return int(known)


def _edge(
    study: optuna.Study,
    task: Task,
    space: ScheduleSpace,
    seed: int,
    listener: Listener,
    interrupted: Callable[[], bool],
) -> Edge:
    known = stored_edge(study, edge_key(task.name, ""))
    if known is not None:
        kind = optimizer_kind(task)
        if known.optimizer not in ("", kind):
            raise StudyMismatchError(
                f"the edge of study {study.study_name!r} was measured for {known.optimizer}, and "
                f"task {task.name!r} now trains with {kind}: give the changed task another name, "
                "or name another study."
            )
        listener.edge(known, measured=False)
        return known

    def progress(line: str) -> None:
        listener.note(line)
        if interrupted():
            raise KeyboardInterrupt

    found = task_edge(task, budget=space.budget, seed=seed, progress=progress)
    found = store_edge(study, edge_key(task.name, ""), found)
    listener.edge(found, measured=True)
    return found


def _enqueue(study: optuna.Study, rates: Sequence[tuple[str | None, float]]) -> None:
    tried = [
        (t.system_attrs.get("fixed_params", {}).get(FAMILY), t.user_attrs[RATE_KEY])
        for t in study.get_trials(deepcopy=False)
        if RATE_KEY in t.user_attrs
    ]
    for family, rate in dict.fromkeys(rates):
        if (family, rate) not in tried:
            enqueue(study, rate, family)


def _begin(
    study: optuna.Study, folder: Path, trials: int, *, one_machine: bool
) -> tuple[optuna.Trial, Lease] | None:
    """A dead worker's trial, else a new one, else ``None``. Called by one worker at a time."""
    seen = study.get_trials(deepcopy=False)
    for frozen in seen:
        if frozen.state == TrialState.RUNNING:
            taken = claim(study, frozen, folder, one_machine=one_machine)
            if taken is not None:
                return taken
    if sum(t.state != TrialState.WAITING for t in seen) >= trials:
        return None
    trial = study.ask()
    lease = Lease(folder, trial.number)
    if not lease.acquire():
        study.tell(trial, state=TrialState.FAIL)
        raise StorageError(
            f"another process works on trial {trial.number} in {folder}, for a study that this one "
            "has replaced: end it, or name another study."
        )
    checkpoint_path(folder, trial.number).unlink(missing_ok=True)  # of a study that was deleted
    lease.renew(trial, now=True)
    return trial, lease


def _give_up_if_broken(study: optuna.Study) -> None:
    ended = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    failed = [t for t in ended if t.state == TrialState.FAIL]
    if len(failed) == len(ended) >= GIVE_UP:
        raise TaskError(
            f"the first {len(failed)} trials all failed, the last with "
            f"{failed[-1].user_attrs.get(ERROR_KEY, 'no reason stored')}: mend the task, then run "
            "the sweep in a new study."
        )
