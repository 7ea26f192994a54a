"""Runs compared with the best finished one, in a user's own loop under any sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import FrozenTrial, TrialState
from torch import nn

import lrsearch
from lrsearch import StabilityPruner
from lrsearch.integrations.optuna import readings_of, verdict_of
from lrsearch.integrations.optuna._attributes import best_peer
from lrsearch.stability import look_steps

BUDGET = 400
GOOD, SLOW = 0.06, 0.02  # rates: the slow one learns, and is behind all the way
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
    study = study_of(GOOD, SLOW, GOOD)
    study.optimize(objective, n_trials=3)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "PRUNED", "COMPLETE"]
    _, verdict = ended(study, 1)
    assert verdict.regime == "behind"
    assert verdict.step in look_steps(BUDGET)
    assert verdict.step <= 0.2 * BUDGET
    assert "trial 0" in verdict.reason


def test_the_first_run_has_none_to_be_behind() -> None:
    study = study_of(SLOW, GOOD)
    study.optimize(objective, n_trials=2)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE"]


def test_without_a_validation_loss_runs_are_not_compared() -> None:
    study = study_of(GOOD, SLOW)
    study.optimize(lambda trial: objective(trial, None), n_trials=2)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE"]


def test_the_best_is_the_studys_best_also_where_it_is_to_be_maximised() -> None:
    study = study_of(GOOD, SLOW, direction="maximize")
    study.optimize(lambda trial: objective(trial, result=lambda loss: -loss), n_trials=2)
    assert ended(study, 1)[1].regime == "behind"
    upside_down = study_of(SLOW, GOOD, SLOW, direction="maximize")
    upside_down.optimize(objective, n_trials=3)  # its best value is the worst run's
    assert best_peer(upside_down)[0].number == 0
    assert all(t.state == TrialState.COMPLETE for t in upside_down.trials)


def test_several_objectives_have_no_best() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"], pruner=StabilityPruner())
    for rate in (GOOD, SLOW):
        study.enqueue_trial({"rate": rate})
    study.optimize(lambda trial: objective(trial, result=lambda x: (x, 1.0)), n_trials=2)
    assert best_peer(study) == []
    assert all(t.state == TrialState.COMPLETE for t in study.trials)


def test_trial_should_prune_says_the_same() -> None:
    study = study_of(GOOD)
    study.optimize(objective, n_trials=1)
    finished = study.trials[0]
    trial = study.ask()
    for reading in readings_of(finished.user_attrs):
        if reading.step > 80:
            break
        for loss, stops in ((reading.annealed_validation, False), (5.0, True)):
            if loss is not None and reading.step == 80:
                key = f"lrsearch:reading:{reading.step:010d}"
                trial.set_user_attr(key, reading.to_dict() | {"annealed_validation": loss})
                assert trial.should_prune() is stops


def test_a_lossless_winner_is_nobodys_peer() -> None:
    """Trials that were not looked at, such as those of an older version, are passed over."""
    study = study_of(GOOD, GOOD, SLOW)
    study.optimize(lambda trial: objective(trial, None), n_trials=1)
    study.optimize(objective, n_trials=2)
    assert ended(study, 2)[1].regime == "behind"
    assert best_peer(study)[0].number == 1


@pytest.mark.parametrize("finished", [False, True])
def test_our_sampler_hears_of_it(finished: bool) -> None:
    from lrsearch.integrations.optuna._attributes import records_of

    study = study_of(GOOD, SLOW) if finished else study_of(SLOW)
    study.optimize(objective, n_trials=2 if finished else 1)
    record = records_of(study.trials, study.directions, ("rate",))[-1]
    assert (record.lag is not None) is finished
    if record.lag is not None:
        assert record.lag[0] > 0.5 * record.lag[1] > 0
