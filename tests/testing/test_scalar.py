"""The scalar networks: closed forms, published figures, and gradient descent on them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

import pytest
import torch

from lrsearch.testing import (
    dense_hessian,
    scalar_flow_sharpness,
    scalar_gradient,
    scalar_hessian,
    scalar_network,
    scalar_solution,
)

FIGURES = {
    (1.5, 1.2, 0.8, 0.6): 4.940728,
    (2.0, 0.6): math.sqrt(17.2496),
    (12.5, 0.05, 0.05, 0.05): 16.170962,
    (3.0, 0.5, 0.5): 6.137324,
    (1.0, 1.0, 1.0, 1.0, 1.0): 5.0,
    (-3.0, -0.5, 0.5): 6.137324,
}


def starts(count: int = 30) -> list[list[float]]:
    generator = random.Random(0)
    depths = [generator.randint(2, 6) for _ in range(count)]
    return [[math.exp(generator.gauss(0.0, 0.6)) for _ in range(depth)] for depth in depths]


def loss(weights: Sequence[float]) -> float:
    return 0.5 * (math.prod(weights) - 1) ** 2


def descend(
    weights: Sequence[float], rate: float, steps: int, *, every: int = 1
) -> tuple[list[list[float]], list[float]]:
    """Iterates of gradient descent until the loss is gone, and ``phi`` of every so many."""
    path, phis = [list(weights)], [scalar_flow_sharpness(weights)]
    for step in range(1, steps + 1):
        slopes = scalar_gradient(path[-1])
        path.append([w - rate * g for w, g in zip(path[-1], slopes, strict=True)])
        if min(path[-1]) <= 0:  # a sign has changed
            break
        if step % every == 0:
            phis.append(scalar_flow_sharpness(path[-1]))
        if loss(path[-1]) < 1e-13:
            break
    return path, phis


def falls(values: Sequence[float]) -> bool:
    return all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(values))


@pytest.mark.parametrize(("weights", "expected"), FIGURES.items())
def test_flow_sharpness_is_the_published_figure(
    weights: tuple[float, ...], expected: float
) -> None:
    assert scalar_flow_sharpness(weights) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("depth", range(2, 9))
def test_ones_are_the_flattest_solution(depth: int) -> None:
    assert scalar_flow_sharpness([1.0] * depth) == pytest.approx(depth, rel=1e-12)
    assert scalar_flow_sharpness([1.1, *[1.0] * (depth - 1)]) > depth


@pytest.mark.parametrize("weights", starts())
def test_solution_keeps_balances_and_signs_and_has_product_one(weights: list[float]) -> None:
    found = scalar_solution(weights)
    assert math.prod(found) == pytest.approx(1.0, rel=1e-12)
    shifts = [v * v - w * w for v, w in zip(found, weights, strict=True)]
    assert max(shifts) - min(shifts) < 1e-12 * max(w * w for w in weights)
    assert scalar_solution([-weights[0], -weights[1], *weights[2:]])[:2] == [-found[0], -found[1]]
    assert scalar_flow_sharpness(weights) >= len(weights)  # AM-GM


@pytest.mark.parametrize("weights", [[2.0, 0.6], [5.0, 0.01], [0.3, 0.3], [1e-3, 40.0]])
def test_depth_two_has_a_closed_form(weights: list[float]) -> None:
    balance = weights[0] ** 2 - weights[1] ** 2
    assert scalar_flow_sharpness(weights) == pytest.approx(math.sqrt(balance**2 + 4), rel=1e-12)


@pytest.mark.parametrize("weights", starts(8))
def test_derivatives_are_those_of_the_model(weights: list[float]) -> None:
    model, loss_fn, batch = scalar_network(weights)
    value = loss_fn(model, batch)
    (gradient,) = torch.autograd.grad(value, list(model.parameters()))
    assert value.item() == pytest.approx(loss(weights), rel=1e-12)
    assert gradient.tolist() == pytest.approx(scalar_gradient(weights), rel=1e-10)
    dense = dense_hessian(model, loss_fn, batch)
    torch.testing.assert_close(scalar_hessian(weights), dense, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weights", starts(8))
def test_at_a_solution_flow_sharpness_is_the_largest_eigenvalue(weights: list[float]) -> None:
    solution = scalar_solution(weights)
    largest = torch.linalg.eigvalsh(scalar_hessian(solution))[-1].item()
    assert largest == pytest.approx(scalar_flow_sharpness(weights), rel=1e-10)
    assert scalar_flow_sharpness(solution) == pytest.approx(largest, rel=1e-10)


@pytest.mark.parametrize("weights", [*list(FIGURES)[:4], (0.4, 0.3, 0.5)])
def test_flow_sharpness_is_constant_along_the_flow(weights: tuple[float, ...]) -> None:
    """The flow by classical Runge-Kutta steps, a twentieth of the curvature's scale each."""

    def ahead(w: list[float], slope: list[float], step: float) -> list[float]:
        return [x - step * g for x, g in zip(w, slope, strict=True)]

    w, expected = list(weights), scalar_flow_sharpness(weights)
    for _ in range(400):
        step = 0.05 / float(torch.linalg.matrix_norm(scalar_hessian(w), ord=2))
        a = scalar_gradient(w)
        b = scalar_gradient(ahead(w, a, step / 2))
        c = scalar_gradient(ahead(w, b, step / 2))
        d = scalar_gradient(ahead(w, c, step))
        slope = [(p + 2 * q + 2 * r + s) / 6 for p, q, r, s in zip(a, b, c, d, strict=True)]
        w = ahead(w, slope, step)
        assert scalar_flow_sharpness(w) == pytest.approx(expected, rel=1e-4)
    assert loss(w) < 1e-3 * loss(weights)


@pytest.mark.parametrize(
    ("weights", "rate", "steps", "first", "last"),
    [
        ((1.5, 1.2, 0.8, 0.6), 0.4, 264, 1.9763, 1.95434),
        ((2.0, 0.6), 0.6, 29, 2.4920, 1.54135),
        ((12.5, 0.05, 0.05, 0.05), 0.12, 215, 1.94052, 1.94039),
    ],
)
def test_gradient_descent_converges_below_two_as_published(
    weights: tuple[float, ...], rate: float, steps: int, first: float, last: float
) -> None:
    path, phis = descend(weights, rate, 1000)
    assert len(path) - 1 == steps
    assert rate * phis[0] == pytest.approx(first, abs=5e-5)
    assert rate * phis[-1] == pytest.approx(last, abs=5e-6)
    assert falls(phis)


def test_flow_sharpness_falls_where_loss_and_sharpness_do_not() -> None:
    path, phis = descend((1.5, 1.2, 0.8, 0.6), 0.4, 1000)
    losses = [loss(w) for w in path]
    largest = [torch.linalg.eigvalsh(scalar_hessian(w))[-1].item() for w in path]
    assert sum(after > before for before, after in itertools.pairwise(losses)) == 11
    assert 0.4 * max(largest) == pytest.approx(2.394, abs=1e-3)
    assert falls(phis)
    assert not falls(largest)


@pytest.mark.parametrize(
    ("weights", "rate", "first", "last"),
    [
        ((1.5, 1.2, 0.8, 0.6), 0.5, 2.4704, 2.00040),
        ((12.5, 0.05, 0.05, 0.05), 0.13, 2.1022, 2.00882),
    ],
)
def test_above_the_edge_it_comes_down_to_two_slowly(
    weights: tuple[float, ...], rate: float, first: float, last: float
) -> None:
    path, phis = descend(weights, rate, 20_000)
    assert len(path) == len(phis) == 20_001
    assert rate * phis[0] == pytest.approx(first, abs=5e-5)
    assert rate * phis[-1] == pytest.approx(last, abs=1e-5)
    assert falls(phis)  # at every one of the steps
    assert min(phis) * rate > 2
    (one, other), again = [loss(w) for w in path[-3:-1]], loss(path[-1])
    assert abs(again - one) < 0.01 * abs(other - one)  # with period two


def test_a_step_too_long_leaves_the_positive_orthant() -> None:
    path, phis = descend((2.0, 0.6), 0.9, 100)
    assert 0.9 * phis[0] == pytest.approx(3.738, abs=5e-4)
    assert len(path) - 1 == 3
    assert min(path[-1]) <= 0 < min(path[-2])


@pytest.mark.parametrize("factor", [1.9, 2.2])
def test_converged_gradient_descent_is_stable(factor: float) -> None:
    converged = 0
    for weights in starts(12):
        rate = factor / scalar_flow_sharpness(weights)
        path, phis = descend(weights, rate, 500, every=3)
        assert falls(phis)
        if loss(path[-1]) < 1e-13:
            converged += 1
            assert rate * scalar_flow_sharpness(path[-1]) <= 2
    assert converged >= 3


@pytest.mark.parametrize("weights", [[1.0, -1.0], [0.0, 2.0], [math.inf, 1.0], [math.nan, 1.0]])
def test_no_solution_without_a_positive_product(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        scalar_solution(weights)
