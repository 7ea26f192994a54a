"""The study behind a searcher: opened, told of what results bring, and its best metric."""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from lrsearch.integrations.optuna import ATTEMPTS_KEY
from lrsearch.integrations.optuna._attributes import EDGE_PREFIX
from lrsearch.integrations.ray._record import START_KEY, Pairs


def open_study(storage: str | BaseStorage | None, name: str | None, mode: str) -> optuna.Study:
    """Create or load the study that a searcher remembers in."""
    return optuna.create_study(
        storage=storage,
        study_name=name,
        direction="minimize" if mode == "min" else "maximize",
        load_if_exists=True,
    )


def record(study: optuna.Study, trial: optuna.Trial, pairs: Pairs) -> None:
    """Store the pairs of a result in a trial, once; edges are the study's."""
    # The public user_attrs would be a deep copy of all its readings, at every result.
    kept = trial._cached_frozen_trial.user_attrs
    for name, value in pairs:
        if name == START_KEY:
            attempts = [*kept.get(ATTEMPTS_KEY, []), value]
            if value not in attempts[:-1]:  # Tune tells some results twice
                trial.set_user_attr(ATTEMPTS_KEY, attempts)
        elif name.startswith(EDGE_PREFIX):
            if name not in study.user_attrs:
                study.set_user_attr(name, value)
        elif kept.get(name) != value:
            trial.set_user_attr(name, value)


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
