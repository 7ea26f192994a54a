"""Studies that begin with what earlier ones found."""

from __future__ import annotations

import math
import pickle

import optuna
import pytest

from lrsearch import EdgeSampler, RawStudy, ScheduleSpace
from lrsearch.exceptions import StudyMismatchError
from lrsearch.search import FAMILY, MULTIPLIER, Engine, FinishedRun, earlier
from lrsearch.search._finished import RUNS, STUDIES

SPACE = ScheduleSpace(budget=80, families=("linear", "cosine"))


def basin(octave: float, best: float) -> float:
    return 2.0 + 0.06 * (octave - best) ** 2


def searched(best: float, n: int = 8) -> optuna.Study:
    """A study whose best multiplier lies at some octave."""
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0))

    def objective(trial: optuna.Trial) -> float:
        SPACE.suggest(trial, 0.3)
        return basin(math.log2(trial.params[MULTIPLIER]), best)

    study.optimize(objective, n_trials=n)
    return study


def first(*prior: optuna.Study | RawStudy) -> float:
    """Octave of the first trial of a new study."""
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0, prior_studies=prior))
    SPACE.suggest(study.ask(), 0.1)
    return math.log2(study.trials[0].params[MULTIPLIER])


@pytest.mark.parametrize("best", [-1.5, 1.5])
def test_a_study_begins_near_the_best_of_the_earlier_ones(best: float) -> None:
    assert first() == 0.0
    assert abs(first(searched(best)) - best) < abs(best) / 2


def test_it_is_not_bound_to_them() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0, prior_studies=[searched(-1.5)]))

    def objective(trial: optuna.Trial) -> float:
        SPACE.suggest(trial, 0.1)
        return basin(math.log2(trial.params[MULTIPLIER]), 1.0)

    study.optimize(objective, n_trials=6)
    assert math.log2(study.best_params[MULTIPLIER]) == pytest.approx(1.0, abs=0.5)


def test_raw_rates_are_told_by_their_edge() -> None:
    raw = optuna.create_study()

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("rate", 1e-3, 10.0, log=True)
        return basin(math.log2(rate / 0.4), 1.2)  # best 1.2 octaves over an edge of 0.4

    for octave in (-2, -1, 0, 1, 2, 3):
        raw.enqueue_trial({"rate": 0.4 * 2.0**octave})
    raw.optimize(objective, n_trials=6)
    assert first(RawStudy(raw, edge=0.4, rate="rate")) == pytest.approx(1.2, abs=0.6)
    with pytest.raises(StudyMismatchError, match="RawStudy"):
        first(raw)
    with pytest.raises(StudyMismatchError, match="no finished trial"):
        first(RawStudy(raw, edge=0.4, rate="learning_rate"))


def test_workers_that_unpickle_the_sampler_propose_the_same() -> None:
    sampler = EdgeSampler(SPACE, seed=0, prior_studies=[searched(1.0)])
    again = pickle.loads(pickle.dumps(sampler))
    one, other = (optuna.create_study(sampler=s) for s in (sampler, again))
    for study in (one, other):
        SPACE.suggest(study.ask(), 0.1)
    assert one.trials[0].params == other.trials[0].params


def test_only_the_best_runs_of_the_last_studies_count() -> None:
    runs = [FinishedRun(family="linear", multiplier=1.0 + i, values=(1.0 + i,)) for i in range(40)]
    runs.append(FinishedRun(family="linear", multiplier=1.0, values=(math.nan,)))
    found = earlier([runs] * (STUDIES + 2))
    assert len(found) == STUDIES * RUNS
    assert found.points.octaves.max() == pytest.approx(math.log2(RUNS))
    assert len(earlier([])) == 0
    assert Engine(SPACE, 0, earlier([])).ask(0, []) == Engine(SPACE, 0).ask(0, [])
    assert Engine(SPACE, 0).ask(0, [])[FAMILY] == "linear"
