"""Runs compared with the best finished one, in a user's own loop under any sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState
from torch import nn

import lrsearch
from lrsearch import StabilityPruner
from lrsearch.integrations.optuna import readings_of, verdict_of
from lrsearch.integrations.optuna._attributes import peers_of, records_of
from lrsearch.search._behind import CERTAIN, MOST
from lrsearch.stability import look_steps

BUDGET = 400
GOOD, SLOW = 0.062, 0.02  # rates: the slow one learns, and is behind all the way
FINISHED = 0.0605, 0.061, GOOD
DATA = torch.randn(96, 2, generator=torch.Generator().manual_seed(0))
TARGET = DATA[:, :1].sin() + DATA[:, 1:] ** 2


def loss_fn(model: nn.Module, batch: Any) -> torch.Tensor:
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def held_out(model: nn.Module) -> float:
    with torch.no_grad():
        return float(loss_fn(model, (DATA[64:], TARGET[64:])))


def objective(
    trial: optuna.Trial,
    looks: Callable[[nn.Module], float] | None = held_out,
    result: Callable[[float], Any] = lambda loss: loss,
) -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    batch = DATA[:64], TARGET[:64]
    with lrsearch.watch(
        model, optimizer, loss_fn, host=trial, budget=BUDGET, validation_loss=looks
    ) as watch:
        for _ in range(BUDGET):
            loss = loss_fn(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss, batch)
    return result(held_out(model))


def study_of(*rates: float, pruner: Any = None, **options: Any) -> optuna.Study:
    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(0), pruner=pruner or StabilityPruner(), **options
    )
    for rate in rates:
        study.enqueue_trial({"rate": rate})
    return study


def ended(study: optuna.Study, number: int) -> tuple[FrozenTrial, Any]:
    trial = study.trials[number]
    return trial, verdict_of(trial.user_attrs)


def test_a_run_that_is_behind_is_stopped_at_a_look_and_says_why() -> None:
    study = study_of(*FINISHED, SLOW, GOOD)
    study.optimize(objective, n_trials=5)
    assert [t.state.name for t in study.trials] == [*["COMPLETE"] * 3, "PRUNED", "COMPLETE"]
    _, verdict = ended(study, 3)
    assert verdict.regime == "behind"
    assert verdict.step in look_steps(BUDGET)
    assert verdict.step <= 0.2 * BUDGET
    assert "3 finished trials" in verdict.reason


def test_the_first_runs_have_none_to_be_behind() -> None:
    study = study_of(GOOD, SLOW, SLOW)
    study.optimize(objective, n_trials=3)
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 3


def test_of_many_that_are_behind_one_goes_to_its_end_now_and_then() -> None:
    study = study_of(*FINISHED, *[SLOW] * (MOST + 2))
    study.optimize(objective, n_trials=3 + MOST + 2)
    states = [t.state.name for t in study.trials[3:]]
    assert states == [*["PRUNED"] * MOST, "COMPLETE", "PRUNED"]


def test_without_a_validation_loss_runs_are_not_compared() -> None:
    study = study_of(*FINISHED, SLOW)
    study.optimize(lambda trial: objective(trial, None), n_trials=4)
    assert all(t.state == TrialState.COMPLETE for t in study.trials)


def test_the_best_is_the_studys_best_also_where_it_is_to_be_maximised() -> None:
    study = study_of(*FINISHED, SLOW, direction="maximize")
    study.optimize(lambda trial: objective(trial, result=lambda loss: -loss), n_trials=4)
    assert ended(study, 3)[1].regime == "behind"
    upside_down = study_of(SLOW, GOOD, SLOW, SLOW, direction="maximize")
    upside_down.optimize(objective, n_trials=4)  # its best value is the worst run's
    assert [p.number for p in peers_of(upside_down)] == [0, 2, 3, 1]
    assert all(t.state == TrialState.COMPLETE for t in upside_down.trials)


def test_several_objectives_have_no_best() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"], pruner=StabilityPruner())
    for rate in (*FINISHED, SLOW):
        study.enqueue_trial({"rate": rate})
    study.optimize(lambda trial: objective(trial, result=lambda x: (x, 1.0)), n_trials=4)
    assert peers_of(study) == []
    assert all(t.state == TrialState.COMPLETE for t in study.trials)


def test_trial_should_prune_says_the_same() -> None:
    study = study_of(*FINISHED)
    study.optimize(objective, n_trials=3)
    finished = study.trials[2]
    trial = study.ask()
    for reading in readings_of(finished.user_attrs):
        if reading.step > 80:
            break
        for loss, stops in ((reading.annealed_validation, False), (5.0, True)):
            if loss is not None and reading.step == 80:
                key = f"lrsearch:reading:{reading.step:010d}"
                trial.set_user_attr(key, reading.to_dict() | {"annealed_validation": loss})
                assert trial.should_prune() is stops


def test_trials_that_were_not_looked_at_are_nobodys_peers() -> None:
    """Such as those of an older version."""
    study = study_of(*FINISHED, *FINISHED, SLOW)
    study.optimize(lambda trial: objective(trial, None), n_trials=3)
    study.optimize(objective, n_trials=4)
    assert ended(study, 6)[1].regime == "behind"
    assert {p.number for p in peers_of(study) if p.state == "complete"} == {3, 4, 5}


def test_our_sampler_hears_of_it() -> None:
    study = study_of(*FINISHED, SLOW)
    study.optimize(objective, n_trials=4)
    *finished, record = records_of(study.trials, study.directions, ("rate",))
    assert [r.lag for r in finished] == [None] * 3
    assert record.lag is not None
    assert record.lag[0] > CERTAIN * record.lag[1] > 0
