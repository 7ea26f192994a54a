"""A curve is checked where it is made, and the message says what to do."""

from __future__ import annotations

import numpy as np
import pytest

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.theory import Curve


def test_a_curve_holds_read_only_copies() -> None:
    rates = np.full(4, 0.1)
    curve = Curve(rates, [1, 4], [3.0, 2.0])
    rates[:] = 5.0
    assert curve.peak == 0.1
    assert curve.steps.dtype == np.int64
    assert curve.losses.tolist() == [3.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        curve.losses[0] = 1.0


def test_failed_readings_may_be_nan() -> None:
    curve = Curve([0.1, 0.1], [1, 2], [3.0, float("nan")])
    assert np.isnan(curve.losses[1])


@pytest.mark.parametrize(
    ("rates", "steps", "losses", "message"),
    [
        ([], [1], [1.0], "one value an update, got none"),
        ([0.0, 0.0], [1], [1.0], "all 0"),
        ([0.1, -0.2], [1], [1.0], "got -0.2 at update 1"),
        ([0.1, float("nan")], [1], [1.0], "got nan at update 1"),
        ([[0.1]], [1], [1.0], r"shape \(1, 1\)"),
        (["a"], [1], [1.0], "must be numbers"),
        ([0.1, 0.1], [0, 1], [1.0, 1.0], r"\[1, 2\].*got 0; .*add 1 where"),
        ([0.1, 0.1], [1, 3], [1.0, 1.0], "got 3"),
        ([0.1, 0.1], [2, 1], [1.0, 1.0], "got 1 after 2"),
        ([0.1, 0.1], [1, 1], [1.0, 1.0], "got 1 after 1"),
        ([0.1, 0.1], [1.0], [1.0], "whole numbers"),
        ([0.1, 0.1], [], [], "whole numbers"),
        ([0.1, 0.1], [1, 2], [1.0], "1 losses for 2 steps"),
        ([0.1, 0.1], [1, 2], [1.0, 0.0], "got 0.0 at step 2; mark failed"),
    ],
)
def test_what_makes_no_sense_is_refused(
    rates: object, steps: object, losses: object, message: str
) -> None:
    with pytest.raises(InvalidScheduleError, match=message):
        Curve(rates, steps, losses)  # type: ignore[arg-type]
