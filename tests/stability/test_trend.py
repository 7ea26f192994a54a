"""The robust slope: exact on a line, the median of pairs, and unmoved by a few wild points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import theilslopes

from lrsearch.stability import extrapolated, robust_slope


@pytest.mark.parametrize("slope", [-3.0, 0.0, 0.25])
def test_exact_on_a_line(slope: float) -> None:
    x = [1.0, 2.0, 4.0, 7.0]
    assert robust_slope(x, [5 + slope * v for v in x]) == pytest.approx(slope)


def test_the_median_of_the_pairs_by_hand() -> None:
    # Slopes: 0-1: 1, 0-2: 2, 0-3: 1, 1-2: 3, 1-3: 1, 2-3: -1.
    assert robust_slope([0, 1, 2, 3], [0, 1, 4, 3]) == 1.0


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(-99, 99)), min_size=2, max_size=12))
def test_as_scipy_has_it(points: list[tuple[int, int]]) -> None:
    x, y = zip(*points, strict=True)
    if len(set(x)) < 2:
        assert robust_slope(x, y) == 0.0
    else:
        assert robust_slope(x, y) == pytest.approx(theilslopes(y, x).slope, abs=1e-12)


@pytest.mark.parametrize("wild", [1e9, -1e9])
def test_outliers_do_not_move_it(wild: float) -> None:
    x = np.arange(12.0)
    y = 2.0 * x
    y[[1, 7, 10]] = wild  # 25 % of the points
    assert robust_slope(x.tolist(), y.tolist()) == pytest.approx(2.0)
    assert abs(np.polyfit(x, y, 1)[0]) > 1e5  # what least squares makes of it


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [2.0]), ([3.0, 3.0], [1.0, 9.0])])
def test_no_slope_without_two_places(x: list[float], y: list[float]) -> None:
    assert robust_slope(x, y) == 0.0


def test_an_extrapolation_follows_a_line_past_an_outlier() -> None:
    x, y = [0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 50.0, 7.0, 9.0]
    assert extrapolated(x, y, 6.0) == pytest.approx(15.0, abs=2.0)
    assert extrapolated([2.0], [5.0], 9.0) == 5.0
    with pytest.raises(ValueError, match="no point"):
        extrapolated([], [], 1.0)
