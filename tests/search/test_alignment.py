"""The alignment in closed form, and the one number that it was made to reproduce."""

from __future__ import annotations

import math

import pytest

from lrsearch.schedules import Schedule
from lrsearch.search import _alignment
from lrsearch.search._alignment import alignment


@pytest.mark.parametrize("family", ["linear", "cosine"])
def test_linear_and_cosine_are_the_unit(family: str) -> None:
    assert alignment(Schedule(family, 1.0, 100).mean_factor) == 1.0


@pytest.mark.parametrize("mean", [0.1, 0.5, 0.75, 1.0])
def test_closed_form(mean: float) -> None:
    assert math.log2(alignment(mean)) == pytest.approx(-0.4 * math.log2(2 * mean))


def test_the_measured_octaves_of_wsd() -> None:
    # Documented: a 20 % cooldown wants 0.34 octaves less than linear decay.
    linear = Schedule("wsd", 1.0, 1000, {"cooldown": 0.2, "cooldown_shape": "linear"})
    assert linear.mean_factor == pytest.approx(0.9)
    assert math.log2(alignment(linear.mean_factor)) == pytest.approx(-0.34, abs=0.005)
    assert "0.34" in (_alignment.__doc__ or "")


def test_staying_high_longer_wants_a_lower_peak() -> None:
    peaks = [
        alignment(Schedule("uba", 1.0, 100, {"phi": phi}).mean_factor) for phi in (0, 0.5, 2, 8)
    ]
    assert peaks == sorted(peaks)
    assert peaks[0] == alignment(1.0) < peaks[2] == 1.0 < peaks[3]
