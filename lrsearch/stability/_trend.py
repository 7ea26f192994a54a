"""Robust level and trend of a few noisy numbers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def robust_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Theil-Sen slope: the median of all pairwise slopes; 0 with fewer than two distinct ``x``.

    Up to 29 % of the points may be arbitrary without moving it without bound.
    """
    slopes = [
        (y[j] - y[i]) / (x[j] - x[i])
        for i in range(len(x))
        for j in range(i + 1, len(x))
        if x[j] != x[i]
    ]
    return median(slopes) if slopes else 0.0
