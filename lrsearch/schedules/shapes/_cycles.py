"""Runs that are cut into cycles of whole steps; shared by everything that restarts or drops."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lrsearch.schedules._checks import LARGEST_STEP
from lrsearch.schedules._family import FloatArray
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect


def cycles_parameter(default: float, *, matters: bool = True, since: int = 1) -> Parameter:
    """Declare the number of cycles."""
    return Parameter(
        "cycles",
        default=default,
        searched=(1.0, 2.0, 3.0, 4.0),
        minimum=1.0,
        maximum=1e6,
        whole=True,
        matters=matters,
        since=since,
        doc="How many cycles the steps after the warm-up are cut into.",
    )


def needed(cycles: float, growth: float = 1.0) -> int:
    """Return the steps at which the shortest of these cycles has one, `1 + g + g^2 + ...`."""
    total, length = 0.0, 1.0
    for _ in range(int(cycles)):
        total += length
        length *= growth
        if total > LARGEST_STEP:
            break
    return -int(-min(total, LARGEST_STEP + 1.0) // 1)  # rounded up


def edges(steps: int, cycles: float, growth: float = 1.0) -> list[int]:
    """Return the first step of every cycle, and the end: `cycles + 1` whole numbers from 0 to n.

    Every cycle is `growth` times as long as the one before, rounded to whole steps.
    """
    count = int(cycles)
    if growth == 1.0:
        return [(2 * k * steps + count) // (2 * count) for k in range(count + 1)]
    whole = growth**count - 1.0
    return [round(steps * ((growth**k - 1.0) / whole)) for k in range(count)] + [steps]


def locate(
    left: FloatArray, steps: int, marks: Sequence[int]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the number of the cycle, the steps left in it and its length, each `(k,)`.

    The last step of all belongs to the last cycle, with none left in it.
    """
    edge = np.asarray(marks, dtype=np.float64)
    passed = steps - left
    cycle = np.minimum(np.searchsorted(edge, passed, side="right") - 1, len(marks) - 2)
    return cycle.astype(np.float64), edge[cycle + 1] - passed, edge[cycle + 1] - edge[cycle]


def locate_source(dialect: Dialect, marks: Sequence[int]) -> list[str]:
    """Return `locate` as code: it replaces `left` and `steps` by those of the cycle.

    Where there are several cycles, it sets `cycle` as well.
    """
    if len(marks) == 2:
        return []
    ends = dialect.pick(marks[1:], "cycle")
    lengths = dialect.pick([b - a for a, b in pairwise(marks)], "cycle")
    return [
        "passed = steps - left",
        f"cycle = {dialect.count(marks[1:-1], 'passed')}",
        f"left, steps = {ends} - passed, {lengths}",
    ]
