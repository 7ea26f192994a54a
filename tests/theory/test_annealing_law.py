"""The annealing law against its recursion word by word, and in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.theory import AnnealingLaw

LAW = AnnealingLaw(L0=2.5, A=0.6, alpha=0.45, C=0.5, decay=0.97)


def literal(law: AnnealingLaw, rates: np.ndarray, step: int, before: float) -> float:
    """The recursion as it is printed."""
    s1 = s2 = momentum = 0.0
    for rate in rates[:step]:
        momentum = law.decay * momentum + (before - rate)
        s1, s2, before = s1 + rate, s2 + momentum, rate
    return float(law.L0 + law.A * s1**-law.alpha - law.C * s2)


def test_it_is_the_literal_recursion() -> None:
    rates = np.random.default_rng(0).uniform(0.0, 1e-3, 300)
    steps = [1, 2, 17, 150, 300]
    for before in (None, 5e-4):
        first = rates[0] if before is None else before
        expected = [literal(LAW, rates, step, first) for step in steps]
        assert LAW.predict(rates, steps, previous_rate=before) == pytest.approx(expected, rel=1e-12)


def test_one_drop_is_a_geometric_series() -> None:
    rates = np.r_[np.full(100, 1e-3), np.full(100, 4e-4)]
    area = 6e-4 * (1 - 0.97**100) / 0.03
    power = 2.5 + 0.6 * (100e-3 + 40e-3) ** -0.45
    assert LAW.final_loss(rates) == pytest.approx(power - 0.5 * area, rel=1e-12)


def test_a_decay_of_one_is_refused() -> None:
    with pytest.raises(InvalidScheduleError, match=r"below 1, got 1\.0; the paper has 0\.999"):
        AnnealingLaw(1.0, 1.0, 1.0, 1.0, decay=1.0)
