"""Each stability constant against the recursion that it is about, just below and just above."""

from __future__ import annotations

import math

import pytest

from lrsearch.exceptions import UnsupportedError
from lrsearch.stability import full_batch_threshold, small_batch_threshold

MOMENTA = [0.0, 0.5, 0.9, 0.99]
CURVATURE = 3.0
STEPS = 20_000


def heavy_ball(learning_rate: float, momentum: float) -> float:
    """Largest distance over the last steps of w on L = h w^2 / 2, from 1."""
    w, v, seen = 1.0, 0.0, []
    for _ in range(STEPS):
        v = momentum * v + CURVATURE * w
        w -= learning_rate * v
        seen.append(abs(w))
        if abs(w) > 1e12:
            return math.inf
    return max(seen[-50:])


def nesterov(learning_rate: float, momentum: float) -> float:
    """The same with torch's Nesterov step, w -= eta (g + b v)."""
    w, v, seen = 1.0, 0.0, []
    for _ in range(STEPS):
        g = CURVATURE * w
        v = momentum * v + g
        w -= learning_rate * (g + momentum * v)
        seen.append(abs(w))
        if abs(w) > 1e12:
            return math.inf
    return max(seen[-50:])


def quasi_hyperbolic(learning_rate: float, momentum: float, share: float) -> float:
    """The same with a step along (1 - s) g + s m, m an average (Ma & Yarats 2019, eq. 3)."""
    w, m, seen = 1.0, 0.0, []
    for _ in range(STEPS):
        g = CURVATURE * w
        m = momentum * m + (1 - momentum) * g
        w -= learning_rate * ((1 - share) * g + share * m)
        seen.append(abs(w))
        if abs(w) > 1e12:
            return math.inf
    return max(seen[-50:])


def rare_kicks(learning_rate: float, momentum: float, *, averaged: bool) -> float:
    """Noise dominates: rare batches with all the curvature; each kick coasts out in between."""
    w, v, seen = 1.0, 0.0, []
    coast = math.ceil(math.log(1e-6) / math.log(momentum)) if momentum else 1
    for _ in range(400):
        for turn in range(coast):
            g = CURVATURE * w if turn == 0 else 0.0
            v = momentum * v + (1 - momentum if averaged else 1.0) * g
            w -= learning_rate * v
        seen.append(abs(w))
        if abs(w) > 1e12:
            return math.inf
    return max(seen[-3:])


@pytest.mark.parametrize("momentum", MOMENTA)
def test_heavy_ball_at_its_threshold(momentum: float) -> None:
    rate = full_batch_threshold(momentum) / CURVATURE
    assert heavy_ball(0.99 * rate, momentum) < 1e-3
    assert heavy_ball(1.01 * rate, momentum) == math.inf


@pytest.mark.parametrize("momentum", MOMENTA)
def test_nesterov_at_its_threshold(momentum: float) -> None:
    rate = full_batch_threshold(momentum, nesterov=True) / CURVATURE
    assert nesterov(0.99 * rate, momentum) < 1e-3
    assert nesterov(1.01 * rate, momentum) == math.inf


@pytest.mark.parametrize("share", [0.0, 0.45, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("momentum", MOMENTA)
def test_any_share_of_an_average_at_its_threshold(momentum: float, share: float) -> None:
    rate = full_batch_threshold(momentum, averaged=True, share=share) / CURVATURE
    assert quasi_hyperbolic(0.99 * rate, momentum, share) < 1e-3
    assert quasi_hyperbolic(1.01 * rate, momentum, share) == math.inf


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", MOMENTA)
def test_averages_at_their_threshold(momentum: float, nesterov: bool) -> None:
    """Adam's form and Nesterov's along an average are shares of 1 and of b."""
    share = momentum if nesterov else 1.0
    constant = full_batch_threshold(momentum, nesterov=nesterov, averaged=True)
    assert constant == pytest.approx(full_batch_threshold(momentum, share=share), rel=1e-12)
    assert quasi_hyperbolic(0.99 * constant / CURVATURE, momentum, share) < 1e-3
    assert quasi_hyperbolic(1.01 * constant / CURVATURE, momentum, share) == math.inf


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("momentum", MOMENTA)
def test_small_batches_at_their_threshold(momentum: float, averaged: bool) -> None:
    rate = small_batch_threshold(momentum, averaged=averaged) / CURVATURE
    assert rare_kicks(0.99 * rate, momentum, averaged=averaged) < 1e-2
    assert rare_kicks(1.01 * rate, momentum, averaged=averaged) > 1e2


def test_the_numbers_themselves() -> None:
    assert full_batch_threshold() == 2.0
    assert full_batch_threshold(0.9) == pytest.approx(3.8)
    assert full_batch_threshold(nesterov=True) == 2.0
    assert full_batch_threshold(0.9, nesterov=True) == pytest.approx(1.35714, abs=1e-5)
    assert full_batch_threshold(0.9, averaged=True) == pytest.approx(38.0)
    assert full_batch_threshold(0.9, averaged=True, nesterov=True) == pytest.approx(
        13.5714, abs=1e-4
    )
    assert full_batch_threshold(0.9, share=0.0) == 2.0
    assert small_batch_threshold() == 2.0
    assert small_batch_threshold(0.9) == pytest.approx(0.2)
    assert small_batch_threshold(0.9, averaged=True) == 2.0


@pytest.mark.parametrize("momentum", [1.0, -0.1, math.nan, 1.5])
def test_impossible_momentum_is_refused(momentum: float) -> None:
    for constant in (full_batch_threshold, small_batch_threshold):
        with pytest.raises(UnsupportedError, match=r"momentum must lie in \[0, 1\)") as caught:
            constant(momentum)
        assert repr(momentum) in str(caught.value)


@pytest.mark.parametrize("share", [-0.01, 1.01, math.nan])
def test_impossible_shares_are_refused(share: float) -> None:
    with pytest.raises(UnsupportedError, match=r"share must lie in \[0, 1\]") as caught:
        full_batch_threshold(0.9, share=share)
    assert repr(share) in str(caught.value)
