"""Backtracking against the algorithm written out, and what it does where nothing is accepted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, AdamW

from lrsearch.exceptions import UnsupportedError
from lrsearch.tuners import LineSearch

Vector = NDArray[np.float64]


def rosenbrock(w: Any) -> Any:
    return (1 - w[0]) ** 2 + 20 * (w[1] - w[0] ** 2) ** 2


def slope(w: Vector) -> Vector:
    inner = w[1] - w[0] ** 2
    return np.array([-2 * (1 - w[0]) - 80 * w[0] * inner, 40 * inner])


def reference(
    w: Vector,
    steps: int,
    *,
    max_lr: float = 1.0,
    c1: float = 1e-4,
    dec: float = 0.8,
    inc: float = 1.5,
    rtol: float = 0.0,
    atol: float = 0.0,
    most: int = 15,
    momentum: float = 0.0,
) -> tuple[Vector, list[float]]:
    """The search as it is written down, along gradient descent's or heavy ball's update."""
    start, buffer, rates = max_lr, np.zeros_like(w), []
    for _ in range(steps):
        g = slope(w)
        buffer = momentum * buffer + g
        u = -buffer
        eta, accepted = start, 0.0
        for trial in range(most + 1):
            if trial:
                eta *= dec
            if rosenbrock(w + eta * u) <= (1 + rtol) * rosenbrock(w) + c1 * eta * (u @ g) + atol:
                accepted = eta
                break
        start = min(inc * accepted, max_lr) if accepted else dec * eta
        w = w + accepted * u
        rates.append(accepted)
    return w, rates


@pytest.mark.parametrize(
    ("ours", "theirs", "momentum"),
    [
        ({}, {}, 0.0),
        ({"max_backtracking_steps": 40}, {"most": 40}, 0.0),
        ({"max_backtracking_steps": 60}, {"most": 60}, 0.9),
        (
            {"max_learning_rate": 0.01, "slope_rtol": 0.3, "decrease_factor": 0.5},
            {"max_lr": 0.01, "c1": 0.3, "dec": 0.5},
            0.0,
        ),
        (
            {"increase_factor": 3.0, "rtol": 0.01, "atol": 0.02, "max_backtracking_steps": 3},
            {"inc": 3.0, "rtol": 0.01, "atol": 0.02, "most": 3},
            0.5,
        ),
    ],
)
def test_it_is_the_reference(ours: dict[str, Any], theirs: dict[str, Any], momentum: float) -> None:
    start = [-1.2, 1.0]
    w = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    tuner = LineSearch(SGD([w], 1.0, momentum=momentum), **ours)
    rates = []
    for _ in range(40):
        tuner.step(lambda: rosenbrock(w))
        rates.append(tuner.learning_rate)
    expected, chosen = reference(np.array(start), 40, momentum=momentum, **theirs)
    assert rates == pytest.approx(chosen, rel=1e-12)
    assert w.tolist() == pytest.approx(expected.tolist(), rel=1e-9)
    assert len(set(rates)) > 2


def test_a_step_lowers_the_loss_of_its_batch_and_counts_what_it_tried() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    x, y = torch.randn(32, 4), torch.randint(3, (32,))
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        return cross_entropy(model(x), y)

    tuner = LineSearch(Adam(model.parameters()), max_backtracking_steps=60)
    for _ in range(5):
        before, start = calls, torch.get_rng_state()
        loss = tuner.step(closure)
        end = torch.get_rng_state()
        torch.set_rng_state(start)
        buffers = [b.clone() for b in model.buffers()]
        with torch.no_grad():
            after = cross_entropy(model(x), y)  # with the same masks
        assert torch.equal(torch.get_rng_state(), end)
        for b, kept in zip(model.buffers(), buffers, strict=True):
            b.copy_(kept)
        assert after < loss
        assert tuner.reading is not None
        assert tuner.reading.slope is not None
        assert tuner.reading.decrease_ratio == pytest.approx(
            float(loss - after) / (tuner.learning_rate * tuner.reading.slope), rel=1e-2
        )
        tried = calls - before - 1
        cost = tuner.cost
        assert tried >= 1
    assert cost == pytest.approx(5 + 0.4 * (calls - 5))
    assert int(model[1].num_batches_tracked) == 5


def test_where_nothing_is_accepted_the_weights_stay_and_the_next_search_goes_on() -> None:
    w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = SGD([w], 1.0, momentum=0.5)
    tuner = LineSearch(optimizer, max_backtracking_steps=2, decrease_factor=0.5)
    steep = lambda: 50.0 * (w**2).sum()  # noqa: E731 (lowered by rates under 0.02)
    rates = []
    for _ in range(8):
        tuner.step(steep)
        rates.append(tuner.learning_rate)
        if rates[-1] == 0:
            assert w.item() == 1.0
            assert tuner.reading is not None
            assert tuner.reading.finite
            assert tuner.reading.note is not None
            assert "lowers the loss enough" in tuner.reading.note
        else:
            break
    assert rates[0] == 0.0
    assert rates[-1] > 0.0
    assert optimizer.state[w]["momentum_buffer"] != 0


def test_losses_that_are_not_finite_are_not_accepted() -> None:
    w = nn.Parameter(torch.tensor([0.5], dtype=torch.float64))
    tuner = LineSearch(SGD([w], 1.0))
    tuner.step(lambda: -torch.log(w).sum())  # its slope is -2; beyond 1 the log is defined as well
    assert tuner.learning_rate == 1.0
    w = nn.Parameter(torch.tensor([0.5], dtype=torch.float64))
    tuner = LineSearch(SGD([w], 1.0))
    tuner.step(lambda: torch.log(w).sum())  # downhill ends at -inf
    assert 0 < tuner.learning_rate < 0.25
    assert math.isfinite(w.item())


def test_l2_decay_is_searched_for_and_the_decoupled_kind_is_not() -> None:
    w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    tuner = LineSearch(SGD([w], 1.0, weight_decay=100.0), max_backtracking_steps=60)
    tuner.step(lambda: 1e-3 * w.sum())
    assert 0 < tuner.learning_rate < 0.02
    found = []
    for decay in (0.0, 0.1):
        v = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        tuner = LineSearch(AdamW([v], weight_decay=decay))
        tuner.step(lambda v=v: (v**2).sum())
        found.append((tuner.learning_rate, v.item()))
    (rate, plain), (same, decayed) = found
    assert rate == same
    assert decayed == pytest.approx(plain - 0.1 * rate, rel=1e-12)


def test_numbers_that_make_no_sense_are_refused() -> None:
    w = nn.Parameter(torch.ones(2))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"max_learning_rate": 0.0}, "max_learning_rate must be"),
        ({"decrease_factor": 1.0}, "decrease_factor must be"),
        ({"increase_factor": 0.9}, "increase_factor at least 1"),
        ({"slope_rtol": 1.0}, "slope_rtol in"),
        ({"atol": -1.0}, "must not be negative"),
        ({"max_backtracking_steps": -1}, "must not be negative"),
    ]
    for options, message in wrong:
        with pytest.raises(UnsupportedError, match=message):
            LineSearch(SGD([w], 0.1), **options)
