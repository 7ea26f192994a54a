"""One-shot alternatives: what a range test chooses, and what a run of it costs."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from lrsearch.tasks import digits
from lrsearch.training import Task


@pytest.fixture(scope="module")
def oneshot(load) -> Any:
    return load("oneshot")


@pytest.fixture(scope="module")
def task(load) -> Any:
    plain = digits()
    fields = {name: getattr(plain, name) for name in Task.__dataclass_fields__}
    return load("judged").Judged(**fields | {"budget": 100}, test=plain.evaluate)


def test_a_range_test_ends_where_the_loss_explodes(oneshot, task) -> None:
    rates, losses = oneshot.range_test(task, 0, 100)
    assert len(rates) == len(losses) < 100
    assert rates[0] == oneshot.LOW
    assert np.all(np.diff(rates) > 0)
    assert np.isfinite(losses).all()
    assert 1e-3 < oneshot.lowest(rates, losses) < 1.0
    again, _ = oneshot.range_test(task, 0, 100)
    assert np.array_equal(rates, again)


def test_what_is_chosen_by_hand(oneshot) -> None:
    rates = 2.0 ** np.arange(6)
    losses = np.array([4.0, 3.9, 2.0, 1.0, 0.9, 3.0])
    assert oneshot.lowest(rates, losses) == pytest.approx(1.6)
    assert oneshot.steepest(rates, losses) == 4.0
    assert oneshot.steepest(rates[:2], losses[:2]) == 1.0


@pytest.mark.parametrize("family", ["cosine", "one_cycle"])
def test_a_ranged_run_trains_and_costs_both_parts(oneshot, task, family) -> None:
    loss, steps = oneshot.ranged(family, oneshot.lowest)(task, 0)
    assert loss < 1.0
    assert 105 < steps <= 120


def test_one_cycle_leaves_momentum_alone_where_there_is_none(oneshot, task) -> None:
    def sgd(model: Any, rate: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=rate)

    plain = dataclasses.replace(task, optimizer=sgd, budget=40)
    assert not oneshot.has_momentum(plain)
    loss, _ = oneshot.ranged("one_cycle", oneshot.lowest)(plain, 0)
    assert np.isfinite(loss)


def test_an_optimizer_of_ones_own_is_annealed_and_switched(oneshot, task) -> None:
    calls = []

    class Own(torch.optim.SGD):
        def train(self) -> None:
            calls.append("train")

        def eval(self) -> None:
            calls.append(f"eval at {self.param_groups[0]['lr']:.1e}")

    loss, steps = oneshot.free(task, 0, lambda m: Own(m.parameters(), lr=0.2), annealed=True)
    assert (math.isfinite(loss), steps) == (True, 100)
    assert calls == ["train", "eval at 4.9e-05"]
