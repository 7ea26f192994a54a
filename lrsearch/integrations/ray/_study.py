"""The study behind a searcher: opened, and its best metric."""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState


def open_study(storage: str | BaseStorage | None, name: str | None, mode: str) -> optuna.Study:
    """Create or load the study that a searcher remembers in."""
    return optuna.create_study(
        storage=storage,
        study_name=name,
        direction="minimize" if mode == "min" else "maximize",
        load_if_exists=True,
    )


def best_value(study: optuna.Study) -> float | None:
    """The best metric of a study so far."""
    found = [
        t.value
        for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if t.value is not None
    ]
    if not found:
        return None
    return min(found) if study.direction == StudyDirection.MINIMIZE else max(found)
