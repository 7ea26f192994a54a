"""`edge` and `watch` as a user's own loop calls them, with a trial and without one."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import FixedTrial, TrialState
from torch import Tensor, nn

import lrsearch
from lrsearch import Edge, EdgeSampler, ScheduleSpace, StabilityPruner
from lrsearch.exceptions import CalibrationError, UnsupportedError
from lrsearch.integrations.optuna import VERDICT_KEY, plan_of, readings_of
from lrsearch.search import FAMILY, MULTIPLIER

SPACE = ScheduleSpace(budget=600)


class Problem:
    """Linear regression that counts its losses; a larger scale has a lower edge."""

    def __init__(self, scale: float = 1.0, optimizer: type = torch.optim.SGD) -> None:
        generator = torch.Generator().manual_seed(0)
        x = scale * torch.randn(24, 16, 4, generator=generator)
        self.batches = [(b, b.sum(1, keepdim=True)) for b in x]
        self.model = nn.Linear(4, 1)
        with torch.no_grad():
            self.model.weight.fill_(0.1)
            self.model.bias.fill_(0.0)
        self.optimizer = optimizer(self.model.parameters(), lr=0.123)
        self.calls = 0

    def loss_fn(self, model: nn.Module, batch: Any) -> Tensor:
        self.calls += 1
        return nn.functional.mse_loss(model(batch[0]), batch[1])

    def edge(self, trial: Any, **options: Any) -> Edge:
        return lrsearch.edge(
            trial, self.model, self.optimizer, self.loss_fn, self.batches, **options
        )


def test_a_study_measures_once_per_key() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0))
    first = Problem()
    edge = first.edge(study.ask(), key=("width", 4))
    assert edge.proxy_steps == 40  # 0.2 of the space's 600 steps would be 22
    assert first.calls > 100
    assert edge.cost > 0
    again = Problem()
    assert again.edge(study.ask(), key=("width", 4)) == edge
    assert again.calls == 0
    other = Problem(scale=4.0)
    steep = other.edge(study.ask(), key=("width", 8))
    assert other.calls > 100
    assert steep.learning_rate < 0.3 * edge.learning_rate
    assert Problem().edge(study.ask(), key=("width", 4)) == edge
    # Another kind of optimizer has another edge, without being told so.
    adam = Problem(optimizer=torch.optim.Adam)
    assert adam.edge(study.ask(), key=("width", 4)).optimizer == "Adam"
    assert adam.calls > 100
    assert sum(k.startswith("lrsearch:edge:") for k in study.user_attrs) == 3


def test_the_edge_of_a_trial_and_of_none_is_the_same() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE))
    shared, alone = Problem(), Problem()
    edge = alone.edge(None, budget=600)
    assert edge == shared.edge(study.ask())
    calls = alone.calls
    assert alone.edge(None, budget=600) == edge  # nothing to remember it in
    assert alone.calls == 2 * calls
    assert alone.edge(None).proxy_steps == 40  # of 1,000 steps
    assert alone.edge(None, budget=600, share=0.6).proxy_steps == 67
    assert alone.optimizer.param_groups[0]["lr"] == 0.123
    assert torch.equal(alone.model.weight, torch.full((1, 4), 0.1))


def test_under_another_sampler_the_edge_is_shared_as_well() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    edge = Problem().edge(study.ask(), budget=300)
    again = Problem()
    assert again.edge(study.ask()) == edge
    assert again.calls == 0
    assert edge.proxy_steps == 40


def test_an_edge_that_cannot_be_measured_fails_its_trial_alone_and_is_not_kept() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE))
    problem = Problem()
    batches, problem.batches = problem.batches, iter(problem.batches)
    with pytest.raises(CalibrationError, match="iterator"):
        problem.edge(study.ask())
    problem.batches = []
    with pytest.raises(CalibrationError, match="no batch"):
        problem.edge(study.ask())
    assert [k for k in study.user_attrs if "edge" in k] == []
    problem.batches = batches
    assert problem.edge(study.ask()).learning_rate > 0


def test_progress_is_told_of_every_annealed_run() -> None:
    lines: list[str] = []
    edge = Problem().edge(None, budget=100, progress=lines.append)
    assert len(lines) == len(edge.trace)
    assert lines[0].startswith("annealed run 1: rate 0.2 gives")


@pytest.mark.parametrize("multiplier", [1.0, 1e4])
@pytest.mark.filterwarnings("ignore:The value .* out of the range:UserWarning")
def test_a_fixed_trial_goes_through_all_of_it_and_is_never_stopped(multiplier: float) -> None:
    space = ScheduleSpace(budget=60)
    trial = FixedTrial(
        {FAMILY: "wsd", "wsd_cooldown": 0.3, "wsd_cooldown_shape": "linear", MULTIPLIER: multiplier}
    )
    problem = Problem()
    edge = problem.edge(trial, budget=60)
    schedule = space.suggest(trial, edge)
    assert (schedule.family, schedule.parameters["cooldown"]) == ("wsd", 0.3)
    plan = plan_of(trial.user_attrs)
    assert plan.peak == schedule.peak == multiplier * plan.alignment * edge.learning_rate
    scheduler = schedule.torch(problem.optimizer)
    with lrsearch.watch(problem.model, problem.optimizer, problem.loss_fn, host=trial) as watch:
        for step, batch in zip(range(60), repeat(problem.batches[0]), strict=False):
            loss = problem.loss_fn(problem.model, batch)
            problem.optimizer.zero_grad()
            loss.backward()
            problem.optimizer.step()
            if step < 59:
                scheduler.step()
            watch.step(loss, batch)
    readings = readings_of(trial.user_attrs)
    assert [r.step for r in readings] == [r.step for r in watch.readings] != []
    assert readings[-1].finite == (multiplier == 1.0)
    assert VERDICT_KEY not in trial.user_attrs


@pytest.mark.parametrize("host", [3, "trial", object()])
def test_a_host_that_is_none_is_refused(host: Any) -> None:
    problem = Problem()
    with pytest.raises(UnsupportedError, match="host must be"):
        lrsearch.watch(problem.model, problem.optimizer, host=host)


def test_a_watch_without_a_plan_takes_its_budget_from_the_call() -> None:
    study = optuna.create_study(pruner=StabilityPruner())

    def objective(trial: optuna.Trial) -> float:
        problem = Problem()
        watch = lrsearch.watch(problem.model, problem.optimizer, host=trial, budget=50)
        with watch:
            for batch in problem.batches * 2:
                loss = problem.loss_fn(problem.model, batch)
                problem.optimizer.zero_grad()
                loss.backward()
                problem.optimizer.step()
                watch.step(loss, batch)
        assert problem.calls == 48  # without a loss_fn nothing is evaluated
        return loss.item()

    study.optimize(objective, n_trials=1)
    (trial,) = study.trials
    assert trial.state == TrialState.COMPLETE
    assert {r.budget for r in readings_of(trial.user_attrs)} == {50}
    assert all(r.gradient_norm > 0 for r in readings_of(trial.user_attrs))
