"""Find the bottom of a basin on a grid of octaves with few evaluations. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

REACH = 24  # octaves either way: a first guess may be off by 10^7


def bottom(value: Callable[[int], float], start_value: float) -> tuple[int, dict[int, float]]:
    """The octave at which ``value`` is least, with both neighbours evaluated.

    Starts at octave 0. While it improves, it goes on two octaves at a time (a first guess off by
    10^4 costs about ten evaluations); then the neighbours are filled in. Where octave 0 is no
    better than not training at all, the way is down: rates that are too high look like that, rates
    that are too low still improve a little.

    Args:
        value: Objective at an octave; infinite where training diverges.
        start_value: Objective without any training.

    Returns:
        The best octave and everything evaluated.
    """
    seen: dict[int, float] = {}

    def at(octave: int) -> float:
        if octave not in seen:
            seen[octave] = value(octave) if abs(octave) <= REACH else math.inf
        return seen[octave]

    if not at(0) < start_value:
        best, way = 0, -1
        while not at(best) < start_value and best > -REACH:
            best -= 2
    else:
        best, way = 0, 1 if at(1) < at(0) else -1
    stride = 1
    while at(best + way * stride) < at(best):
        best += way * stride
        stride = 2
    while True:
        lowest = min((best, best - 1, best + 1), key=at)
        if lowest == best:
            return best, seen
        best = lowest


def vertex(left: float, middle: float, right: float) -> float:
    """Offset in [-0.5, 0.5] of the parabola's minimum through values at -1, 0, 1.

    An infinite neighbour counts as being as far above the middle as the other one, plus one.
    """
    if not math.isfinite(left) and not math.isfinite(right):
        return 0.0
    if not math.isfinite(left):
        left = right + 1.0
    if not math.isfinite(right):
        right = left + 1.0
    bend = left + right - 2.0 * middle
    return 0.0 if bend <= 0 else float(min(max(0.5 * (left - right) / bend, -0.5), 0.5))
