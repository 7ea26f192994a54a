"""Piecewise linear: a shape given by numbers, for schedules that were computed rather than chosen.

The levels stand at equal distances from the end of the warm-up (the first) to step T (the last):

    p = (step - W) / n * (m - 1),  i = floor(p)
    shape = levels[i] + (p - i) (levels[i + 1] - levels[i])

The largest level is 1; the peak itself is met only where that level falls on a whole step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import finite_number, show
from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect


class Levels(Parameter):
    """Two numbers or more in [0, 1], the largest of them 1."""

    def check(self, value: object) -> tuple[float, ...]:
        """Return the levels as plain floats.

        Raises:
            InvalidScheduleError: If there are fewer than two, one lies outside, or none is 1.
        """
        items: Any = value.tolist() if isinstance(value, np.ndarray) else value
        listed = isinstance(items, Sequence) and not isinstance(items, str | bytes | bytearray)
        if not listed or len(items) < 2:
            raise InvalidScheduleError(
                f"{self.name} must be a list of two numbers or more, got {show(value)}"
            )
        levels = tuple(finite_number(f"{self.name}[{i}]", item) for i, item in enumerate(items))
        for index, level in enumerate(levels):
            if not 0.0 <= level <= 1.0:
                raise InvalidScheduleError(
                    f"{self.name}[{index}] must be >= 0 and <= 1, got {level!r}; "
                    "divide all levels by the largest"
                )
        if max(levels) != 1.0:
            raise InvalidScheduleError(
                f"the largest of {self.name} must be 1, got {max(levels)!r}; "
                "divide all levels by it"
            )
        return levels

    def plain(self, value: tuple[float, ...]) -> list[float]:
        """Return the levels as a list."""
        return list(value)


def _piecewise(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    levels = np.asarray(parameters["levels"])
    position = (span.steps - left) / span.steps * (len(levels) - 1)
    index = np.minimum(np.floor(position), len(levels) - 2).astype(np.intp)
    fraction = position - index
    return levels[index] * (1.0 - fraction) + levels[index + 1] * fraction


def _mean(span: Span, parameters: Parameters) -> float:
    levels: tuple[float, ...] = parameters["levels"]
    return (sum(levels) - (levels[0] + levels[-1]) / 2) / (len(levels) - 1)


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    levels = parameters["levels"]
    index = dialect.minimum(dialect.whole("position"), repr(len(levels) - 2))
    return [
        f"position = (steps - left) / steps * {len(levels) - 1!r}",
        f"index = {index}",
        "f = position - index",
        f"before = {dialect.pick(levels[:-1], 'index')}",
        f"after = {dialect.pick(levels[1:], 'index')}",
        "shape = before * (1.0 - f) + after * f",
    ]


PIECEWISE = Family(
    "piecewise",
    _piecewise,
    _mean,
    _source,
    "straight lines between given levels",
    parameters=(
        Levels(
            "levels",
            default=None,
            minimum=0.0,
            maximum=1.0,
            doc="two numbers or more in [0, 1], equally spaced after the warm-up, the largest 1",
        ),
    ),
    starts_at_peak=False,
    reaches_peak=False,
    monotone=False,
    reaches_end=False,
)
