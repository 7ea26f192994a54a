"""The probe of methods finds those that work, and finds out those that only seem to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lrsearch.curvature import Hessian, probe_methods
from lrsearch.curvature import _cost as cost
from lrsearch.curvature import _products as products
from lrsearch.exceptions import MeasurementError
from lrsearch.testing import quadratic

METHODS = ["double-backward", "forward-over-reverse", "finite-difference"]


def mlp(activation: type[nn.Module] = nn.Tanh) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), activation(), nn.Linear(16, 3))


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(32, 4, generator=generator), torch.randint(3, (32,), generator=generator)


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


@pytest.mark.parametrize("precision", ["single", "double", "autocast", "half"])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_where_all_work_the_first_is_taken(activation: type[nn.Module], precision: str) -> None:
    """In bfloat16 too, where differences of gradients are rough: they must not be the judge."""
    model, (x, y) = mlp(activation), batch()
    if precision == "double":
        model, x = model.double(), x.double()
    if precision == "half":
        model, x = model.bfloat16(), x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        found = probe_methods(model, lambda m, b: loss_fn(m, b).float(), (x, y))
    assert found.verdicts == dict.fromkeys(METHODS, "works")
    assert found.method == "double-backward"
    differences = 1 + cost.FORWARD + cost.FINITE_DIFFERENCE
    assert found.cost == pytest.approx(
        differences + cost.GRAPH + 2 * cost.DOUBLE_BACKWARD + 2 * cost.FORWARD_OVER_REVERSE
    )


def test_what_fails_says_why_and_the_next_is_taken() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.LSTM(4, 3, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x.unsqueeze(1))[0][:, -1]

    found = probe_methods(Whole(), loss_fn, batch())
    assert found.method == "double-backward"
    assert "forward AD" in found.verdicts["forward-over-reverse"]
    with pytest.raises(TypeError):
        found.verdicts["new"] = "no"  # type: ignore[index]


class Wrong(products.DoubleBackward):
    kind = "factor"

    def __call__(self, vector: Tensor) -> Tensor:
        right = super().__call__(vector)
        if self.kind == "factor":
            return 1.5 * right
        if self.kind == "not a number":
            return right * torch.nan
        skewed = right.clone()
        skewed[: len(right) // 2] += 0.2 * right.norm() * vector[len(right) // 2 :][:1]
        return right + 0.3 * torch.roll(vector, 1)


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [("factor", "from gradients"), ("skew", "not symmetric"), ("not a number", "nan")],
)
def test_wrong_products_are_found_out(
    kind: str, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wrong, "kind", kind)
    monkeypatch.setitem(products.FLAVOURS, "double-backward", Wrong)
    found = probe_methods(mlp(), loss_fn, batch())
    assert verdict in found.verdicts["double-backward"]
    assert found.method == "forward-over-reverse"


def test_a_zero_gradient_is_no_obstacle() -> None:
    found = probe_methods(*quadratic([3.0, 1.0], [0.0, 0.0]))
    assert found.verdicts == dict.fromkeys(METHODS, "works")


def power(exponent: float) -> Any:
    class Point(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(2, dtype=torch.float64))

        def forward(self, batch: Tensor) -> Tensor:
            return (self.w if exponent == 1.5 else self.w.abs()).pow(1.5).sum() + self.w.sum()

    return Point(), lambda model, batch: model(batch), torch.ones(1)


def test_second_derivatives_that_are_not_finite_do_not_count_as_working() -> None:
    """``|w|^1.5`` at zero: gradients all around, but no second derivative."""
    found = probe_methods(*power(0.0))
    assert found.method == "finite-difference"
    assert found.verdicts["double-backward"] != "works"
    with pytest.raises(MeasurementError, match="finite-difference: not finite") as caught:
        probe_methods(*power(1.5))  # and nan on one side
    assert "pass a loss_fn" in str(caught.value)


def test_what_the_probe_finds_can_be_given_to_a_hessian() -> None:
    model = mlp()
    found = probe_methods(model, loss_fn, batch())
    with Hessian(model, loss_fn, batch(), method=found.method) as hessian:
        assert (hessian @ hessian.random()).isfinite().all()
