"""A sweep whose trials run on a Ray cluster: the same study, the same trials, many at a time.

The study is the truth. Every start is a new Tune experiment that takes up what an earlier one left
open, from the checkpoint that the study names; so a driver may be killed at any moment.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
from optuna.trial import TrialState
from ray import tune

from lrsearch.exceptions import TaskError
from lrsearch.integrations.optuna import (
    SPACE_KEY,
    EdgeSampler,
    check_tolerance,
    edge_key,
    refuse_other_space,
    store_edge,
)
from lrsearch.integrations.ray import (
    MEMORY_KEY,
    METRIC,
    EdgeSearcher,
    StabilityTrialScheduler,
    advice,
    tuner,
)
from lrsearch.search import ScheduleSpace
from lrsearch.stability import Edge
from lrsearch.sweeps._events import Listener, Silent
from lrsearch.sweeps._prepare import (
    agree,
    check_share,
    enqueue_rates,
    give_up_if_broken,
    known_edge,
    runs_folder,
    settled,
)
from lrsearch.sweeps._storage import open_storage, open_study
from lrsearch.sweeps._sweep import SweepResult, result_of
from lrsearch.sweeps.ray._cluster import Cluster, connected, slots
from lrsearch.sweeps.ray._driver import driving
from lrsearch.sweeps.ray._edge import cluster_edge
from lrsearch.sweeps.ray._experiment import run_experiments
from lrsearch.sweeps.ray._progress import Progress
from lrsearch.training import Task

OPEN = (TrialState.RUNNING,)
KEPT = 2  # checkpoints of a running trial: Tune writes the new one before it deletes the old one


def ray_sweep(
    task: Task,
    space: ScheduleSpace,
    cluster: Cluster,
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
    checkpoint_seconds: float | None = None,
    disk_quota: int | None = None,
    listener: Listener | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> SweepResult:
    """`sweep` on a Ray cluster: only this process, the driver, talks to the storage.

    Args:
        task: What to train. It travels by value; modules that it imports must be on every node.
        space: What to search.
        cluster: Where trials run, and what one of them takes.
        storage: Where the study lives; a local SQLite file will do.
        study_name: Its name; task name and budget by default.
        trials: How many trials the study is to have in the end.
        until: End before that, once little is left to be gained; see `sweep`.
        timeout: Seconds after which no new trial begins.
        seed: Seed of everything; 0, or the study's own, by default.
        share: Share of a run's cost for watching it.
        rates: ``(family or None, peak learning rate)`` to be tried first, in absolute units.
        folder: Where locks and, unless the cluster says otherwise, Tune's files go.
        checkpoint_every: Steps between checkpoints; a tenth of the budget by default.
        checkpoint_seconds: Seconds between checkpoints at the least; 10 by default.
        disk_quota: Bytes that all checkpoints together may take: a trial whose checkpoint is larger
            than its part goes on without. The best trial's weights are always kept.
        listener: Told what happens.
        interrupted: Asked between events; once true the sweep ends, to be gone on with.

    Raises:
        LrsearchError: If task, storage, study or cluster do not allow it; see the subclasses.
        KeyboardInterrupt: If ``interrupted`` said so.

    Cost: as `sweep`; processes that die cost what they did since the last checkpoint.
    """
    begun, listener = time.monotonic(), listener or Silent()
    check_share(share)
    check_tolerance(until)
    name = study_name or f"{task.name}-{space.budget}"
    study = open_study(
        open_storage(storage, create=True), name, direction=task.direction, create=True
    )
    refuse_other_space(name, study.user_attrs.get(SPACE_KEY), space)
    seed = agree(study, task, seed)
    folder = (runs_folder(storage) / name if folder is None else folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    study.sampler = EdgeSampler(space, seed=seed)
    with driving(study, folder), connected(cluster, listener):
        enqueue_rates(study, rates)  # first: a rate that makes no sense is refused at no cost
        study.set_user_attr(SPACE_KEY, space.fingerprint())  # before anything is measured for it
        edge = _edge(study, task, space, seed, cluster, listener)
        searcher = EdgeSearcher(
            space, metric=METRIC, mode=_mode(task), edge=edge, study=study, seed=seed
        )
        searcher.experiment = name  # of all starts: what is open under it is ours to go on with

        def out_of_time() -> bool:
            return timeout is not None and time.monotonic() - begun >= timeout

        searcher.finished_when = lambda: out_of_time() or _broken(study) or settled(study, until)
        listener.known(sum(t.state.is_finished() for t in study.get_trials(deepcopy=False)))
        files = cluster.files or str(folder / "ray")
        options: dict[str, Any] = {"share": share, "checkpoint_every": checkpoint_every}
        if checkpoint_seconds is not None:
            options["checkpoint_seconds"] = checkpoint_seconds
        if disk_quota is not None:
            options["checkpoint_limit"] = disk_quota // (KEPT * slots(cluster))

        def make(more: int) -> tune.Tuner:
            return tuner(
                task,
                space,
                resources=cluster.resources,
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=StabilityTrialScheduler(patience=cluster.patience),
                    max_concurrent_trials=cluster.workers,
                    num_samples=more,
                    reuse_actors=True,  # a new process takes seconds to import torch
                ),
                run_config=tune.RunConfig(
                    name=f"{name.replace('/', '-')}-{uuid4().hex[:8]}",
                    storage_path=files,
                    failure_config=tune.FailureConfig(max_failures=cluster.retries),
                    callbacks=[Progress(study, listener, interrupted, files, folder)],
                    verbose=0,
                ),
                **options,
            )

        run_experiments(searcher, trials, make, listener, interrupted)
        if interrupted():
            raise KeyboardInterrupt
        give_up_if_broken(study)
        _say_memory(study, cluster, listener)
        if cluster.files is None and not study.get_trials(deepcopy=False, states=OPEN):
            shutil.rmtree(folder / "ray", ignore_errors=True)  # nothing there is needed any more
    return result_of(study, edge, listener, out_of_time=out_of_time())


def _edge(
    study: optuna.Study,
    task: Task,
    space: ScheduleSpace,
    seed: int,
    cluster: Cluster,
    listener: Listener,
) -> Edge:
    known = known_edge(study, task)
    if known is not None:
        listener.edge(known, measured=False)
        return known
    listener.note("measuring the edge in a worker of the cluster")
    found, memory, lines = cluster_edge(task, space.budget, seed, cluster.resources)
    for line in lines:
        listener.note(line)
    found = store_edge(study, edge_key(task.name, ""), found)
    listener.edge(found, measured=True)
    if (said := advice(memory, cluster.gpus)) is not None:
        listener.note(said)
    return found


def _mode(task: Task) -> str:
    return "min" if task.direction == "minimize" else "max"


def _broken(study: optuna.Study) -> bool:
    try:
        give_up_if_broken(study)
    except TaskError:  # told at the end, when the running ones have ended
        return True
    return False


def _say_memory(study: optuna.Study, cluster: Cluster, listener: Listener) -> None:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    measured = [t.user_attrs[MEMORY_KEY] for t in complete if MEMORY_KEY in t.user_attrs]
    if measured:
        largest = max(measured, key=lambda m: float(m.get("gpu") or m["host"]))
        if (said := advice(largest, cluster.gpus)) is not None:
            listener.note(said)
