"""Slope and curvature along a direction against closed forms and dense Hessians."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lrsearch.curvature import _cost as cost
from lrsearch.curvature import curvature_along, sharpness
from lrsearch.exceptions import MeasurementError, UnsupportedError
from lrsearch.testing import dense_hessian, quadratic

METHODS = ["auto", "double-backward", "forward-over-reverse", "finite-difference", "forward"]


@pytest.mark.parametrize("method", METHODS)
def test_on_a_quadratic_all_of_it_is_known(method: str) -> None:
    model, loss_fn, batch = quadratic([4.0, 1.0], [1.0, -2.0])
    u = torch.tensor([-0.5, 0.25], dtype=torch.float64)
    found = curvature_along(model, loss_fn, batch, direction=[u], method=method)
    assert found.loss == pytest.approx(0.5 * (4 + 4), rel=1e-12)
    assert found.slope == pytest.approx(4 * -0.5 + -2 * 0.25, rel=1e-9)
    assert found.curvature == pytest.approx(4 * 0.25 + 0.0625, rel=1e-8)
    assert found.quotient == pytest.approx(1.0625 / 0.3125, rel=1e-8)
    assert found.critical == pytest.approx(2 * 2.5 / 1.0625, rel=1e-8)
    back = u * found.critical + model.w.detach()
    assert float((0.5 * batch * back**2).sum()) == pytest.approx(found.loss, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_on_a_network_it_is_the_dense_quadratic_form(method: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = torch.randn(12, 4).double(), torch.randint(3, (12,))

    def loss_fn(model: nn.Module, batch: Any) -> Tensor:
        return cross_entropy(model(batch[0]), batch[1])

    matrix = dense_hessian(model, loss_fn, (x, y))
    loss = loss_fn(model, (x, y))
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    direction = [-1e-3 * g for g in gradients]
    u = torch.cat([d.flatten() for d in direction])
    g = torch.cat([g.flatten() for g in gradients])
    parts = [(x[:6], y[:6]), (x[6:], y[6:])]
    for batches in ([(x, y)], parts):
        found = curvature_along(model, loss_fn, *batches, direction=direction, method=method)
        assert found.loss == pytest.approx(loss.item(), rel=1e-12)
        assert found.slope == pytest.approx(float(g @ u), rel=1e-5)
        assert found.curvature == pytest.approx(float(u @ matrix @ u), rel=1e-5)
        assert found.quotient == pytest.approx(float(u @ matrix @ u / (u @ u)), rel=1e-5)
    assert found.quotient <= sharpness(model, loss_fn, (x, y), tolerance=1e-6).value


def test_where_the_loss_does_not_come_back_there_is_no_critical_step() -> None:
    model, loss_fn, batch = quadratic([4.0, -1.0], [1.0, 1.0])
    uphill = [torch.tensor([1.0, 0.0], dtype=torch.float64)]
    concave = [torch.tensor([0.0, 1.0], dtype=torch.float64)]
    assert curvature_along(model, loss_fn, batch, direction=uphill).critical == 0.0
    assert curvature_along(model, loss_fn, batch, direction=concave).critical == math.inf


def test_a_direction_in_another_precision_is_taken() -> None:
    model, loss_fn, batch = quadratic([4.0, 1.0], [1.0, -2.0])
    model.float()
    u = torch.tensor([-0.5, 0.25], dtype=torch.float64)
    for method in METHODS:
        found = curvature_along(model, loss_fn, batch.float(), direction=[u], method=method)
        assert found.curvature == pytest.approx(1.0625, rel=1e-3)


def test_what_it_costs() -> None:
    model, loss_fn, batch = quadratic([4.0, 1.0], [1.0, -2.0])
    calls = 0

    def counting(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return loss_fn(model, batch)

    u = [torch.ones(2, dtype=torch.float64)]
    expected = {
        "forward": (3 * cost.FORWARD, 3),
        "double-backward": (cost.GRAPH + cost.DOUBLE_BACKWARD, 1),
        "finite-difference": (1 + cost.FORWARD + cost.FINITE_DIFFERENCE, 4),
    }
    for method, (price, evaluations) in expected.items():
        calls = 0
        found = curvature_along(model, counting, batch, direction=u, method=method)
        assert found.cost == pytest.approx(price)
        assert calls == evaluations


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        ([torch.ones(3)], r"shapes \[\(3,\)\], the trainable parameters \[\(2,\)\]: pass one"),
        ([], r"shapes \[\]"),
        ([torch.zeros(2)], "length 0.0: pass one that is finite, not 0"),
        ([torch.tensor([math.nan, 1.0])], "length nan"),
        ([torch.tensor([math.inf, 1.0])], "length inf"),
    ],
)
@pytest.mark.parametrize("method", ["auto", "forward"])
def test_a_direction_that_does_not_fit_is_refused(
    direction: list[Tensor], message: str, method: str
) -> None:
    model, loss_fn, batch = quadratic([4.0, 1.0], [1.0, -2.0])
    with pytest.raises(MeasurementError, match=message):
        curvature_along(model, loss_fn, batch, direction=direction, method=method)


@pytest.mark.parametrize("method", ["auto", "forward"])
def test_a_loss_that_is_not_finite_here_or_near_is_an_error(method: str) -> None:
    model, loss_fn, batch = quadratic([4.0, math.nan], [1.0, -2.0])
    u = [torch.ones(2, dtype=torch.float64)]
    with pytest.raises(MeasurementError, match="the loss is nan: measure where it is finite"):
        curvature_along(model, loss_fn, batch, direction=u, method=method)


def test_an_unknown_method_is_refused() -> None:
    model, loss_fn, batch = quadratic([4.0, 1.0], [1.0, -2.0])
    with pytest.raises(UnsupportedError, match="'backward'"):
        curvature_along(model, loss_fn, batch, direction=[torch.ones(2)], method="backward")
