"""`best_schedule` and the edges that a study keeps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

import lrsearch
from lrsearch import Edge, EdgeSampler, Schedule, ScheduleSpace, Verdict
from lrsearch.exceptions import InvalidSpaceError, StudyMismatchError, UnsupportedError
from lrsearch.integrations.optuna import (
    ERROR_KEY,
    VERDICT_KEY,
    edge_key,
    recommended,
    store_edge,
    stored_edge,
    study_outlook,
)
from lrsearch.search import FAMILY, MULTIPLIER

SPACE = ScheduleSpace(budget=80)
EDGE = Edge(learning_rate=0.2, uncertainty=0.5, method="annealed runs", optimizer="SGD")


def distance(trial: optuna.Trial) -> float:
    SPACE.suggest(trial, EDGE)
    return abs(math.log2(trial.params[MULTIPLIER]) - 1.0)


def searched(direction: str = "minimize", **options: Any) -> optuna.Study:
    study = optuna.create_study(
        study_name="mine", direction=direction, sampler=EdgeSampler(SPACE, seed=0), **options
    )
    sign = 1.0 if direction == "minimize" else -1.0
    study.optimize(lambda trial: sign * distance(trial), n_trials=9)
    return study


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_best_schedule_says_where_it_comes_from(direction: str) -> None:
    study = searched(direction)
    best = min(study.trials, key=lambda t: abs(t.value))
    schedule = lrsearch.best_schedule(study)
    plan = best.user_attrs["lrsearch:plan"]
    assert (schedule.family, schedule.peak) == (plan["family"], plan["peak"])
    assert (schedule.budget, schedule.warmup_steps) == (80, 4)
    assert dict(schedule.parameters) == plan["parameters"]
    versions = {"lrsearch": lrsearch.__version__, "optuna": optuna.__version__}
    assert schedule.provenance == {
        "edge": 0.2,
        "edge_method": "annealed runs",
        "multiplier": best.params[MULTIPLIER],
        "alignment": plan["alignment"],
        "peak": plan["multiplier"] * plan["alignment"] * 0.2,
        "study": "mine",
        "trial": best.number,
        "metric": best.value,
        "direction": [direction],
        "seed": None,
        "versions": versions | {"torch": str(torch.__version__)},
    }


def test_the_saved_document_loads_as_the_same_schedule(tmp_path: Path) -> None:
    study = searched(storage=f"sqlite:///{tmp_path / 'study.db'}")
    schedule = lrsearch.best_schedule(study)
    schedule.save(tmp_path / "best.json")
    loaded = Schedule.load(tmp_path / "best.json")
    assert loaded == schedule
    assert loaded.provenance == schedule.provenance
    assert loaded.to_dict() == schedule.to_dict()
    reopened = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert lrsearch.best_schedule(reopened) == schedule


def test_another_trial_can_be_asked_for_a_stopped_one_too() -> None:
    study = searched()

    def stopped(trial: optuna.Trial) -> float:
        distance(trial)
        raise optuna.TrialPruned

    study.optimize(stopped, n_trials=1)
    schedule = lrsearch.best_schedule(study, trial=study.trials[4])
    assert schedule.provenance["trial"] == 4
    assert schedule.peak == study.trials[4].user_attrs["lrsearch:plan"]["peak"]
    schedule = lrsearch.best_schedule(study, trial=study.trials[9])
    assert (schedule.provenance["trial"], schedule.provenance["metric"]) == (9, None)


def test_several_objectives_have_no_single_best() -> None:
    study = optuna.create_study(
        study_name="two", directions=["minimize", "maximize"], sampler=EdgeSampler(SPACE, seed=0)
    )
    study.optimize(lambda trial: (distance(trial), trial.params[MULTIPLIER]), n_trials=5)
    with pytest.raises(StudyMismatchError, match=r"2 objectives.*trial="):
        lrsearch.best_schedule(study)
    chosen = study.best_trials[-1]
    schedule = lrsearch.best_schedule(study, trial=chosen)
    assert schedule.provenance["metric"] == chosen.values
    assert schedule.provenance["direction"] == ["minimize", "maximize"]
    assert Schedule.from_dict(schedule.to_dict()) == schedule


def test_a_trial_without_a_plan_is_refused() -> None:
    study = optuna.create_study(study_name="foreign")
    study.optimize(lambda trial: trial.suggest_float("lr", 0.1, 1.0), n_trials=2)
    for trial in (None, study.trials[1]):
        with pytest.raises(StudyMismatchError, match=r"'foreign'.*ScheduleSpace\.suggest"):
            lrsearch.best_schedule(study, trial=trial)


def test_without_a_finished_trial_the_message_says_why() -> None:
    study = optuna.create_study(study_name="hot", sampler=EdgeSampler(SPACE, seed=0))
    with pytest.raises(StudyMismatchError, match="'hot' has no trials yet"):
        lrsearch.best_schedule(study)

    def objective(trial: optuna.Trial) -> float:
        distance(trial)
        if trial.number == 2:
            trial.set_user_attr(ERROR_KEY, "ValueError: no data")
            raise ValueError
        verdict = Verdict(stop=True, regime="diverged", reason="too hot")
        trial.set_user_attr(VERDICT_KEY, verdict.to_dict())
        raise optuna.TrialPruned

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        study.optimize(objective, n_trials=3, catch=(ValueError,))
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    study.ask()
    with pytest.raises(StudyMismatchError) as caught:
        lrsearch.best_schedule(study)
    message = str(caught.value)
    for part in ("'hot'", "2 pruned", "1 fail", "1 running", "2 x diverged", "1 x ValueError"):
        assert part in message
    study.optimize(distance, n_trials=1)
    assert study.trials[-1].state == TrialState.COMPLETE
    assert lrsearch.best_schedule(study).provenance["trial"] == 4


def test_one_key_has_one_edge() -> None:
    study = optuna.create_study()
    name = edge_key(("width", 64), "SGD")
    assert stored_edge(study, name) is None
    assert store_edge(study, name, EDGE) == EDGE
    late = Edge.known(0.7)
    assert store_edge(study, name, late) == EDGE == stored_edge(study, name)
    assert store_edge(study, edge_key(("width", 65), "SGD"), late) == late
    assert store_edge(study, edge_key(("width", 64), "Adam"), late) == late
    assert stored_edge(study, name) == EDGE
    assert edge_key({"b": 1, "a": 2}, "SGD") == edge_key({"a": 2, "b": 1}, "SGD")


# Which trial is recommended


def noisy(luck: int | None, width: bool = False) -> optuna.Study:
    """Twelve runs on a basin around m = 2 without noise, but for one lucky run far from it."""
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0))
    for octave in (-2.0, -1.9, -1.8, -1.0, 0.0, 0.5, 0.9, 1.0, 1.1, 1.5, 2.0, 3.0):
        study.enqueue_trial({FAMILY: "linear", MULTIPLIER: 2.0**octave})

    def objective(trial: optuna.Trial) -> float:
        SPACE.suggest(trial, EDGE)
        if width:
            trial.suggest_int("width", 1, 8)
        lost = 0.03 * (math.log2(trial.params[MULTIPLIER]) - 1.0) ** 2
        return 0.999 if trial.number == luck else 1.0 + lost

    study.optimize(objective, n_trials=12)
    return study


def test_a_lucky_run_far_from_the_others_is_not_recommended() -> None:
    study = noisy(luck=1)
    assert study.best_trial.number == 1
    chosen = recommended(study)
    assert chosen.number in (5, 6, 7, 8)
    assert lrsearch.best_schedule(study).provenance["trial"] == chosen.number
    assert lrsearch.best_schedule(study, study.best_trial).provenance["trial"] == 1
    assert recommended(noisy(luck=None)).number in (6, 7, 8)


def test_where_more_is_searched_the_best_value_is_recommended() -> None:
    assert recommended(noisy(luck=1, width=True)).number == 1


def test_trials_without_a_schedule_are_ranked_by_their_value() -> None:
    study = optuna.create_study()
    study.optimize(lambda trial: abs(trial.suggest_float("x", -1, 1)), n_trials=6)
    assert recommended(study) == study.best_trial


# When a study has found what there is


def test_the_callback_ends_a_study() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0))

    def objective(trial: optuna.Trial) -> float:
        SPACE.suggest(trial, EDGE)
        return 1.0 + 0.03 * (math.log2(trial.params[MULTIPLIER]) - 1.0) ** 2

    study.optimize(objective, n_trials=30, callbacks=[lrsearch.SettledCallback(0.01)])
    assert 4 <= len(study.trials) < 20
    found = study_outlook(study)
    assert found is not None
    assert found.remaining <= 0.01


def test_the_callback_needs_our_sampler_and_a_share() -> None:
    study = optuna.create_study()
    with pytest.raises(UnsupportedError, match="EdgeSampler instead of TPESampler"):
        study.optimize(
            lambda trial: trial.suggest_float("x", 0, 1),
            n_trials=1,
            callbacks=[lrsearch.SettledCallback()],
        )
    for tolerance in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(InvalidSpaceError, match=r"such as 0\.01"):
            lrsearch.SettledCallback(tolerance)
