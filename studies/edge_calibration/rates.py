"""A grid of rates that grows around the best one. Pure.

Places are quarter octaves: the rate of place k is 2^(k/4).
"""

import math
from collections.abc import Mapping

import numpy as np

OCTAVE = 4
WORST = 10.0  # log loss of a diverged run, for means


def rate(place: int) -> float:
    return float(2.0 ** (place / OCTAVE))


def place(learning_rate: float) -> int:
    """The nearest place on a whole octave."""
    return OCTAVE * round(math.log2(learning_rate))


def wanted(values: Mapping[int, float], start: int, *, reach: int, fine: bool) -> list[int]:
    """The places to train at next; none when the grid is complete.

    First by octaves until ``reach`` of them on either side of the best are known, then half octaves
    within one octave, then (``fine``) quarter octaves within three quarters.

    Args:
        values: Objective of the known places; infinite where runs diverge.
        start: Where to begin, a whole octave.
        reach: Octaves to know on either side.
        fine: Whether quarter octaves are wanted.
    """
    if not values:
        return [start - OCTAVE, start, start + OCTAVE]
    octaves = {k: v for k, v in values.items() if (k - start) % OCTAVE == 0}
    middle = min(octaves, key=lambda k: octaves[k])
    if not math.isfinite(octaves[middle]):  # everything diverged: down
        return [min(octaves) - OCTAVE, min(octaves) - 2 * OCTAVE]
    ring = [middle + OCTAVE * i for i in range(-reach, reach + 1)]
    cliff = min((k for k in octaves if k > middle and math.isinf(octaves[k])), default=None)
    near = [k for k in ring if abs(k - middle) <= OCTAVE and k not in values]
    if near:
        return near
    missing = [k for k in ring if k not in values and (cliff is None or k <= cliff + OCTAVE)]
    if missing:
        return missing
    for step, within in ((2, 4), (1, 3)) if fine else ((2, 4),):
        best = min(values, key=lambda k: values[k])
        missing = [
            k
            for k in range(best - within, best + within + 1)
            if (k - best) % step == 0 and k not in values
        ]
        if missing:
            return missing
    return []


def lowest(values: Mapping[int, float], within: int = 5) -> float:
    """Place (not whole) of the minimum of a parabola through the values near the best one.

    Args:
        values: Log losses.
        within: Places around the best that are fitted to.
    """
    finite = {k: v for k, v in values.items() if math.isfinite(v)}
    best = min(finite, key=lambda k: finite[k])
    near = [k for k in finite if abs(k - best) <= within]
    if len(near) < 3:
        return float(best)
    a, b, _ = np.polyfit([k - best for k in near], [finite[k] for k in near], 2)
    if a <= 0:
        return float(best)
    return best + float(np.clip(-b / (2 * a), -within, within))
