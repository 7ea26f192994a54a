"""What a winner is worth with fresh seeds."""

from __future__ import annotations

import json
import math

import optuna
import pytest
import torch
from scipy.stats import t as student
from torch import nn

from lrsearch.integrations.optuna import best_schedule
from lrsearch.search import PLAN_KEY, Plan, calibration_seed, confirmation_seed, trial_seed
from lrsearch.sweeps import Confirmation, confirm, summary
from lrsearch.sweeps._prepare import SEED_KEY
from lrsearch.training import Task, tensor_stream


def confirmation(*values: float, metric: float = 1.0) -> Confirmation:
    return Confirmation(trial=4, metric=metric, values=values)


def test_the_interval_is_students_for_one_more_run() -> None:
    """By hand, on the logarithm: half = t(0.975, 2) * s * sqrt(1 + 1/3)."""
    logs = [0.0, 0.1, -0.1]
    low, high = confirmation(*map(math.exp, logs)).interval
    half = 4.302652729911275 * 0.1 * math.sqrt(4 / 3)
    assert (math.log(low), math.log(high)) == pytest.approx((-half, half))


def test_it_covers_as_often_as_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(4000, 4, generator=generator).exp().tolist()
    inside = sum(confirmation(*d[:3], metric=d[3]).reproduced for d in draws) / len(draws)
    assert inside == pytest.approx(0.95, abs=0.012)


def test_metrics_that_are_not_positive_are_taken_as_they_are() -> None:
    low, high = confirmation(-1.0, 0.0, 1.0).interval
    half = float(student.ppf(0.975, 2)) * math.sqrt(4 / 3)
    assert (low, high) == pytest.approx((-half, half))


@pytest.mark.parametrize(("metric", "inside"), [(1.02, True), (0.5, False), (2.0, False)])
def test_reproduced_or_not_is_said(metric: float, inside: bool) -> None:
    found = confirmation(1.0, 1.05, 0.95, metric=metric)
    assert found.reproduced is inside
    sentence = found.sentence("error")
    assert f"winner (trial 4): error {metric:.4g} in the sweep" in sentence
    assert "retrained with 3 fresh seeds 1 +- 0.05: " in sentence
    assert ("within seed noise" in sentence) is inside
    assert ("OUTSIDE seed noise" in sentence) is not inside


def test_one_seed_claims_nothing() -> None:
    found = confirmation(1.0, metric=50.0)
    assert found.interval == (-math.inf, math.inf)
    assert "one seed tells nothing" in found.sentence("error")
    assert "noise (95" not in found.sentence("error")


def test_seeds_are_fresh() -> None:
    used = {trial_seed(3, n) for n in range(100)} | {calibration_seed(3)}
    fresh = {confirmation_seed(3, n, turn) for n in range(100) for turn in range(3)}
    assert len(used) == 101
    assert len(fresh) == 300
    assert not used & fresh
    assert confirmation_seed(4, 0, 0) not in fresh


class Setup:
    """A study with a winner, and a task that counts its trainings."""

    def __init__(self, metrics: list[float] | None = None) -> None:
        self.study = optuna.create_study(study_name="s")
        self.study.set_user_attr(SEED_KEY, 3)
        plan = Plan(
            family="linear", multiplier=1.0, alignment=1.0, edge=0.1, edge_method="known",
            peak=0.1, budget=12,
        )  # fmt: skip
        trial = self.study.ask()
        trial.set_user_attr(PLAN_KEY, plan.to_dict())
        self.study.tell(trial, 0.5)
        self.seeds: list[int] = []
        self.notes: list[str] = []
        self.metrics = iter(metrics) if metrics else None
        x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        self.task = Task(
            name="sum",
            model=self.build,
            loss=lambda model, batch: (model(batch[0]) - batch[0].sum(1, True)).square().mean(),
            stream=tensor_stream(x, batch_size=16),
            evaluate=self.evaluate,
            optimizer=lambda model, rate: torch.optim.SGD(model.parameters(), lr=rate),
        )

    def build(self) -> nn.Module:
        self.seeds.append(torch.initial_seed())
        return nn.Linear(2, 1)

    def evaluate(self, model: nn.Module) -> float:
        return next(self.metrics) if self.metrics else float(model.weight.detach().sum())

    def confirm(self, seeds: int) -> Confirmation:
        schedule = best_schedule(self.study)
        return confirm(self.study, self.task, schedule, seeds=seeds, note=self.notes.append)


def test_retrainings_are_remembered() -> None:
    setup = Setup()
    first = setup.confirm(2)
    assert setup.seeds == [confirmation_seed(3, 0, 0), confirmation_seed(3, 0, 1)]
    assert (first.trial, first.metric, len(set(first.values))) == (0, 0.5, 2)
    assert len(setup.notes) == 2
    assert setup.confirm(2) == first
    assert len(setup.seeds) == 2  # nothing was trained again
    more = setup.confirm(3)
    assert more.values[:2] == first.values
    assert len(setup.seeds) == 3


def test_a_retraining_that_diverges_is_said_and_json_stays_json() -> None:
    setup = Setup([0.5, math.nan, 0.6])
    found = setup.confirm(3)
    assert not found.reproduced
    assert found.sentence("error").endswith(
        "NOT reproduced: 1 of 3 retrainings with fresh seeds diverged"
    )
    setup.confirm(3)
    assert len(setup.seeds) == 3  # a divergence is remembered as well
    document = json.loads(json.dumps(summary(setup.study, confirmation=found), allow_nan=False))
    assert document["confirmation"]["values"] == [0.5, None, 0.6]
    assert document["confirmation"]["reproduced"] is False


def test_what_a_tuner_did_is_not_taken_for_the_tuner() -> None:
    found = Confirmation(trial=4, metric=0.2, values=(1.0, 1.05, 0.95), tuner="cdat")
    sentence = found.sentence("error")
    assert sentence.endswith("by what cdat did and without it")
    assert "seed noise" not in sentence
