"""What counts as an event between two readings."""

from __future__ import annotations

from typing import Any

import pytest

from lrsearch.stability import Reading, event

CALM = {
    "step": 10, "learning_rate": 0.1, "loss": 1.0, "sharpness": 10.0, "threshold": 2.0,
    "top_sharpness": 12.0, "top_threshold": 2.0, "decrease_ratio": 0.5,
}  # fmt: skip


def reading(**changes: Any) -> Reading:
    return Reading(**(CALM | changes))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, False),
        ({}, {"step": 20, "loss": 1.9, "sharpness": 15.0, "decrease_ratio": 0.01}, False),
        ({}, {"sharpness": 16.1}, True),  # rho 0.5 -> 0.805
        ({"sharpness": 16.1}, {"sharpness": 15.9}, True),  # and back
        ({"sharpness": 17.0}, {"sharpness": 19.9}, False),  # both between the marks
        ({"sharpness": 19.0}, {"sharpness": 21.0}, True),  # over the edge itself
        ({"sharpness": 30.0}, {"sharpness": 40.0}, False),  # both far above
        ({}, {"learning_rate": 0.2}, True),  # the rate moved, not the curvature
        ({}, {"top_sharpness": 17.0}, True),
        ({"top_sharpness": None}, {"top_sharpness": 17.0}, False),  # nothing to compare with
        ({}, {"sharpness": 4.9}, True),  # halved
        ({}, {"sharpness": 5.1}, False),
        ({}, {"loss": 2.1}, True),
        ({"loss": 2.1}, {"loss": 1.0}, False),  # a loss that falls is what training is for
        ({}, {"loss": None, "sharpness": None}, False),
        ({}, {"decrease_ratio": -0.1}, True),
        ({"decrease_ratio": -0.1}, {"decrease_ratio": -0.2}, False),
        ({"decrease_ratio": None}, {"decrease_ratio": -0.2}, False),
        ({"sharpness": -1.0}, {"sharpness": -5.0}, False),
    ],
)
def test_crossings_jumps_and_rises(before: Any, after: Any, expected: bool) -> None:
    assert event(reading(**before), reading(**after)) is expected


def test_the_first_reading_is_no_event() -> None:
    assert not event(None, reading())
