"""Objectives of complete trials on one scale: how much worse than the best, as log losses are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lrsearch.search._records import TrialRecord

Array = NDArray[np.float64]

# Taken for granted where losses do not tell: half of a sweep's runs are worse than its best by this
# log loss, and a point that all others dominate by that.
TYPICAL, FRONT = 0.1, 0.3
SMALLEST = 1e-300  # of the largest difference, or of one: what a difference may be divided by


def level_share(records: Sequence[TrialRecord]) -> float:
    """What a small level is of the best value, for one objective; of the median where that is 0."""
    values = np.array([r.values[0] for r in records], dtype=np.float64)
    least, typical = float(values.min()), _typical(values)
    unit = max(least, typical) if least > 0 else typical / TYPICAL
    whole = abs(least) or typical
    return unit / whole if whole else 0.0


def levels(records: Sequence[TrialRecord]) -> Array:
    """Levels (n,) of records that all have finite values.

    One objective, all values positive: `log(1 + (v - least) / max(least, median - least))`, which
    is `log(v / least)` unless the least is next to nothing. One of another kind (an accuracy to be
    maximised): in units in which the median is `TYPICAL` above the least. Several: the share of the
    records that dominate each, times `FRONT`.
    """
    if not records:
        return np.zeros(0)
    values = np.array([r.values for r in records], dtype=np.float64)
    if values.shape[1] > 1:
        below = (values[:, None] <= values[None]).all(axis=2)
        strictly = (values[:, None] < values[None]).any(axis=2)
        return np.asarray(FRONT * (below & strictly).mean(axis=0))
    least = float(values.min())
    over, typical = values[:, 0] - least, _typical(values[:, 0])
    floor = SMALLEST * max(1.0, float(over.max()))  # a quotient by less overflows
    if least > 0:
        return np.log1p(over / max(least, typical, floor))
    return np.asarray(over * (TYPICAL / max(typical, floor))) if typical > 0 else over


def shares(records: Sequence[TrialRecord], over: Array) -> Array:
    """Differences of levels as shares of the best value, for one objective; inverse of `levels`."""
    positive = min(r.values[0] for r in records) > 0
    return level_share(records) * (np.expm1(over) if positive else over)


def _typical(values: Array) -> float:
    """How far the median is above the least, or the greatest where half of them are the least."""
    over = values - values.min()
    return float(np.median(over)) or float(over.max())
