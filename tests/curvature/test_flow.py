"""The gradient-flow solution, against exact ones and against itself along one flow."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lrsearch.curvature import (
    FlowProgress,
    FlowSolution,
    curvature_along,
    flow_cost,
    gradient_flow,
    sharpness,
)
from lrsearch.exceptions import MeasurementError, UnsupportedError
from lrsearch.tasks import load_digits
from lrsearch.testing import quadratic, scalar_flow_sharpness, scalar_network, scalar_solution

DOUBLE_BACKWARD = 2.5  # gradients per product, as measured
STARTS = [
    (1.5, 1.2, 0.8, 0.6),
    (2.0, 0.6),
    (12.5, 0.05, 0.05, 0.05),
    (3.0, 0.5, 0.5),
    (2.0, 1.9, 1.8, 1.7),
    (-1.5, -0.5, 0.7),
    (0.3, 0.3, 0.3, 0.3),  # from beside a saddle point: the sharpest direction turns by 90 degrees
    (1.0, 1.0, 1.0),
    (2.5, 0.9, 0.7, 0.5, 1.1),
    (1.5, 1.2, 1.1, 0.9, 0.8, 0.6),
]


def network(examples: int = 30, dtype: torch.dtype = torch.float32, seed: int = 0) -> Any:
    train = load_digits().train
    x = train.images[:examples].flatten(1).to(dtype)
    y = nn.functional.one_hot(train.labels[:examples], 10).to(dtype)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10)).to(dtype)
    return model, squared_error, (x, y)


def squared_error(model: nn.Module, batch: Any) -> Tensor:
    return 0.5 * (model(batch[0]) - batch[1]).square().sum(1).mean()


def place(model: nn.Module, vector: Tensor) -> None:
    nn.utils.vector_to_parameters(vector.to(next(model.parameters()).dtype), model.parameters())


class Counting:
    """A loss function that counts its calls and can begin to fail."""

    def __init__(self, loss_fn: Callable[[nn.Module, Any], Tensor], good: float = math.inf) -> None:
        self.loss_fn, self.good, self.calls = loss_fn, good, 0

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        self.calls += 1
        value = self.loss_fn(model, batch)
        return value if self.calls <= self.good else value * math.nan


def readings(found: FlowSolution) -> int:
    """Graphs built for products: what the cost holds besides gradients and products."""
    return round(found.cost - found.gradients - DOUBLE_BACKWARD * found.hvps)


# Exact solutions.


@pytest.mark.parametrize("weights", STARTS)
@pytest.mark.parametrize("solver", ["RK23", "RK45", "BDF"])
def test_scalar_networks_end_where_they_must(weights: tuple[float, ...], solver: str) -> None:
    found = gradient_flow(*scalar_network(weights), tolerance=1e-4, solver=solver)
    assert found.converged
    assert found.reason == "estimated error within 0.0001"
    assert found.sharpness == pytest.approx(scalar_flow_sharpness(weights), rel=1e-4)
    assert found.parameters.tolist() == pytest.approx(scalar_solution(weights), rel=1e-3)
    assert found.loss < 1e-6
    assert found.cost < 1500


@pytest.mark.parametrize("tolerance", [0.03, 0.01, 1e-3, 1e-5])
@pytest.mark.parametrize("weights", STARTS)
def test_what_it_says_of_its_error_is_true(weights: tuple[float, ...], tolerance: float) -> None:
    found = gradient_flow(*scalar_network(weights), tolerance=tolerance)
    assert found.converged
    assert found.error <= tolerance * found.sharpness
    assert abs(found.sharpness / scalar_flow_sharpness(weights) - 1) <= tolerance


def test_a_minimum_above_zero_is_a_solution_too() -> None:
    model, loss_fn, batch = scalar_network((1.5, 1.2, 0.8, 0.6))
    found = gradient_flow(model, lambda m, b: loss_fn(m, b) + 7.0, batch, tolerance=1e-3)
    assert found.converged
    assert found.sharpness == pytest.approx(4.940728, rel=1e-3)
    assert found.loss == pytest.approx(7.0, abs=1e-3)


def test_a_fast_collapse_is_not_taken_for_the_end() -> None:
    """One mode dies at once; the other, which holds most of the loss, halves its curvature."""

    def loss_fn(model: nn.Module, _: Any) -> Tensor:
        a, b = model.w
        return 0.5 * (1000.0 * a**2 * (1.0 + b**2 / 400) + b**2)

    model, _, batch = quadratic([1.0, 1.0], [0.5, 20.0])
    found = gradient_flow(model, loss_fn, batch, tolerance=0.03, max_gradients=40_000)
    assert found.converged
    assert found.sharpness == pytest.approx(1000.0, rel=0.03)


def test_a_saddle_point_is_no_solution() -> None:
    """From (1, -1) the flow of ``1/2 (w_1 w_2 - 1)^2`` ends at the origin, eigenvalues 1 and -1."""
    found = gradient_flow(*scalar_network((1.0, -1.0)), max_gradients=600)
    assert found.parameters.abs().max() < 0.1
    assert not found.converged


def test_it_follows_the_flow_and_not_just_any_way_down() -> None:
    """Half way ``w_i^2 - w_j^2`` is what it was, and the loss falls by ``|g|^2`` a time."""
    weights = (2.0, 0.6, 0.9)
    steps: list[FlowProgress] = []
    found = gradient_flow(*scalar_network(weights), max_gradients=40, progress=steps.append)
    w, before = found.parameters, torch.tensor(weights, dtype=torch.float64)
    assert torch.allclose(w**2 - w[0] ** 2, before**2 - before[0] ** 2, rtol=0, atol=1e-4)
    here, ahead = steps[1], steps[2]
    first, last = here.gradient_norm**2, ahead.gradient_norm**2
    speed = (first - last) / math.log(first / last)  # mean of an exponential
    assert here.loss - ahead.loss == pytest.approx(speed * (ahead.time - here.time), rel=0.05)


# A small network.


@pytest.fixture(scope="module")
def digits() -> tuple[Any, FlowSolution]:
    at = network()
    return at, gradient_flow(*at)


def test_a_network_reaches_its_solution(digits: tuple[Any, FlowSolution]) -> None:
    (model, loss_fn, batch), found = digits
    assert found.converged
    assert found.loss < 1e-4 * loss_fn(model, batch).item()
    assert found.error <= 0.01 * found.sharpness
    assert found.sharpness > 1.2 * sharpness(model, loss_fn, batch).value  # it matters


def test_every_point_of_a_flow_has_the_same_solution(digits: tuple[Any, FlowSolution]) -> None:
    (model, loss_fn, batch), found = digits
    further = network()[0]
    part = gradient_flow(model, loss_fn, batch, max_gradients=600)
    assert not part.converged
    place(further, part.parameters)
    assert 1e-3 < squared_error(further, batch).item() < 0.1
    again = gradient_flow(further, loss_fn, batch)
    assert again.converged
    assert again.sharpness == pytest.approx(found.sharpness, rel=0.01)
    assert again.time + part.time == pytest.approx(found.time, rel=0.6)
    elsewhere = network(seed=1)
    other = gradient_flow(*elsewhere)
    assert abs(other.sharpness / found.sharpness - 1) > 0.02  # so this test could fail


def test_single_precision_is_enough() -> None:
    one = gradient_flow(*network(examples=10))
    two = gradient_flow(*network(examples=10, dtype=torch.float64))
    assert one.converged
    assert two.converged
    assert one.sharpness == pytest.approx(two.sharpness, rel=5e-4)
    assert one.parameters.dtype == torch.float64


def test_micro_batches_count_alike() -> None:
    model, loss_fn, (x, y) = network(examples=10)
    whole = gradient_flow(model, loss_fn, (x, y))
    parts = gradient_flow(model, loss_fn, (x[:5], y[:5]), (x[5:], y[5:]))
    assert parts.converged
    assert parts.sharpness == pytest.approx(whole.sharpness, rel=1e-3)
    other = gradient_flow(model, loss_fn, (x[:5], y[:5]))
    assert other.sharpness != pytest.approx(whole.sharpness, rel=0.02)


# What it leaves behind, and what it says.


@pytest.mark.parametrize("solver", ["auto", "BDF"])
@pytest.mark.parametrize("fails", [False, True])
def test_it_leaves_no_trace(solver: str, fails: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5)).train()
    model.append(nn.Linear(4, 2))
    generator = torch.Generator().manual_seed(0)
    batch = (torch.randn(6, 3, generator=generator), torch.randn(6, 2, generator=generator))
    squared_error(model, batch).backward()
    kept = squared_error(model, batch)  # a graph from before
    loss_fn = Counting(squared_error, 20 if fails else math.inf)

    def state() -> list[Any]:
        tensors = [*model.state_dict().values(), *(p.grad for p in model.parameters())]
        versions = [p._version for p in model.parameters()]
        numpy = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
        generators = [torch.get_rng_state().tolist(), numpy, random.getstate()]
        modes = [m.training for m in model.modules()]
        return [[t.clone().tolist() for t in tensors], versions, generators, modes]

    before, pointers = state(), [p.data_ptr() for p in model.parameters()]
    moved: list[bool] = []

    def look(_: FlowProgress) -> None:
        moved.append(state()[0] != before[0])

    with pytest.raises(MeasurementError) if fails else nullcontext():
        gradient_flow(model, loss_fn, batch, solver=solver, max_gradients=150, progress=look)
    assert state() == before
    assert pointers == [p.data_ptr() for p in model.parameters()]
    assert any(moved)
    kept.backward()


def test_counts_are_those_of_the_calls() -> None:
    model, loss_fn, batch = network(examples=10)
    counting, steps = Counting(loss_fn), list[FlowProgress]()
    found = gradient_flow(model, counting, batch, progress=steps.append)
    assert found.converged
    assert counting.calls == found.gradients + readings(found)
    assert 3 < readings(found) < 40
    counts, times = [s.gradients for s in steps], [s.time for s in steps]
    assert counts == sorted(set(counts))
    assert times == sorted(set(times))
    assert counts[-1] == found.gradients
    assert times[-2] < found.time < times[-1]  # between two steps
    assert all(s.estimated == max(s.gradients, found.estimate.gradients) for s in steps)
    losses = [s.loss for s in steps]
    assert losses[0] < squared_error(model, batch).item()
    assert losses[-1] < 1e-2 * losses[0]


@pytest.mark.parametrize("most", [1, 2, 50, 300])
@pytest.mark.parametrize("solver", ["RK23", "BDF"])
def test_it_stops_where_it_must(most: int, solver: str) -> None:
    model, loss_fn, batch = scalar_network((0.1, 0.1, 0.2, 0.15))
    counting = Counting(loss_fn)
    found = gradient_flow(model, counting, batch, max_gradients=most, solver=solver, tolerance=1e-6)
    assert not found.converged
    assert found.reason == f"stopped at a cost of {most} gradients, the most it may take"
    assert found.gradients <= most
    assert found.cost <= most + found.estimate.cost + 40  # the reading at the end, and one begun
    assert counting.calls == found.gradients + readings(found)
    assert math.isfinite(found.sharpness)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    model, loss_fn, batch = scalar_network((1.5, 0.5))
    with pytest.raises(MeasurementError, match="the loss is nan"):
        gradient_flow(model, Counting(loss_fn, 0), batch)
    with pytest.raises(MeasurementError, match="the loss is nan"):
        flow_cost(model, Counting(loss_fn, 0), batch)


@pytest.mark.parametrize("solver", ["RK23", "RK45", "BDF"])
def test_an_abyss_ends_the_flow_with_a_reason(solver: str) -> None:
    """A loss that is not defined further on: the flow runs into the wall and stops there."""

    def loss_fn(model: nn.Module, batch: Any) -> Tensor:
        return model.w.sum() + 0.1 * model.w.square().sum() + (model.w.sum() - 1.0).sqrt() * 0.1

    model, _, batch = quadratic([1.0, 1.0], [2.0, 1.0])
    found = gradient_flow(model, loss_fn, batch, solver=solver, max_gradients=3000)
    assert not found.converged
    assert "failed" in found.reason or "most it may take" in found.reason
    assert math.isfinite(found.loss)
    assert found.parameters.sum().item() == pytest.approx(1.0, abs=0.1)


# The estimate.


def test_the_estimate_is_exact_for_a_quadratic() -> None:
    """One mode ``h`` is at its end, ``exp(-h t) = tolerance``, at ``log(1 / tolerance) / h``."""
    estimate = flow_cost(*quadratic([4.0], [1.0]), tolerance=0.01)
    assert estimate.time == pytest.approx(math.log(100) / 4, rel=1e-3)
    assert estimate.sharpness == pytest.approx(4.0)
    assert estimate.loss == 2.0
    assert estimate.gradient_norm == 4.0
    assert estimate.gradients == math.ceil(2.0 * math.log(100))
    slow = flow_cost(*quadratic([4.0, 0.4], [1.0, 1.0]), tolerance=0.01)
    assert slow.time == pytest.approx(0.5 * math.log(1e4 / 2) / 0.4, rel=0.02)


def test_the_estimate_is_taken_once_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    at = network(examples=10)
    estimate = flow_cost(*at)
    assert estimate.solver == "RK23"
    assert flow_cost(*scalar_network((1.5, 0.5))).solver == "RK45"
    with caplog.at_level(logging.INFO, logger="lrsearch"):
        found = gradient_flow(*at)
    assert found.estimate == estimate
    (record,) = caplog.records
    assert f"roughly {estimate.gradients} gradients by RK23" in record.getMessage()
    assert estimate.gradients / 30 < found.gradients < 30 * estimate.gradients
    assert estimate.cost == pytest.approx(1 + DOUBLE_BACKWARD * estimate.hvps)


@pytest.mark.parametrize(
    "wrong",
    [{"tolerance": 0.0}, {"tolerance": math.nan}, {"tolerance": 1.0}, {"solver": "Euler"},
     {"max_gradients": 0}],
)  # fmt: skip
def test_senseless_numbers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="must be"):
        gradient_flow(*scalar_network((1.5, 0.5)), **wrong)


def test_products_can_be_taken_where_it_ended() -> None:
    model, loss_fn, batch = scalar_network((1.5, 1.2, 0.8, 0.6))
    found = gradient_flow(model, loss_fn, batch, tolerance=1e-4)
    place(model, found.parameters)
    along = curvature_along(model, loss_fn, batch, direction=[1 / found.parameters])
    assert along.quotient == pytest.approx(found.sharpness, rel=1e-3)
