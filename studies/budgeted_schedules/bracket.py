"""Which peaks to train next, and which one is best: half octaves, until the best lies inside.

Peaks are ``2 ** (k / 2)``, ``k`` whole: one grid for all shapes, budgets, tasks and optimizers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

FURTHER = 2  # half octaves that are tried beyond an edge that is best
Losses = Mapping[int, list[float]]  # k -> losses of the tuning seeds


def peak(k: int) -> float:
    return float(2.0 ** (k / 2))


def score(losses: list[float]) -> float:
    """Mean log loss; infinite if a seed diverged."""
    if not losses or not all(math.isfinite(loss) and loss > 0 for loss in losses):
        return math.inf
    return sum(math.log(loss) for loss in losses) / len(losses)


def best(found: Losses) -> int:
    """The peak with the least score; the lowest, if all diverged."""
    return min(sorted(found), key=lambda k: score(found[k]))


def wanted(found: Losses, centre: int, reach: int) -> list[int]:
    """Peaks that are to be trained yet: none once the best has a worse neighbour on each side.

    The first are the centre and ``reach`` half octaves to each side.
    """
    if not found:
        return list(range(centre - reach, centre + reach + 1))
    at, low, high = best(found), min(found), max(found)
    if at == low:
        return list(range(low - FURTHER, low))
    if at == high:
        return list(range(high + 1, high + FURTHER + 1))
    return []


def vertex(found: Losses) -> float:
    """The best ``k`` by the parabola through the best peak and its neighbours.

    It is the peak itself where a neighbour diverged.
    """
    at = best(found)
    left, middle, right = (score(found.get(k, [])) for k in (at - 1, at, at + 1))
    bend = left - 2 * middle + right
    if not math.isfinite(bend) or bend <= 0:
        return float(at)
    return at + 0.5 * (left - right) / bend
