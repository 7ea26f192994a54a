"""Lanczos against numpy's eigenvalues of matrices that are at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrsearch.curvature import lanczos
from lrsearch.curvature._lanczos import Ends
from lrsearch.exceptions import UnsupportedError

SPECTRA: dict[str, Sequence[float]] = {
    "spread": np.linspace(-1.0, 3.0, 20),
    "one dominant": [50.0, *np.linspace(-1, 1, 19)],
    "clustered": [2.0, 1.999, 1.998, *np.linspace(0, 1, 17)],
    "all negative": np.linspace(-5.0, -0.5, 20),
    "minimum larger": [*np.linspace(-9.0, -8.0, 3), *np.linspace(0, 2, 17)],
    "rank one": [4.0, *[0.0] * 19],
    "zero": [0.0] * 20,
    "identity": [1.0] * 20,
    "twice the largest": [3.0, 3.0, *np.linspace(0, 1, 18)],
    "tiny": 1e-30 * np.linspace(1, 2, 20),
    "huge": 1e30 * np.linspace(1, 2, 20),
}


def matrix(eigenvalues: Sequence[float], seed: int = 0) -> Tensor:
    generator = np.random.default_rng(seed)
    q, _ = np.linalg.qr(generator.normal(size=(len(eigenvalues), len(eigenvalues))))
    return torch.from_numpy(q @ np.diag(eigenvalues) @ q.T)


def start(n: int, seed: int = 1) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("k", [1, 3, 20, 30])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_with_all_products_the_eigenvalues_are_exact(spectrum: str, k: int) -> None:
    """Also more than there are, repeated ones, and those that the start cannot reach."""
    a = matrix(SPECTRA[spectrum])
    found = lanczos(lambda v: a @ v, start(20), k=k, ends="both", tolerance=0.0, max_products=99)
    exact = np.sort(SPECTRA[spectrum])[::-1]
    count = min(k, 20)
    size = float(np.abs(exact).max())
    complete = found.hvps == 20
    assert len(found.values) == len(found.residuals) == len(found.errors) == count
    assert found.converged
    assert found.value == pytest.approx(exact[0], rel=1e-9, abs=1e-12 * size)
    assert found.lowest == pytest.approx(exact[-1], rel=1e-9, abs=1e-12 * size)
    if complete:
        assert found.values == pytest.approx(tuple(exact[:count]), rel=1e-9, abs=1e-12 * size)
        assert found.reason == "complete: as many products as rows"
    vectors = found.vectors
    assert torch.allclose(vectors @ vectors.T, torch.eye(count).double(), atol=1e-9)
    for value, v in zip(found.values, vectors, strict=True):
        assert float((a @ v - value * v).norm()) <= 1e-9 * size


@pytest.mark.parametrize("ends", ["top", "both"])
@pytest.mark.parametrize("products", [1, 2, 5, 9])
@pytest.mark.parametrize("spectrum", ["spread", "one dominant", "clustered", "minimum larger"])
def test_residuals_are_true_ones_wherever_it_stops(
    spectrum: str, products: int, ends: Ends
) -> None:
    a = matrix(SPECTRA[spectrum])
    exact = np.asarray(SPECTRA[spectrum])
    found = lanczos(lambda v: a @ v, start(20), k=2, ends=ends, tolerance=0, max_products=products)
    assert found.hvps == products
    assert found.reason == f"stopped after {products} products, the most it may take"
    assert not found.converged
    assert len(found.values) == min(2, products)
    for value, residual, v in zip(found.values, found.residuals, found.vectors, strict=True):
        assert residual == pytest.approx(float((a @ v - value * v).norm()), rel=1e-6, abs=1e-12)
        assert np.abs(exact - value).min() <= residual * (1 + 1e-9) + 1e-12
    assert found.value <= exact.max() + 1e-12
    assert found.lowest >= exact.min() - 1e-12
    first = start(20)
    assert found.quotient == pytest.approx(float(first @ a @ first / (first @ first)))


def test_values_come_in_descending_order_with_their_vectors() -> None:
    a = matrix(SPECTRA["spread"])
    found = lanczos(lambda v: a @ v, start(20), k=4, max_products=20, tolerance=1e-8)
    assert list(found.values) == sorted(found.values, reverse=True)
    assert found.value == found.values[0]
    assert found.residual == found.residuals[0]
    assert list(found.values) == pytest.approx(np.linspace(-1, 3, 20)[::-1][:4].tolist())


def test_estimated_errors_are_honest_on_average() -> None:
    """Over many matrices, of heavy tails: against the distance from the nearest eigenvalue."""
    ratios, misses = [], 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        eigenvalues = np.sort(generator.exponential(size=60) ** 2)[::-1]
        a = matrix(eigenvalues, seed)
        found = lanczos(lambda v, a=a: a @ v, start(60, seed), tolerance=0.02)
        assert found.converged
        nearest = np.abs(eigenvalues - found.value).min()
        assert 0 <= found.errors[0] <= found.residuals[0]
        ratios.append(nearest / found.errors[0])
        misses += found.value < 0.98 * eigenvalues[0]
    assert misses <= 6  # 10 %: a close neighbour that the Krylov space has not told apart yet
    assert np.median(ratios) < 1.0
    assert np.mean(np.minimum(ratios, 10)) < 2.0


def test_a_start_that_is_a_lower_eigenvector_finds_the_others_when_asked() -> None:
    """The Krylov space is one vector: with k = 1 that is all, with k = 2 a random one is added."""
    a = matrix([5.0, 2.0, 1.0, -3.0])
    lower = torch.linalg.eigh(a)[1][:, 1]  # of eigenvalue 1
    one = lanczos(lambda v: a @ v, lower)
    assert one.hvps == 1
    assert one.value == pytest.approx(1.0)
    assert one.residual == 0.0
    two = lanczos(lambda v: a @ v, lower, k=2, tolerance=1e-9)
    assert two.values == pytest.approx((5.0, 2.0))
    assert two.converged


@pytest.mark.parametrize("seed", range(5))
def test_a_fresh_vector_is_not_the_one_that_it_started_from(seed: int) -> None:
    """A random start of the same seed, and nowhere to go: its own vector again would leave none."""
    first = torch.randn(6, generator=torch.Generator().manual_seed(seed))
    found = lanczos(lambda v: 2.0 * v, first, k=3, seed=seed)
    assert found.values == pytest.approx((2.0, 2.0, 2.0))
    gram = found.vectors @ found.vectors.T
    assert torch.allclose(gram, torch.eye(3), atol=1e-6)


def test_the_estimated_error_is_the_squared_residual_over_the_gap() -> None:
    """Kato and Temple's bound, with the nearest Ritz value for the rest of the spectrum."""
    near, far = torch.tensor([1.0, 0.97, 0.0]), torch.tensor([1.0, 0.1, 0.0])
    for diagonal, narrow in ((near, True), (far, False)):
        first = torch.tensor([1.0, 0.9, 1e-3], dtype=torch.float64)
        a = diagonal.double().diag() * 4
        found = lanczos(lambda v, a=a: a @ v, first, k=2, tolerance=0, max_products=2)
        (upper, lower), (r, s) = found.values, found.residuals
        gap = upper - lower
        assert (gap < 0.05 * upper) == narrow
        assert found.errors[0] == pytest.approx(min(r, r**2 / min(gap, 0.05 * upper)), rel=1e-9)
        assert found.errors[1] == pytest.approx(min(s, s**2 / min(gap, 0.05 * lower)), rel=1e-9)
        assert found.errors[0] <= r


@pytest.mark.parametrize("tolerance", [0.1, 1e-2, 1e-4])
@pytest.mark.parametrize("spectrum", ["spread", "one dominant", "clustered", "minimum larger"])
def test_both_ends_asked_for_are_both_estimated(spectrum: str, tolerance: float) -> None:
    a = matrix(SPECTRA[spectrum])
    found = lanczos(lambda v: a @ v, start(20), tolerance=tolerance, ends="both")
    size = max(abs(found.value), abs(found.lowest))
    assert found.converged
    assert max(found.errors[0], found.lowest_error) <= tolerance * size


def test_both_ends_are_both_within_the_tolerance() -> None:
    a = matrix(SPECTRA["spread"])
    top = lanczos(lambda v: a @ v, start(20), tolerance=1e-3)
    both = lanczos(lambda v: a @ v, start(20), tolerance=1e-3, ends="both")
    assert top.converged
    assert both.converged
    assert both.lowest_error <= 1e-3 * 3.0
    assert abs(both.lowest - -1.0) <= 2e-2
    assert both.hvps >= top.hvps
    lopsided = torch.diag(torch.tensor([5.0, -1.0, -0.99, -0.98, 0.0, 0.1, 0.2]).double())
    near = torch.tensor([1.0, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4]).double()
    assert lanczos(lambda v: lopsided @ v, near).hvps == 1
    assert lanczos(lambda v: lopsided @ v, near, ends="both").hvps > 1


def test_a_matrix_of_one_row() -> None:
    for k, ends in ((1, "top"), (3, "both")):
        found = lanczos(lambda v: -2.0 * v, torch.tensor([3.0]), k=k, ends=ends)
        assert found.values == (-2.0,)
        assert found.lowest == -2.0
        assert found.hvps == 1
        assert found.converged
        assert found.vectors.tolist() == [[1.0]]


def test_the_most_products_are_the_most() -> None:
    a, calls = matrix(np.linspace(0, 1, 40)), 0

    def product(v: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return a @ v

    found = lanczos(product, start(40), tolerance=0.0, max_products=17)
    assert found.hvps == calls == 17
    few = lanczos(product, start(40), k=5, max_products=3)
    assert len(few.values) == 3
    assert not few.converged


def test_it_stops_as_soon_as_the_estimate_is_within_the_tolerance() -> None:
    a = matrix(SPECTRA["spread"])
    counts = []
    for tolerance in (0.1, 0.01, 1e-6):
        found = lanczos(lambda v: a @ v, start(20), tolerance=tolerance)
        assert found.converged
        assert found.errors[0] <= tolerance * found.value
        assert found.reason == f"estimated error within {tolerance:g}"
        before = lanczos(lambda v: a @ v, start(20), tolerance=0, max_products=found.hvps - 1)
        assert before.errors[0] > tolerance * before.value
        counts.append(found.hvps)
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_product_that_is_not_finite_ends_it_without_an_error(at: int, bad: float) -> None:
    a, calls = matrix(SPECTRA["spread"]), 0

    def product(v: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return a @ v * (bad if calls == at else 1.0)

    found = lanczos(product, start(20), k=2, tolerance=0)
    assert found.reason == "a product is not finite"
    assert found.hvps == calls == at
    assert not found.converged
    if at == 1:
        assert all(map(math.isnan, [*found.values, *found.errors, found.lowest]))
        assert found.vectors.shape == (2, 20)
    else:
        same = lanczos(lambda v: a @ v, start(20), k=2, tolerance=0, max_products=at - 1)
        assert found.values == same.values
        assert torch.equal(found.vectors, same.vectors)


def test_the_same_seed_gives_the_same_bits_and_no_global_generator_is_touched() -> None:
    a = torch.diag(torch.tensor([2.0, 2.0, 1.0, 1.0, 0.5]))
    lone = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again = (lanczos(lambda v: a @ v, lone, k=3, seed=4) for _ in range(2))
    other = lanczos(lambda v: a @ v, lone, k=3, seed=5)
    assert first == again
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors, other.vectors)
    assert first.values == pytest.approx(other.values)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])


def test_single_precision_is_enough_for_its_own_digits() -> None:
    """400 rows, a graded spectrum: rounding must not break the orthogonality of the vectors."""
    eigenvalues = 100.0 * 0.8 ** np.arange(400)
    a = matrix(eigenvalues).float()
    found = lanczos(lambda v: a @ v, start(400).float(), k=8, tolerance=1e-4, max_products=60)
    assert found.values == pytest.approx(tuple(eigenvalues[:8]), rel=1e-4)
    gram = found.vectors @ found.vectors.T
    assert torch.allclose(gram, torch.eye(8), atol=1e-4)


@given(
    # squares of smaller numbers than 1e-100 are not far from underflow
    st.lists(
        st.floats(-1e3, 1e3).map(lambda x: x if abs(x) > 1e-100 else 0.0), min_size=1, max_size=9
    ),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(0, 5),
)
@settings(max_examples=150, deadline=None)
def test_ritz_values_stay_inside_and_an_eigenvalue_lies_within_the_residual(
    eigenvalues: list[float], products: int, k: int, seed: int
) -> None:
    a = matrix(eigenvalues, seed)
    found = lanczos(lambda v: a @ v, start(len(eigenvalues), seed), k=k, max_products=products)
    exact, size = np.asarray(eigenvalues), max(map(abs, eigenvalues))
    slack = 1e-9 * size + 1e-300
    assert found.value <= exact.max() + slack
    assert found.lowest >= exact.min() - slack
    assert found.hvps <= min(products, len(eigenvalues))
    for value, residual in zip(found.values, found.residuals, strict=True):
        assert np.abs(exact - value).min() <= residual + slack
        assert residual >= 0


@pytest.mark.parametrize(
    "options",
    [
        {"k": 0},
        {"max_products": 0},
        {"tolerance": -1e-9},
        {"tolerance": math.nan},
        {"ends": "bottom"},
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused_with_their_values(options: dict) -> None:
    with pytest.raises(UnsupportedError, match="must be at least 1") as caught:
        lanczos(lambda v: v, torch.ones(3), **options)
    assert str(next(iter(options.values()))) in str(caught.value)
