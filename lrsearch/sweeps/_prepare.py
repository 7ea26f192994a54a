"""What a sweep makes sure of before its trials begin, with Ray or without."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.trial import TrialState

from lrsearch.exceptions import InvalidSpaceError, StudyMismatchError, TaskError
from lrsearch.integrations import optimizer_kind
from lrsearch.integrations.optuna import (
    ERROR_KEY,
    edge_key,
    enqueue,
    stored_edge,
    study_outlook,
)
from lrsearch.search import FAMILY, RATE_KEY
from lrsearch.stability import Edge
from lrsearch.sweeps._storage import local_file
from lrsearch.training import Task

TASK_KEY = "lrsearch:task"
SEED_KEY = "lrsearch:sweep_seed"
GIVE_UP = 3  # failed trials without one that worked: the task is broken, not the rates


def check_share(share: float) -> None:
    """Refuse a share of a run's cost that is none.

    Raises:
        InvalidSpaceError: If it does not lie in (0, 1].
    """
    if not 0 < share <= 1:
        raise InvalidSpaceError(f"share must lie in (0, 1], for example 0.02, got {share!r}.")


def settled(study: optuna.Study, until: float | None) -> bool:
    """Whether no more than ``until`` is expected to be gained, and no rate waits to be tried."""
    if until is None or study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        return False
    found = study_outlook(study)
    return found is not None and found.remaining <= until


def runs_folder(storage: str) -> Path:
    """Where locks and checkpoints go: a place that no other storage shares."""
    path = local_file(storage)
    if path is not None:
        return path.with_name(f"{path.name}.runs")
    return Path("lrsearch-runs") / hashlib.sha256(storage.encode()).hexdigest()[:8]


def agree(study: optuna.Study, task: Task, seed: int | None) -> int:
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


def known_edge(study: optuna.Study, task: Task) -> Edge | None:
    """The edge that the study knows of a task.

    Raises:
        StudyMismatchError: If it was measured for another optimizer.
    """
    known = stored_edge(study, edge_key(task.name, ""))
    if known is None:
        return None
    kind = optimizer_kind(task)
    if known.optimizer not in ("", kind):
        raise StudyMismatchError(
            f"the edge of study {study.study_name!r} was measured for {known.optimizer}, and "
            f"task {task.name!r} now trains with {kind}: give the changed task another name, "
            "or name another study."
        )
    return known


def enqueue_rates(study: optuna.Study, rates: Sequence[tuple[str | None, float]]) -> None:
    """Enqueue the rates that the study has not been given before."""
    tried = [
        (t.system_attrs.get("fixed_params", {}).get(FAMILY), t.user_attrs[RATE_KEY])
        for t in study.get_trials(deepcopy=False)
        if RATE_KEY in t.user_attrs
    ]
    for family, rate in dict.fromkeys(rates):
        if (family, rate) not in tried:
            enqueue(study, rate, family)


def give_up_if_broken(study: optuna.Study) -> None:
    """Refuse to go on where nothing but failures has come.

    Raises:
        TaskError: If the first trials have all failed.
    """
    ended = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    failed = [t for t in ended if t.state == TrialState.FAIL]
    if len(failed) == len(ended) >= GIVE_UP:
        raise TaskError(
            f"the first {len(failed)} trials all failed, the last with "
            f"{failed[-1].user_attrs.get(ERROR_KEY, 'no reason stored')}: mend the task, then run "
            "the sweep in a new study."
        )
