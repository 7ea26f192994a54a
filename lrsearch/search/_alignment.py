"""Relative optimal peak of a schedule shape: divided out so that one multiplier fits all families.

A schedule that stays high longer wants a lower peak. The convex bound (Schaipp et al. 2025,
2501.18965) says by how much: it is least at a peak `gamma*` that belongs to the shape. Measured
best peaks follow it, by four fifths of its octaves (0.82 on Fashion-MNIST, 0.60 to 0.94 without one
of three optimizers; studies/alignment), and better than the mean of the shape:

    alignment = (gamma*(shape) / gamma*(linear)) ** 0.8

Provisional: on the judge's development tables the power is 0.87, on its evaluation tables 0.29, for
half of those are limited by their first steps and all shapes want the same peak (no shape warms up
in them; studies/edge_calibration).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lrsearch.schedules import Schedule, get_family
from lrsearch.theory import optimal_peak

# The slope of measured octaves on the bound's, rounded (studies/alignment).
EXPONENT = 0.8
# The ratio hardly depends on the budget (0.02 octaves from 400 to 6,400 steps, but for shapes that
# never end), and must not: multipliers are compared between budgets. So one budget stands for all.
STEPS = 400


def alignment(family: str, parameters: Mapping[str, Any]) -> float:
    """Peak of a shape relative to linear decay's, warm-up and end left aside (dimensionless)."""
    return _alignment(family, tuple(sorted(parameters.items())))


@lru_cache(maxsize=4096)
def _alignment(family: str, items: tuple[tuple[str, Any], ...]) -> float:
    parameters = dict(items)
    room = get_family(family).room(STEPS, get_family(family).complete(parameters))
    steps = max(STEPS, room)
    peak = optimal_peak(Schedule(family, 1.0, steps, parameters))
    linear = optimal_peak(Schedule("linear", 1.0, steps))
    return float((peak / linear) ** EXPONENT)
