"""Summing decrements over blocks: exact for single drops, close for smooth decays."""

from __future__ import annotations

import numpy as np
import pytest

from lrsearch.theory import Curve, MultiPowerLaw
from lrsearch.theory._blocks import blocks_of

LAW = MultiPowerLaw(L0=2.4, A=0.65, alpha=0.43, B=500.0, C=2.0, beta=0.6, gamma=0.63)
PEAK = 3e-4


def summed(rates: np.ndarray, steps: np.ndarray, block: int) -> np.ndarray:
    """The law's prediction with its decrements in blocks."""
    curve = Curve(rates, steps, np.ones(len(steps)))
    part = blocks_of(curve, curve.steps, PEAK, 1.0, block)
    annealed, _ = part.annealed(LAW.C * PEAK ** (1 - LAW.gamma), LAW.beta, LAW.gamma)
    power = LAW.A * np.exp(-LAW.alpha * part.log_sum)
    return np.asarray(LAW.L0 + power - LAW.B * PEAK * annealed)


def test_blocks_of_one_update_are_exact() -> None:
    rates = np.random.default_rng(0).uniform(1e-5, PEAK, 200)
    steps = np.array([1, 5, 64, 200])
    assert summed(rates, steps, 1) == pytest.approx(LAW.predict(rates, steps), rel=1e-12)


def test_a_single_drop_is_exact_in_any_block() -> None:
    rates = np.r_[np.full(77, PEAK), np.full(123, 1e-4)]
    steps = np.arange(10, 201, 10)
    assert summed(rates, steps, 1000) == pytest.approx(LAW.predict(rates, steps), rel=1e-12)


def test_a_smooth_decay_is_close() -> None:
    T = 6000
    rates = np.r_[
        np.linspace(0, PEAK, 500), PEAK * (0.55 + 0.45 * np.cos(np.linspace(0, np.pi, T)))
    ]
    steps = np.arange(600, 6500, 100)
    exact = LAW.predict(rates, steps)
    errors = [np.abs(summed(rates, steps, block) - exact).max() for block in (16, 64)]
    assert errors[0] < 2e-5
    assert errors[1] < 5e-5  # the noise of a loss is 1e-3


def test_derivatives_are_those_of_finite_differences() -> None:
    rates = np.r_[np.full(50, PEAK), np.linspace(PEAK, 1e-5, 150), np.full(50, 1e-4)]
    steps = np.array([60, 150, 250])
    part = blocks_of(Curve(rates, steps, np.ones(3)), steps, PEAK, 1.0, 16)
    shape = np.log([0.1, 0.6, 0.64])
    _, slopes = part.annealed(*np.exp(shape))
    for i, shift in enumerate(1e-6 * np.eye(3)):
        up, _ = part.annealed(*np.exp(shape + shift))
        down, _ = part.annealed(*np.exp(shape - shift))
        assert slopes[:, i] == pytest.approx((up - down) / 2e-6, rel=1e-6)
