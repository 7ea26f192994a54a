"""The densities of the engine."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from lrsearch.search import _parzen as parzen


def test_mixture_by_hand() -> None:
    x = np.array([-1.0, 0.3, 2.0])
    expected = (2 * norm.pdf(x, 0, 0.9) + norm.pdf(x, 1, 0.25) + norm.pdf(x, -2, 0.25)) / 4
    found = parzen.log_mixture(x, [1.0, -2.0], 0.25, (0.0, 0.9), 2.0)
    np.testing.assert_allclose(np.exp(found), expected)


def test_mixture_of_the_prior_alone() -> None:
    x = np.linspace(-3, 3, 7)
    found = parzen.log_mixture(x, [], 0.25, (0.5, 0.9), 1.0)
    np.testing.assert_allclose(found, norm.logpdf(x, 0.5, 0.9))


def test_draws_come_from_the_mixture() -> None:
    rng = np.random.default_rng(0)
    drawn = parzen.draw_mixture(rng, 20_000, [2.0], 0.1, (-1.0, 0.2), 3.0, (-9.0, 9.0))
    assert np.mean(drawn > 1) == pytest.approx(0.25, abs=0.01)
    assert np.mean(drawn[drawn < 1]) == pytest.approx(-1.0, abs=0.01)
    assert np.std(drawn[drawn > 1]) == pytest.approx(0.1, abs=0.01)


def test_draws_are_reflected_not_piled_up() -> None:
    rng = np.random.default_rng(0)
    drawn = parzen.draw_mixture(rng, 5_000, [1.0], 0.3, (1.0, 0.3), 1.0, (0.0, 1.0))
    assert drawn.min() >= 0.0
    assert drawn.max() <= 1.0
    assert np.mean(drawn == 1.0) < 0.001
    far = parzen.draw_mixture(rng, 100, [50.0], 0.3, (1.0, 0.3), 1.0, (0.0, 1.0))
    assert 0.0 <= far.min() <= far.max() <= 1.0


def test_category_weights_by_hand() -> None:
    found = parzen.category_weights({"a": 0.75, "b": 0.25}, ["b", "b", "stranger"], 2.0)
    assert found == pytest.approx({"a": 1.5 / 4, "b": 2.5 / 4})
    assert parzen.category_weights({"a": 0.75, "b": 0.25}, [], 1.0) == {"a": 0.75, "b": 0.25}


def test_kernel_width() -> None:
    assert parzen.kernel_width(0.8, 32, 0.1) == pytest.approx(0.4)
    assert parzen.kernel_width(0.8, 32, 0.6) == 0.6
    assert parzen.kernel_width(0.8, 0, 0.1) == 0.8
    assert parzen.kernel_width(math.inf, 3, 0.2) == 0.2
