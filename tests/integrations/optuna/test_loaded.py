"""A study that was loaded without its sampler knows its space: it can still be judged."""

from __future__ import annotations

import math

import optuna
import pytest

from lrsearch.exceptions import UnsupportedError
from lrsearch.integrations.optuna import EdgeSampler, study_outlook, study_standings
from lrsearch.search import ScheduleSpace

SPACE = ScheduleSpace(500, families=("linear", "constant"))


def searched(*, width: bool = False) -> optuna.Study:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=1))

    def objective(trial: optuna.Trial) -> float:
        if width:
            trial.suggest_int("width", 1, 3)
        schedule = SPACE.suggest(trial, 0.1)
        behind = 0.5 if schedule.family == "constant" else 0.0
        return (1.0 + behind) * math.exp(0.1 * math.log2(schedule.peak / 0.1) ** 2)

    study.optimize(objective, n_trials=8)
    return study


def loaded(study: optuna.Study) -> optuna.Study:
    return optuna.load_study(study_name=study.study_name, storage=study._storage)


def test_it_is_foretold_what_its_own_sampler_foretells() -> None:
    study = searched()
    found = study_outlook(loaded(study))
    assert found is not None
    assert found == study_outlook(study)
    standings = study_standings(loaded(study))
    assert standings == study_standings(study)
    assert standings[0].family == "linear"


def test_parameters_beside_the_schedule_leave_families_incomparable() -> None:
    assert study_standings(loaded(searched(width=True))) == []


def test_a_study_that_never_knew_a_space_is_refused() -> None:
    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(UnsupportedError, match=r"give the study lrsearch\.EdgeSampler instead of"):
        study_outlook(study)
