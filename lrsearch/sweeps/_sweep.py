"""A sweep over a task: measured, searched, resumable at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import TrialState

from lrsearch.exceptions import StorageError
from lrsearch.integrations.optuna import (
    SPACE_KEY,
    EdgeSampler,
    StabilityPruner,
    check_tolerance,
    refuse_other_space,
)
from lrsearch.search import ScheduleSpace
from lrsearch.stability import Edge
from lrsearch.sweeps._calibration import study_edge
from lrsearch.sweeps._disk import Quota, scratch_of, tidy
from lrsearch.sweeps._events import Listener, Silent
from lrsearch.sweeps._lease import LIFE, Lease, checkpoint_path, claim
from lrsearch.sweeps._prepare import (
    agree,
    check_share,
    enqueue_rates,
    give_up_if_broken,
    runs_folder,
    settled,
)
from lrsearch.sweeps._storage import answering, local_file, open_storage, open_study
from lrsearch.sweeps._trial import Bench, run_trial
from lrsearch.sweeps._turn import turn
from lrsearch.sweeps._weights import settle_weights
from lrsearch.training import Task


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


@answering()
def sweep(
    task: Task,
    space: ScheduleSpace,
    *,
    storage: str = "sqlite:///lrsearch.db",
    study_name: str | None = None,
    trials: int = 20,
    until: float | None = None,
    timeout: float | None = None,
    seed: int | None = None,
    share: float = 0.02,
    rates: Sequence[tuple[str | None, float]] = (),
    folder: Path | None = None,
    checkpoint_every: int | None = None,
    disk_quota: int | None = None,
    listener: Listener | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> SweepResult:
    """Measure the edge of a task, then search its schedule space until enough trials have ended.

    Called again with the same storage and study it goes on where it stopped: trials of dead workers
    are taken over at their last checkpoint, those of living ones are left alone. Several processes
    may work on one study, on several machines where the storage is one of a server; they may begin
    one trial too many for every machine after the first.

    Args:
        task: What to train.
        space: What to search.
        storage: Where the study lives.
        study_name: Its name; task name and budget by default.
        trials: How many trials the study is to have in the end (all workers and starts together).
        until: End before that, once the best schedule is expected to be better than the recommended
            one by no more than this share of the loss, such as 0.01.
        timeout: Seconds after which no new trial begins.
        seed: Seed of everything; 0, or the study's own, by default.
        share: Share of a run's cost for watching it.
        rates: ``(family or None, peak learning rate)`` to be tried first, in absolute units.
        folder: Where checkpoints go; beside a local storage by default.
        checkpoint_every: Steps between checkpoints; a tenth of the budget by default.
        disk_quota: Bytes that ``folder`` may take; beyond it, trials train without checkpoints. The
            best trial's weights are kept there in any case.
        listener: Told what happens.
        interrupted: Asked between steps; once true the running trial is checkpointed.

    Raises:
        LrsearchError: If task, storage or study do not allow it; see the subclasses.
        KeyboardInterrupt: If ``interrupted`` said so.

    Cost: about 0.3 full runs for the edge, then the trials, minus what stopped runs save.
    """
    begun, listener = time.monotonic(), listener or Silent()
    check_share(share)
    check_tolerance(until)
    name = study_name or f"{task.name}-{space.budget}"
    opened = open_storage(storage, create=True)
    study = open_study(opened, name, direction=task.direction, create=True)
    refuse_other_space(name, study.user_attrs.get(SPACE_KEY), space)
    seed = agree(study, task, seed)
    study.sampler = EdgeSampler(space, seed=seed)
    study.pruner = StabilityPruner()
    path = local_file(storage)
    if folder is None:
        folder = runs_folder(storage) / name
    folder.mkdir(parents=True, exist_ok=True)
    with turn(folder, listener.note, interrupted, other="measures the edge"):
        enqueue_rates(study, rates)  # first: a rate that makes no sense is refused at no cost
        study.set_user_attr(SPACE_KEY, space.fingerprint())  # before anything is measured for it
        tidy(folder, study)
        settle_weights(folder, study)
        edge = study_edge(
            study,
            task,
            budget=space.budget,
            seed=seed,
            folder=folder,
            one_machine=path is not None,
            listener=listener,
            interrupted=interrupted,
        )
    bench = Bench(
        task=task,
        space=space,
        edge=edge,
        seed=seed,
        share=share,
        folder=folder,
        listener=listener,
        checkpoint_every=checkpoint_every,
        quota=Quota(folder, disk_quota, listener.note),
        interrupted=interrupted,
    )
    listener.known(sum(t.state.is_finished() for t in study.get_trials(deepcopy=False)))
    while timeout is None or time.monotonic() - begun < timeout:
        give_up_if_broken(study)
        if settled(study, until):
            return result_of(study, edge, listener)
        with turn(folder, listener.note, interrupted, other="begins a trial"):
            begun_trial = _begin(study, folder, trials, one_machine=path is not None)
        if begun_trial is None:
            return result_of(study, edge, listener)
        trial, lease = begun_trial
        with lease, lease.kept(trial, alone=path is not None):
            listener.end(run_trial(bench, study, trial, lease))
        if interrupted():
            raise KeyboardInterrupt
    return result_of(study, edge, listener, out_of_time=True)


def result_of(
    study: optuna.Study, edge: Edge, listener: Listener, *, out_of_time: bool = False
) -> SweepResult:
    """What a study has come to; the listener is told what is still open."""
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


def _begin(
    study: optuna.Study, folder: Path, trials: int, *, one_machine: bool
) -> tuple[optuna.Trial, Lease] | None:
    """A dead worker's trial, else a new one, else ``None``. Called by one worker at a time."""
    seen = study.get_trials(deepcopy=False)
    for frozen in seen:
        if frozen.state == TrialState.RUNNING:
            taken = claim(study, frozen, folder, one_machine=one_machine)
            if taken is not None:
                for path in scratch_of(checkpoint_path(taken[1].path.parent, frozen.number)):
                    path.unlink(missing_ok=True)
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
