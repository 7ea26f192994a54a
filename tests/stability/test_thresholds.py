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
    assert small_batch_threshold() == 2.0
    assert small_batch_threshold(0.9) == pytest.approx(0.2)
    assert small_batch_threshold(0.9, averaged=True) == 2.0


@pytest.mark.parametrize("momentum", [1.0, -0.1, math.nan, 1.5])
def test_impossible_momentum_is_refused(momentum: float) -> None:
    for constant in (full_batch_threshold, small_batch_threshold):
        with pytest.raises(UnsupportedError, match=r"momentum must lie in \[0, 1\)") as caught:
            constant(momentum)
        assert repr(momentum) in str(caught.value)
