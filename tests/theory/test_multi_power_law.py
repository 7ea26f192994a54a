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


def test_a_law_without_speed_anneals_nothing() -> None:
    rates = np.array([3e-4, 3e-4, 0.0, 1e-4, 0.0])
    for law in (
        MultiPowerLaw(2.0, 0.5, 0.5, 400.0, 0.0, 0.6, 0.6),
        MultiPowerLaw(2.0, 0.5, 0.5, 400.0, 2.0, 0.0, 0.6),
    ):
        power = 2.0 + 0.5 * np.cumsum(rates) ** -0.5
        np.testing.assert_allclose(law.predict(rates, [1, 2, 3, 4, 5]), power)
        assert law.final_loss(rates) == pytest.approx(power[-1])
    level = MultiPowerLaw(2.0, 0.5, 0.5, 400.0, 2.0, 0.6, 0.0)  # every rate has speed 1, 0 too
    assert level.predict(rates)[0] == pytest.approx(level.final_loss(rates))
    drops, gone = np.array([3e-4, -1e-4, 1e-4]), np.array([1e-4, 1e-4, 0.0])
    gain = 1.0 - (1.0 + 2.0 * gone) ** -0.6
    expected = 2.0 + 0.5 * 7e-4**-0.5 - 400.0 * float(drops @ gain)
    assert level.final_loss(rates) == pytest.approx(expected)


def test_gradient_behind_a_rate_of_zero() -> None:
    law = MultiPowerLaw(L0=2.4, A=0.65, alpha=0.43, B=500.0, C=2.0, beta=0.6, gamma=0.63)
    rates = np.concatenate([np.full(5, 3e-4), [0.0], np.linspace(2e-4, 1e-4, 6)])
    _, slopes = law.final_gradient(rates)
    for i in (7, 9):
        step = np.eye(12)[i] * 1e-9
        slope = (law.final_loss(rates + step) - law.final_loss(rates - step)) / 2e-9
        assert slopes[i] == pytest.approx(slope, rel=1e-4)
