"""Sharpness from three losses, against the Hessian as a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsearch.curvature import direction, quiet, restored, sharpness_along
from lrsearch.testing import dense_hessian, quadratic


def problem(
    kind: str, dtype: torch.dtype
) -> tuple[nn.Module, Callable[[nn.Module, Any], Tensor], Any]:
    torch.manual_seed(2)
    x = torch.randn(64, 5).to(dtype)
    y = torch.sin(x[:, 0] + x[:, 1] * x[:, 2])
    if kind == "logistic":
        model: nn.Module = nn.Linear(5, 3)
        target, criterion = (2.9 * y.abs()).long(), nn.functional.cross_entropy
    elif kind == "tanh":
        model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))
        target, criterion = y, nn.functional.mse_loss
    else:
        model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 3))
        target, criterion = (2.9 * y.abs()).long(), nn.functional.cross_entropy
    return model.to(dtype), lambda model, b: criterion(model(b[0]), b[1]), (x, target)


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.02),
    "adam": lambda p: torch.optim.Adam(p, lr=2e-3),
}


def prepared(
    kind: str, name: str, dtype: torch.dtype, steps: int = 12
) -> tuple[nn.Module, Callable[[], float], list[Tensor], list[Tensor], float, Callable[[], Tensor]]:
    """A trained problem: model, its loss, parameters, direction, g'd, and its Hessian."""
    model, loss_fn, batch = problem(kind, dtype)
    optimizer = OPTIMIZERS[name](model.parameters())
    for step in range(steps + 1):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        if step < steps:
            optimizer.step()
    params = list(model.parameters())
    d = direction(optimizer)
    slope = sum(float((p.grad * v).sum()) for p, v in zip(params, d, strict=True))

    def loss_at() -> float:
        return float(loss_fn(model, batch))

    return model, loss_at, params, d, slope, lambda: dense_hessian(model, loss_fn, batch)


# The step changes the loss by a tenth, so terms of fourth order remain; they, not rounding, set
# the tolerance. BatchNorm along Adam's direction is the most curved of the problems.
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", ["logistic", "tanh", "batch norm"])
def test_agrees_with_the_dense_hessian(kind: str, optimizer: str, dtype: torch.dtype) -> None:
    model, loss_at, params, d, slope, hessian = prepared(kind, optimizer, dtype)
    flat = torch.cat([v.flatten() for v in d]).double()
    exact = float(flat @ hessian().double() @ flat) / slope
    with quiet(model), restored(params):
        found = sharpness_along(loss_at, params, d, slope)
    assert found.note is None
    assert found.sharpness == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("scale", [0.25, 4.0])
def test_the_first_guess_of_the_slope_sets_the_step_only(scale: float) -> None:
    model, loss_at, params, d, slope, _ = prepared("tanh", "sgd", torch.float64)
    readings = []
    for guess in (slope, scale * slope):
        with quiet(model), restored(params):
            readings.append(sharpness_along(loss_at, params, d, guess).sharpness)
    assert readings[1] == pytest.approx(readings[0], rel=0.1)
    assert readings[1] != readings[0]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 0.02)])
@pytest.mark.parametrize("eigenvalues", [[5.0, 1.0, 0.1], [5.0, -2.0, 0.5]])
def test_is_the_rayleigh_quotient_on_a_quadratic(
    eigenvalues: list[float], dtype: torch.dtype, tolerance: float
) -> None:
    """No terms of third or fourth order: exact up to rounding, also with negative curvature."""
    model, loss_fn, batch = quadratic(eigenvalues, [0.3, 1.0, -2.0])
    model, batch = model.to(dtype), batch.to(dtype)
    loss_fn(model, batch).backward()
    (w,) = model.parameters()
    g = w.grad
    with restored([w]):
        found = sharpness_along(lambda: float(loss_fn(model, batch)), [w], [g], float(g @ g))
    assert found.loss == loss_fn(model, batch).item()
    assert found.sharpness == pytest.approx(float(g @ (batch * g) / (g @ g)), rel=tolerance)


def test_a_direction_in_another_metric_on_a_quadratic() -> None:
    """``d = g / h`` is Newton's direction: its sharpness is exactly 1."""
    model, loss_fn, batch = quadratic([50.0, 2.0, 0.01], [0.3, 1.0, -2.0])
    loss_fn(model, batch).backward()
    (w,) = model.parameters()
    d = w.grad / batch
    with restored([w]):
        found = sharpness_along(lambda: float(loss_fn(model, batch)), [w], [d], float(w.grad @ d))
    assert found.sharpness == pytest.approx(1.0, rel=1e-9)


def test_half_precision_casts_do_not_hide_the_perturbation() -> None:
    """Inside one autocast block the casts of the weights are cached: unless `quiet` sees to it."""
    model, loss_fn, batch = problem("tanh", torch.float32)

    def half(model: nn.Module, batch: Any) -> Tensor:
        return loss_fn(model, (batch[0], batch[1].bfloat16())).float()

    loss_fn(model, batch).backward()
    params = list(model.parameters())
    d = [p.grad.clone() for p in params]
    flat = torch.cat([v.flatten() for v in d])
    exact = float(flat @ dense_hessian(model, loss_fn, batch) @ flat / (flat @ flat))
    found = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half(model, batch).backward()  # fills the cache
        for guard in (quiet(model), torch.no_grad()):
            with guard, restored(params):
                slope = float(flat @ flat)
                found.append(
                    sharpness_along(lambda: float(half(model, batch)), params, d, slope).sharpness
                )
    assert found[0] == pytest.approx(exact, rel=0.5)  # bfloat16 resolves no more
    assert found[1] is None or abs(found[1] / exact - 1) > 0.5  # the trap is real


def test_parameters_come_back_bit_for_bit_and_unseen_by_autograd() -> None:
    model, loss_at, params, d, slope, _ = prepared("tanh", "adam", torch.float32)
    before = [p.detach().clone() for p in params]
    versions = [p._version for p in params]
    with quiet(model), restored(params) as saved:
        sharpness_along(loss_at, params, d, slope)
        assert not torch.equal(params[0], before[0])  # it leaves them moved
        assert all(torch.equal(s, b) for s, b in zip(saved, before, strict=True))
    assert all(torch.equal(p, b) for p, b in zip(params, before, strict=True))
    assert [p._version for p in params] == versions


@pytest.mark.parametrize(
    ("losses", "slope", "note", "evaluated"),
    [
        ([math.nan], 1.0, "loss not finite", 1),
        ([math.inf], 1.0, "loss not finite", 1),
        ([1.0], 0.0, "no gradient along the update", 1),
        ([1.0], -1.0, "no gradient along the update", 1),
        ([1.0], math.nan, "no gradient along the update", 1),
        ([1.0], math.inf, "no gradient along the update", 1),
        ([1.0, math.nan, 1.2], 1.0, "loss not finite near the weights", 3),
        ([1.0, 0.9, math.inf], 1.0, "loss not finite near the weights", 3),
        ([1.0] * 5, 1.0, "the update's direction does not descend in probe mode", 5),
        (
            [1.0, 1.1, 0.9, 1.1, 0.9],
            1.0,
            "the update's direction does not descend in probe mode",
            5,
        ),
    ],
)
def test_says_why_there_is_no_sharpness(
    losses: list[float], slope: float, note: str, evaluated: int
) -> None:
    pending = iter(losses)
    found = sharpness_along(lambda: next(pending), [torch.ones(2)], [torch.ones(2)], slope)
    assert found.sharpness is None
    assert found.note == note
    assert math.isnan(found.loss) if math.isnan(losses[0]) else found.loss == losses[0]
    assert len(list(pending)) == len(losses) - evaluated


def test_moves_down_first_and_up_after_by_a_tenth_of_the_loss() -> None:
    w = torch.zeros(1, dtype=torch.float64)
    seen: list[float] = []

    def loss_at() -> float:
        seen.append(float(w))
        return 2.0 + float(w)

    found = sharpness_along(loss_at, [w], [torch.ones(1, dtype=torch.float64)], 1.0)
    assert seen == pytest.approx([0.0, -0.2, 0.2])
    assert found.sharpness == pytest.approx(0.0, abs=1e-12)


def test_a_small_valley_with_flat_walls_is_looked_at_from_nearer() -> None:
    """A bowl on a floor: a tenth of the loss to first order lies outside of it."""

    def loss_at() -> float:
        x = float(w)
        return 2.0 + 0.5 * 3.0 * x**2 if abs(x) < 0.5 else 2.375 + 0.001 * (abs(x) - 0.5)

    w = torch.tensor([0.1], dtype=torch.float64)
    d = [torch.tensor([0.3], dtype=torch.float64)]
    assert sharpness_along(loss_at, [w], d, 0.09).sharpness == pytest.approx(3.0)


@pytest.mark.parametrize("guess", [3.0, 100.0])
def test_a_guess_that_is_too_large_keeps_what_the_losses_say(guess: float) -> None:
    """As of a sum over accumulated batches: the nearer look finds no more slope than the first."""
    w = torch.tensor([0.5], dtype=torch.float64)
    calls = 0

    def loss_at() -> float:
        nonlocal calls
        calls += 1
        return 2.0 + 0.5 * 3.0 * float(w) ** 2

    found = sharpness_along(loss_at, [w], [torch.tensor([1.5], dtype=torch.float64)], 2.25 * guess)
    assert found.sharpness == pytest.approx(3.0, rel=1e-6)
    assert found.slope == pytest.approx(2.25, rel=1e-6)
    assert calls == 5


def test_where_the_slope_is_small_the_second_order_sets_the_step() -> None:
    """Just beside a minimum whose walls rise: a tenth of the loss to first order is far away."""

    def loss_at() -> float:
        x = float(w)
        return 1.0 + 0.5 * 3.0 * x**2 + 5.0 * x**4

    w = torch.tensor([0.001], dtype=torch.float64)
    found = sharpness_along(loss_at, [w], [torch.tensor([0.003], dtype=torch.float64)], 0.003**2)
    assert found.sharpness == pytest.approx(3.0, rel=0.2)  # at first 10^5 times too much
