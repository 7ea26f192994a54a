"""Axes whose numbers a reader can read off: ticks of logarithmic ones, and when to use one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

SPREAD = 5.0  # factor between two values from which a logarithmic axis shows more
ROOM = 0.06  # of an axis, at both ends


def spread_out(values: Iterable[float]) -> bool:
    """Whether values ask for a logarithmic axis: all positive, and a factor of five apart."""
    found = [v for v in values if math.isfinite(v)]
    return bool(found) and min(found) > 0 and max(found) >= SPREAD * min(found)


def log_axis(
    values: Iterable[float], *, binary: bool = False, room: float = ROOM, most: int = 9
) -> dict[str, Any]:
    """Settings of a logarithmic axis around these values.

    Args:
        values: What it has to show; those that are not positive do not count.
        binary: Whether its ticks are powers of two (1/4, 1/2, 1, 2) instead of 1, 2, 5, 10.
        room: Share of the axis that stays free at each end.
        most: Ticks at the most.
    """
    found = [v for v in values if v > 0 and math.isfinite(v)] or [1.0]
    low, high = math.log10(min(found)), math.log10(max(found))
    pad = max(room * (high - low), 0.08 if high > low else 0.3)
    low, high = low - pad, high + pad
    ticks = _powers_of_two(low, high, most) if binary else _ticks(low, high, most)
    return {
        "type": "log",
        "range": [low, high],
        "tickvals": ticks,
        "ticktext": [fraction(t) if binary else number(t) for t in ticks],
        "minor": {"ticks": ""},
    }


def linear_axis(values: Iterable[float], *, room: float = ROOM) -> dict[str, Any]:
    """Settings of an axis around these values."""
    found = [v for v in values if math.isfinite(v)] or [0.0]
    low, high = min(found), max(found)
    pad = room * (high - low) or 0.1 * abs(high) or 1.0
    return {"type": "linear", "range": [low - pad, high + pad], "nticks": 8}


def value_axis(values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis where the values ask for one, else a linear one."""
    return log_axis(values, most=7) if spread_out(values) else linear_axis(values)


def place(value: float, axis: dict[str, Any]) -> float:
    """Where plotly wants an annotation at this value: logarithmic axes take the logarithm."""
    return math.log10(value) if axis["type"] == "log" else value


def ends(axis: dict[str, Any]) -> tuple[float, float]:
    """The values at both ends of an axis."""
    return inside(axis, 0.0), inside(axis, 1.0)


def widened(axis: dict[str, Any], *, low: float = 0.0, high: float = 0.0) -> dict[str, Any]:
    """An axis with more room at its ends, as shares of it."""
    start, end = axis["range"]
    return axis | {"range": [start - low * (end - start), end + high * (end - start)]}


def inside(axis: dict[str, Any], share: float) -> float:
    """The value at a share of an axis."""
    start, end = axis["range"]
    at = start + share * (end - start)
    return float(10.0**at if axis["type"] == "log" else at)


def number(value: float) -> str:
    """A number as people write it."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e5:
        return f"{value:.4g}"
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def fraction(value: float) -> str:
    """A power of two as people say it: 1/4, 1/2, 1, 2."""
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"


def _ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(math.floor(low), math.ceil(high) + 1)
    for digits in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [d * 10.0**k for k in decades for d in digits]
        found = [t for t in found if low <= math.log10(t) <= high]
        if len(found) <= most:
            return found or [10.0 ** ((low + high) / 2)]
    return [10.0**k for k in decades if low <= k <= high][:: math.ceil((high - low) / most)]


def _powers_of_two(low: float, high: float, most: int) -> list[float]:
    first, last = math.ceil(low / math.log10(2)), math.floor(high / math.log10(2))
    step = max(1, math.ceil((last - first + 1) / most))
    return [2.0**k for k in range(first, last + 1) if k % step == 0] or [1.0]
