"""What cannot be measured is refused in one sentence that says what to pass instead."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn.functional import cross_entropy

from lrsearch.curvature import (
    Hessian,
    batch_sharpness,
    critical_rate,
    curvature_along,
    probe_methods,
    sharpness,
)
from lrsearch.curvature._objective import Objective, check_batch, told
from lrsearch.exceptions import MeasurementError


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))


def batch(size: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(size, 4, generator=generator), torch.arange(size) % 3


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def u(model: nn.Module) -> list[Tensor]:
    return [torch.ones_like(p) for p in model.parameters() if p.requires_grad]


Measure = Callable[[nn.Module, Callable[..., Any], Any], object]
MEASURES: dict[str, Measure] = {
    "sharpness": lambda m, f, b: sharpness(m, f, b),
    "sharpness, forward over reverse": lambda m, f, b: sharpness(
        m, f, b, method="forward-over-reverse"
    ),
    "sharpness, differences": lambda m, f, b: sharpness(m, f, b, method="finite-difference"),
    "batch sharpness": lambda m, f, b: batch_sharpness(m, f, [b]),
    "curvature": lambda m, f, b: curvature_along(m, f, b, direction=u(m)),
    "forward only": lambda m, f, b: curvature_along(m, f, b, direction=u(m), method="forward"),
    "critical rate": lambda m, f, b: critical_rate(m, f, b, direction=u(m), start=1.0),
    "probe": lambda m, f, b: probe_methods(m, f, b),
}
FORWARD = {"forward only", "critical rate"}


def one_sentence(error: BaseException) -> None:
    text = str(error)
    assert "\n" not in text
    assert ": pass " in text or ": measure " in text or ": reduce " in text, text
    assert not text.endswith(".")


def wrapped(change: Callable[[Tensor], Any]) -> Callable[[nn.Module, Any], Any]:
    return lambda model, batch: change(loss_fn(model, batch))


def per_example(model: nn.Module, batch: Any) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1], reduction="none")


def raising(error: Exception) -> Callable[[nn.Module, Any], Tensor]:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        raise error

    return loss


BAD: dict[str, tuple[Callable[..., Any], Any, str]] = {
    "empty": (loss_fn, (torch.zeros(0, 4), torch.zeros(0)), r"empty \(a tensor of shape \(0, 4\)"),
    "constant": (loss_fn, (torch.ones(8, 4), torch.arange(8) % 3), "is constant"),
    "one example": (loss_fn, batch(1), r"ValueError: Expected more than 1 value per channel"),
    "nan": (wrapped(lambda x: x * math.nan), batch(), "the loss is nan"),
    "inf": (wrapped(lambda x: x * math.inf), batch(), "the loss is inf"),
    "item": (wrapped(lambda x: x.item()), batch(), r"returned a float and not a tensor"),
    "none": (wrapped(lambda x: None), batch(), "returned a NoneType and not a tensor"),
    "not a scalar": (per_example, batch(), r"must be a scalar, got shape \(8,\)"),
    "a message of many lines": (raising(KeyError("a\nb")), batch(), "KeyError"),
    "no message": (raising(ValueError()), batch(), r"failed in a probe \(ValueError\): pass"),
}
WITHOUT_GRAPH: dict[str, Callable[..., Any]] = {
    "detached": wrapped(lambda x: x.detach()),
    "a constant": lambda model, batch: torch.tensor(1.0),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("measure", MEASURES)
def test_bad_input_is_a_measurement_error(measure: str, bad: str) -> None:
    loss, given, message = BAD[bad]
    with pytest.raises(MeasurementError, match=message) as caught:
        MEASURES[measure](model(), loss, given)
    one_sentence(caught.value)


@pytest.mark.parametrize("bad", WITHOUT_GRAPH)
@pytest.mark.parametrize("measure", [m for m in MEASURES if m not in FORWARD])
def test_a_loss_without_a_graph_is_one_where_derivatives_are_taken(measure: str, bad: str) -> None:
    with pytest.raises(MeasurementError, match="does not depend on any trainable") as caught:
        MEASURES[measure](model(), WITHOUT_GRAPH[bad], batch())
    assert "not .item() or .detach()" in str(caught.value)
    one_sentence(caught.value)


@pytest.mark.parametrize("measure", MEASURES)
def test_parameters_that_cannot_be_differentiated_by(measure: str) -> None:
    frozen = model().requires_grad_(False)
    with pytest.raises(MeasurementError, match="no trainable parameter: pass a model") as caught:
        MEASURES[measure](frozen, loss_fn, batch())
    one_sentence(caught.value)
    split = model()
    split[3].to("meta")
    with pytest.raises(MeasurementError, match=r"several devices \(cpu, meta\): pass") as caught:
        MEASURES[measure](split, loss_fn, batch())
    one_sentence(caught.value)


def test_an_optimizer_s_parameters_are_checked_as_well() -> None:
    whole = model()
    optimizer = optim.SGD(whole[3].parameters(), lr=0.1)
    assert Hessian(whole, loss_fn, batch(), optimizer=optimizer).size == 18
    whole[0].to("meta")  # not asked for
    assert Hessian(whole, loss_fn, batch(), optimizer=optimizer).size == 18
    whole.requires_grad_(False)
    with pytest.raises(MeasurementError, match="no trainable parameter"):
        Hessian(whole, loss_fn, batch(), optimizer=optimizer)


def test_sharded_parameters_are_refused() -> None:
    whole = model()
    whole[0].weight.device_mesh = "here"  # as a DTensor has one
    with pytest.raises(MeasurementError, match="sharded") as caught:
        Hessian(whole, loss_fn, batch())
    assert "unsharded copy" in str(caught.value)


def test_no_batch_at_all() -> None:
    for call in (Hessian, sharpness, probe_methods):
        with pytest.raises(MeasurementError, match="no batch to measure on: pass at least one"):
            call(model(), loss_fn)


def test_a_gradient_that_is_not_finite_is_told_apart_from_the_loss() -> None:
    def kinked(model: nn.Module, batch: Any) -> Tensor:
        return (0.0 * loss_fn(model, batch)).sqrt()

    with pytest.raises(MeasurementError, match="the gradient's norm is nan"):
        sharpness(model(), kinked, batch())


def test_a_gradient_that_cannot_be_taken_says_so() -> None:
    class NoBackward(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            raise RuntimeError("no backward here\nsecond line")

    loss = wrapped(NoBackward.apply)
    for method in ("auto", "finite-difference", "double-backward"):
        with pytest.raises(MeasurementError, match="no backward here") as caught:
            sharpness(model(), loss, batch(), method=method)
        one_sentence(caught.value)


@pytest.mark.parametrize(
    "good",
    [
        (torch.randn(8, 4), torch.zeros(8, 1)),
        {"words": torch.randint(9, (4, 6)), "mask": torch.ones(4, 6)},  # the same mask for all
        {"images": torch.randn(2, 3), "boxes": [torch.zeros(0, 4), torch.ones(1, 4)]},
        (torch.ones(1, 4), torch.zeros(1)),  # one example cannot repeat itself
        torch.ones(5),  # not a batch of inputs
        torch.eye(3).to_sparse(),
        [torch.ones(4, 4), torch.eye(4)],
        ("no tensor", 3),
        (),
    ],
    ids=lambda value: type(value).__name__,
)
def test_ordinary_batches_pass(good: Any) -> None:
    check_batch(good)


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (torch.zeros(0, 3), "empty"),
        ({"x": torch.zeros(0, 3), "y": [torch.zeros(0)]}, "empty"),
        (torch.ones(3, 2), "constant"),
        (torch.full((3, 2), 7), "constant"),
        ({"words": torch.tensor([[1, 2], [1, 2]]), "y": torch.tensor([0, 1])}, "constant"),
        (torch.arange(4.0).expand(3, 4), "constant"),
    ],
)
def test_empty_and_constant_ones_do_not(bad: Any, word: str) -> None:
    with pytest.raises(MeasurementError, match=word):
        check_batch(bad)


def test_the_gradient_is_that_of_the_mean_and_the_loss_comes_with_it() -> None:
    whole, (x, y) = model()[:1].append(nn.Linear(5, 3)).double(), batch(9)
    x = x.double()
    objective = Objective(whole, loss_fn, [(x[i::3], y[i::3]) for i in range(3)])
    loss, gradient = objective.gradient()
    expected = loss_fn(whole, (x, y))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    flat = torch.cat([p.grad.flatten() for p in whole.parameters() if p.grad is not None])
    assert torch.allclose(gradient, flat, rtol=1e-12, atol=1e-15)
    assert objective.size == len(flat)


def test_an_error_is_told_in_one_line() -> None:
    assert told(ValueError("first\nsecond")) == "ValueError: first"
    assert told(ValueError("\n  first")) == "ValueError: first"
    assert told(NotImplementedError()) == "NotImplementedError"
