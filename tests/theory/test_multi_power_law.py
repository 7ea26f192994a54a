"""The multi-power law against its formula word by word, and in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from lrsearch.theory import MultiPowerLaw

LAW = MultiPowerLaw(L0=2.4, A=0.65, alpha=0.43, B=500.0, C=2.0, beta=0.6, gamma=0.63)


def literal(law: MultiPowerLaw, rates: np.ndarray, step: int) -> float:
    """The double loop; the learning rate before the first update is the first."""
    annealed = 0.0
    for k in range(1, step):
        gone = 0.0
        for tau in range(k, step):
            gone += rates[tau]
        gain = 1 - (law.C * rates[k] ** -law.gamma * gone + 1) ** -law.beta
        annealed += (rates[k - 1] - rates[k]) * gain
    return float(law.L0 + law.A * sum(rates[:step]) ** -law.alpha - law.B * annealed)


def test_it_is_the_literal_double_loop() -> None:
    rng = np.random.default_rng(0)
    rates = np.r_[np.linspace(1e-6, 3e-4, 20), np.full(20, 3e-4), rng.uniform(1e-6, 3e-4, 60)]
    steps = [1, 2, 21, 41, 70, 100]
    expected = [literal(LAW, rates, step) for step in steps]
    assert LAW.predict(rates, steps) == pytest.approx(expected, rel=1e-12)
    assert LAW.final_loss(rates) == pytest.approx(expected[-1], rel=1e-12)


def test_one_drop_in_closed_form() -> None:
    rates = np.r_[np.full(50, 3e-4), np.full(50, 1e-4)]
    gain = 1 - (1 + 2.0 * 1e-4**-0.63 * 50e-4) ** -0.6
    power = 2.4 + 0.65 * (50 * 3e-4 + 50e-4) ** -0.43
    assert LAW.final_loss(rates) == pytest.approx(power - 500.0 * 2e-4 * gain, rel=1e-12)


def test_rates_of_zero_are_the_limit_of_small_ones() -> None:
    """Zeros in the middle gain at once, zeros at the end never."""
    law = MultiPowerLaw(2.4, 0.65, 0.43, 500.0, 2.0, 0.6, 0.3)
    zeros = np.r_[np.full(20, 3e-4), 0.0, np.full(20, 1e-4), 0.0, 0.0]
    small = np.where(zeros > 0, zeros, 1e-40)
    steps = [10, 21, 22, 30, 42, 43]
    assert law.predict(zeros, steps) == pytest.approx(law.predict(small, steps), rel=1e-6)
    loss, slopes = law.final_gradient(zeros)
    assert loss == pytest.approx(law.predict(zeros, [43])[0], rel=1e-12)
    assert np.isfinite(slopes).all()


def test_a_rise_costs_what_the_fall_brings() -> None:
    """Once both are absorbed, a rise and a fall back leave nothing but the power term."""
    rates = np.r_[np.full(100, 1e-5), np.full(50_000, 3e-4), np.full(500_000, 1e-5)]
    power = 2.4 + 0.65 * rates.sum() ** -0.43
    assert LAW.final_loss(rates) == pytest.approx(power, abs=2e-3)
