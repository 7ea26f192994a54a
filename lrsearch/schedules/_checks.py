"""Checks of single values, shared by everything in this room; the messages name the value."""

from __future__ import annotations

import math
import numbers
import operator
from typing import SupportsIndex

from lrsearch.exceptions import InvalidScheduleError

# Steps are computed with as float64, which holds every whole number up to here.
LARGEST_STEP = 2**53

# A stored document may hold anything; its values are quoted in messages up to this length.
_SHOWN_CHARACTERS = 120


def show(value: object) -> str:
    """Return `repr(value)` on one line, cut when it is long."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python refuses to write whole numbers of thousands of digits
        text = "a value with a number of thousands of digits"
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def whole_number(
    name: str, value: object, *, low: int, high: int | None = None, hint: str = ""
) -> int:
    """Return `value` as an `int` in [low, high].

    Whatever has an exact integer value by type passes (`int`, numpy integers); `bool` and floats,
    even `3.0`, do not.

    Raises:
        InvalidScheduleError: If the value is no whole number or lies outside.
    """
    number = None
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        try:
            number = operator.index(value)
        except TypeError:  # arrays and tensors have __index__ and refuse it for fractions
            number = None
    if number is not None and low <= number and (high is None or number <= high):
        return number
    bound = f">= {low}" if number is None or number < low else f"<= {high}"
    raise InvalidScheduleError(
        f"{name} must be a whole number {bound}, got {show(value)}{hint and f'; {hint}'}"
    )


def finite_number(name: str, value: object) -> float:
    """Return `value` as a plain finite `float`.

    Raises:
        InvalidScheduleError: If the value is no real number (`bool` and `str` are none), or is
            NaN or infinite.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number + 0.0  # -0.0 becomes 0.0: equal schedules have equal documents
    raise InvalidScheduleError(f"{name} must be a finite number, got {show(value)}")
