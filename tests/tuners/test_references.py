"""How long paths of random steps are: closed forms against simulations and the authors' table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from lrsearch.tuners import nesterov_share, path_mean, path_mean_after, path_spread

# n: mean and standard deviation of ||p||^2, as in the authors' adam_clara.py: c = 0.2, betas
# (0.9, 0.999), 1000 trials of 1000 steps.
PUBLISHED = {
    2: (0.5958, 0.2553),
    15: (0.6729, 0.0814),
    42: (0.6770, 0.0489),
    650: (0.6827, 0.0119),
    235_146: (0.6825, 0.0006),
    2_193_226: (0.6825, 0.0002),
    2_216_356: (0.6826, 0.0002),
}


def simulated_adam(
    dimension: int, *, betas: tuple[float, float], steps: int, trials: int
) -> np.ndarray:
    """Squared lengths of the path (c = 0.2) of Adam's steps on noise, one a trial."""
    draw = np.random.default_rng(0)
    m, v, path = (np.zeros((trials, dimension)) for _ in range(3))
    for t in range(1, steps + 1):
        g = draw.standard_normal((trials, dimension))
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        s = m / (1 - betas[0] ** t) / np.sqrt(v / (1 - betas[1] ** t))
        path = 0.8 * path + 0.2 * s / np.linalg.norm(s, axis=1, keepdims=True)
    return (path**2).sum(axis=1)


def simulated_walk(
    dimension: int, trials: int, *, impulse: list[float] | None = None
) -> np.ndarray:
    """As above, of steps that are Gaussian, or a moving average of Gaussian ones."""
    s = np.random.default_rng(1).standard_normal((60, trials, dimension))
    s = lfilter(impulse or [1.0], [1.0], s, axis=0)
    s /= np.linalg.norm(s, axis=2, keepdims=True)
    return (lfilter([0.2], [1.0, -0.8], s, axis=0)[-1] ** 2).sum(axis=1)


def test_mean_of_independent_steps() -> None:
    assert path_mean(0.2) == pytest.approx(0.111111, abs=1e-6)
    assert path_mean(0.2, dimension=3) == path_mean(0.2)


def test_isotropic_unit_steps_have_this_mean_and_spread() -> None:
    """Check 1: n = 100, at least 4000 trials."""
    lengths = simulated_walk(100, 4000)
    assert lengths.mean() == pytest.approx(path_mean(0.2), rel=0.01)
    assert path_spread(0.2, 100) == pytest.approx(0.01388, abs=5e-6)
    assert lengths.std() == pytest.approx(path_spread(0.2, 100), rel=0.03)


def test_the_published_spread_is_too_small_by_the_root_of_two() -> None:
    published = math.sqrt(2) * path_mean(0.2) * 0.8 / math.sqrt((0.8**2 + 1) * 100)
    assert path_spread(0.2, 100, published=True) == pytest.approx(published, rel=1e-12)


def test_mean_of_adams_steps() -> None:
    """Check 2."""
    assert path_mean(0.2, momentum=0.9) == pytest.approx(0.6825397, abs=1e-7)
    assert path_mean(0.2, momentum=0.9, dimension=200_000) == pytest.approx(0.6825, abs=5e-5)
    for c in (0.001, 0.2, 0.7, 1.0):
        assert path_mean(c, momentum=0.0) == pytest.approx(c / (2 - c), rel=1e-12)


@pytest.mark.parametrize("dimension", PUBLISHED)
def test_the_authors_table_within_its_own_error(dimension: int) -> None:
    """Four standard errors of their thousand trials, and half a unit of their last digit."""
    mean, std = PUBLISHED[dimension]
    ours = path_mean(0.2, momentum=0.9, dimension=dimension)
    assert abs(ours - mean) < 4 * std / math.sqrt(1000) + 1e-4
    rel = 0.07 if dimension > 2 else 0.2  # their error is 2 %; ours is of first order in 1 / n
    assert path_spread(0.2, dimension, momentum=0.9) == pytest.approx(std, rel=rel, abs=1e-4)


@pytest.mark.parametrize(
    ("dimension", "betas", "steps"),
    [(2, (0.9, 0.999), 300), (15, (0.9, 0.999), 300), (62, (0.9, 0.999), 150), (5, (0.9, 0.9), 99)],
)
def test_adam_simulated(dimension: int, betas: tuple[float, float], steps: int) -> None:
    """The noise of the second moment does not matter; the authors' table is wrong at n = 62."""
    lengths = simulated_adam(dimension, betas=betas, steps=steps, trials=2000)
    error = lengths.std() / math.sqrt(2000)
    assert abs(lengths.mean() - path_mean(0.2, momentum=0.9, dimension=dimension)) < 4 * error
    assert lengths.std() == pytest.approx(
        path_spread(0.2, dimension, momentum=0.9), rel=0.1 if dimension > 5 else 0.25
    )


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("dimension", [1, 20])
def test_momentum_simulated(nesterov: bool, dimension: int) -> None:
    b = 0.7
    impulse = [b ** (k + nesterov) for k in range(40)]
    impulse[0] += nesterov
    share = nesterov_share(b) if nesterov else 1.0
    lengths = simulated_walk(dimension, 3000, impulse=impulse)
    error = lengths.std() / math.sqrt(3000)
    mean = path_mean(0.2, momentum=b, share=share, dimension=dimension)
    assert abs(lengths.mean() - mean) < 4 * error
    if dimension > 1:
        assert lengths.std() == pytest.approx(
            path_spread(0.2, dimension, momentum=b, share=share), rel=0.08
        )


def test_the_mean_tends_to_that_of_many_dimensions() -> None:
    means = [path_mean(0.2, momentum=0.9, dimension=n) for n in (1, 2, 10, 100, 10**7)]
    assert means == sorted(means)
    assert means[-1] == pytest.approx(path_mean(0.2, momentum=0.9), abs=1e-7)


@pytest.mark.parametrize("c", [0.001, 0.2, 1.0])
def test_a_young_path_obeys_its_recursion(c: float) -> None:
    square = 0.0
    for t in range(1, 30):
        square = (1 - c) ** 2 * square + c**2  # the cross term has mean zero
        assert path_mean_after(c, t) == pytest.approx(square, rel=1e-12)
    assert path_mean_after(c, 10**6) == pytest.approx(path_mean(c), rel=1e-12)


def test_a_spread_with_a_long_memory_is_cheap() -> None:
    assert 0 < path_spread(1e-3, 100, momentum=0.99) < path_mean(1e-3, momentum=0.99)
    assert path_spread(1.0, 100) == 0.0
