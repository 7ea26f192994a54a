"""What is left of a sweep: files for the winner, and everything as one plain document."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from lrsearch.exceptions import StudyMismatchError
from lrsearch.integrations.optuna import best_schedule, recommended, study_outlook
from lrsearch.schedules import Schedule
from lrsearch.stability import Edge
from lrsearch.sweeps._confirm import Confirmation
from lrsearch.sweeps._leaderboard import leaderboard, total_cost
from lrsearch.sweeps._memory import file_stem


def finished(study: optuna.Study) -> int:
    """Number of trials that ended with a metric."""
    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))


def schedule_of(study: optuna.Study, number: int | None) -> Schedule:
    """The schedule of a study's trial with this number, or of its best one.

    Raises:
        StudyMismatchError: If there is no such trial, or it has no schedule.
    """
    if number is None:
        return best_schedule(study)
    found: list[FrozenTrial] = [t for t in study.get_trials() if t.number == number]
    if not found:
        raise StudyMismatchError(
            f"study {study.study_name!r} has no trial {number}; its numbers end at "
            f"{len(study.get_trials(deepcopy=False)) - 1}."
        )
    return best_schedule(study, found[0])


def closing(study: optuna.Study) -> list[str]:
    """Which trial a sweep recommends, and what it may still gain, in a sentence each."""
    winner, lowest = recommended(study), study.best_trial
    why = f"winner: trial {winner.number}"
    if winner.number != lowest.number:
        why += (
            f", expected to be the best when trained again; trial {lowest.number} was lucky, by "
            "what its neighbours reached"
        )
    ahead = study_outlook(study)
    return [why] if ahead is None else [why, ahead.sentence()]


def write_winner(study: optuna.Study, out: Path) -> dict[str, Path]:
    """Write the best schedule as JSON.

    Args:
        study: The study.
        out: Folder to write into; made if it is missing.

    Returns:
        The file, by "schedule".
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{file_stem(study.study_name)}.json"
    best_schedule(study).save(path)
    return {"schedule": path}


def summary(
    study: optuna.Study,
    *,
    edge: Edge | None = None,
    confirmation: Confirmation | None = None,
    files: dict[str, Path] | None = None,
) -> dict[str, Any]:
    """A study as one JSON-safe document: best schedule, leaderboard, costs in full runs."""
    board = leaderboard(study)
    document: dict[str, Any] = {
        "study": study.study_name,
        "best": _best(study),
        "cost": total_cost(study),
        "leaderboard": [
            {name: _plain(value) for name, value in row.items()} for row in board.to_dict("records")
        ],
    }
    if edge is not None:
        document["edge"] = edge.to_dict()
    if confirmation is not None:
        document["confirmation"] = asdict(confirmation) | {
            "values": [v if math.isfinite(v) else None for v in confirmation.values],
            "reproduced": confirmation.reproduced,
        }
    if files:
        document["files"] = {name: str(path) for name, path in files.items()}
    return document


def _best(study: optuna.Study) -> dict[str, Any] | None:
    """The best schedule's document, if there is a single best one and it can be told."""
    if len(study.directions) > 1 or not finished(study):
        return None
    try:
        return best_schedule(study).to_dict()
    except StudyMismatchError:  # a tuner's, with too few readings; its row says which trial it is
        return None


def _plain(value: Any) -> Any:
    infinite = isinstance(value, float) and not math.isfinite(value)
    return None if infinite or pd.isna(value) else value
