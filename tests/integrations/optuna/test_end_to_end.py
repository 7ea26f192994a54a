"""Small real studies on the digits: all of it together, and each part on its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import optuna
import pytest
import torch
from optuna.pruners import BasePruner, MedianPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import TrialState

import lrsearch
from lrsearch import EdgeSampler, ScheduleSpace, StabilityPruner
from lrsearch.exceptions import StudyMismatchError
from lrsearch.integrations.optuna import plan_of, readings_of, verdict_of
from lrsearch.search import FAMILY, MULTIPLIER
from lrsearch.sweeps import summary
from lrsearch.tasks import digits
from lrsearch.training import batches
from lrsearch.tuners import tuner_of

BUDGET = 120
SPACE = ScheduleSpace(budget=BUDGET)
TASK = digits(optimizer="sgd", width=48)
UNTRAINED = math.log(10)


def objective(
    space: ScheduleSpace = SPACE, report: bool = False
) -> Callable[[optuna.Trial], float]:
    def run(trial: optuna.Trial) -> float:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = TASK.model()
        optimizer = TASK.optimizer(model, 0.1)
        momentum = trial.suggest_categorical("momentum", [0.0, 0.5])
        optimizer.param_groups[0]["momentum"] = momentum
        loader = TASK.stream(0, 0)
        edge = lrsearch.edge(
            trial, model, optimizer, TASK.loss, loader, key=momentum, budget=space.budget
        )
        schedule = space.suggest(trial, edge)
        scheduler = schedule.torch(optimizer)
        with lrsearch.watch(model, optimizer, TASK.loss, host=trial) as watch:
            for step, batch in zip(range(space.budget), batches(TASK, trial.number), strict=False):
                loss = TASK.loss(model, batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if step + 1 < space.budget:
                    scheduler.step()
                watch.step(loss, batch)
                if report and step % 30 == 29:
                    trial.report(TASK.evaluate(model), step)
                    if trial.should_prune():
                        raise optuna.TrialPruned
        return TASK.evaluate(model)

    return run


def studied(
    sampler: BaseSampler | None, pruner: BasePruner | None, n_trials: int, report: bool = False
) -> optuna.Study:
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.optimize(objective(report=report), n_trials=n_trials)
    assert all(
        t.state in (TrialState.COMPLETE, TrialState.PRUNED) and plan_of(t.user_attrs)
        for t in study.trials
    )
    assert all(len(readings_of(t.user_attrs)) >= 2 for t in study.trials)
    return study


def test_sampler_and_pruner_together_find_a_good_schedule() -> None:
    study = studied(EdgeSampler(SPACE, seed=0), StabilityPruner(), 8)
    assert study.trials[0].params[MULTIPLIER] == 1.0
    assert study.trials[0].value < 0.35  # the first guess already trains
    assert study.best_value < 0.25 < 0.2 * UNTRAINED
    best = lrsearch.best_schedule(study)
    assert best.provenance["metric"] == study.best_value
    # The edges are the measured ones, one per key.
    edges = {t.params["momentum"]: plan_of(t.user_attrs).edge for t in study.trials}
    assert len(edges) == len(set(edges.values())) == 2


def test_hot_and_cold_trials_are_stopped_beside_good_ones() -> None:
    wide = ScheduleSpace(budget=400, multiplier=(1e-4, 1e3))
    study = optuna.create_study(sampler=EdgeSampler(wide, seed=0), pruner=StabilityPruner())
    for multiplier in (1.0, 1000.0, 0.02):
        study.enqueue_trial({MULTIPLIER: multiplier, "momentum": 0.0, FAMILY: "linear"})
    study.optimize(objective(wide), n_trials=3)
    good, hot, cold = study.trials
    assert (good.state, hot.state, cold.state) == (
        *(TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED),
    )
    assert good.value < 0.35
    assert verdict_of(hot.user_attrs).regime == "diverged"
    assert verdict_of(cold.user_attrs).stop
    spent = [readings_of(t.user_attrs)[-1].step for t in study.trials]
    assert spent[0] == wide.budget
    assert max(spent[1:]) <= wide.budget // 2


def test_optunas_sampler_and_pruner_with_our_space_edge_and_watch() -> None:
    study = studied(TPESampler(seed=0), MedianPruner(n_startup_trials=2), 6, report=True)
    assert study.best_value < 0.4
    assert all(t.intermediate_values for t in study.trials if t.state == TrialState.COMPLETE)
    assert set(study.trials[0].intermediate_values) <= {29, 59, 89, 119}


def test_a_plain_study_with_our_space() -> None:
    study = studied(None, None, 4)
    assert isinstance(study.sampler, TPESampler)
    assert study.best_value < UNTRAINED
    assert lrsearch.best_schedule(study).budget == BUDGET


def test_a_tuner_in_a_users_own_loop_is_known_to_the_watch_and_leaves_a_schedule() -> None:
    space = ScheduleSpace(budget=60, families=("clara",))

    def run(trial: optuna.Trial, *, watched: bool = True) -> float:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = TASK.model()
        optimizer = TASK.optimizer(model, 0.1)
        schedule = space.suggest(trial, 0.2)
        assert schedule.tuned
        tuner = tuner_of(schedule, optimizer)
        watch = lrsearch.watch(model, optimizer, TASK.loss, host=trial if watched else None)
        with watch:
            for _, batch in zip(range(60), batches(TASK, trial.number), strict=False):
                loss = tuner.step(lambda batch=batch: TASK.loss(model, batch))
                watch.step(loss, batch)
        return TASK.evaluate(model)

    study = optuna.create_study(sampler=EdgeSampler(space, seed=0), pruner=StabilityPruner())
    study.optimize(run, n_trials=1)
    readings = readings_of(study.trials[0].user_attrs)
    assert all(reading.tuned and reading.peak is None for reading in readings)
    assert lrsearch.best_schedule(study).family == "piecewise"
    study.optimize(lambda trial: run(trial, watched=False), n_trials=1)
    with pytest.raises(StudyMismatchError, match=r"trial 1 was set by 'clara' .* 0 readings"):
        lrsearch.best_schedule(study, study.trials[1])
    only = optuna.create_study(sampler=EdgeSampler(space, seed=0))
    only.optimize(lambda trial: run(trial, watched=False), n_trials=1)
    shown = summary(only)
    assert shown["best"] is None
    assert [row["trial"] for row in shown["leaderboard"]] == [0]
