"""A recorded trajectory of learning rates as a schedule: a tuner's cost is paid once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._schedule import Schedule

LEVELS = 33


def distilled(
    steps: Sequence[int], rates: Sequence[float], budget: int, *, levels: int = LEVELS
) -> Schedule:
    """The schedule "piecewise" that follows recorded rates, smoothed; `rescale` takes it elsewhere.

    Each level is the median of the log rates within half the distance to the next level (at least
    the three nearest ones), so that single wild steps leave no trace.

    Args:
        steps: Updates that were recorded, counted from 1 as readings do; (n,), rising.
        rates: Their learning rates, (n,).
        budget: Optimizer steps of the run, and of the schedule.
        levels: How many there are.

    Raises:
        InvalidScheduleError: If there is nothing to follow: fewer than three rates above 0.
    """
    if not isinstance(levels, int) or levels < 2:
        raise InvalidScheduleError(f"levels must be a whole number >= 2, got {show(levels)}")
    pairs = [
        (step - 1, rate)
        for step, rate in zip(steps, rates, strict=True)
        if 0 < rate < math.inf and 0 < step <= budget
    ]
    if len(pairs) < 3:
        raise InvalidScheduleError(
            f"a schedule is distilled from three learning rates or more, got {len(pairs)} above 0"
        )
    x = np.array([step for step, _ in pairs], dtype=np.float64)
    y = np.log(np.array([rate for _, rate in pairs]))
    places = np.linspace(0, budget, levels)
    half = 0.5 * budget / (levels - 1)
    found = np.exp([_level(x, y, place, half) for place in places])
    peak = float(found.max())
    return Schedule("piecewise", peak, budget, {"levels": (found / peak).tolist()})


def _level(x: np.ndarray, y: np.ndarray, place: float, half: float) -> float:
    distance = np.abs(x - place)
    near = y[distance <= half]
    if len(near) < 3:
        near = y[np.argsort(distance, kind="stable")[:3]]
    return float(np.median(near))
