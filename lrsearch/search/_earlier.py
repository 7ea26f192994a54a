"""What earlier studies tell: their finished runs in units of their own edges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrsearch.search._levels import levels
from lrsearch.search._records import TrialRecord, ranked
from lrsearch.search._shapes import PLACES, shape_point
from lrsearch.search._surrogate import Array, Points

STUDIES, RUNS = 5, 20  # that count: the last ones given, and the best runs of each


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRun:
    """A finished run of an earlier study.

    Attributes:
        family: Schedule family.
        parameters: Its shape parameters.
        warmup: Share of the budget.
        multiplier: Edge multiplier.
        values: Objectives, to be minimised.
    """

    family: str
    multiplier: float
    values: tuple[float, ...]
    warmup: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Earlier:
    """Runs of earlier studies as points, and their losses (n,)."""

    points: Points
    losses: Array

    def __len__(self) -> int:
        return len(self.losses)


_NONE = Points(np.zeros(0), np.zeros((0, PLACES)), np.zeros(0), np.zeros(0, dtype=np.intp))
NOTHING = Earlier(_NONE, np.zeros(0))


def earlier(studies: Sequence[Sequence[EarlierRun]]) -> Earlier:
    """The best runs of the last few studies; one that is not finite does not count.

    Args:
        studies: The runs of each.
    """
    points, losses = NOTHING.points, NOTHING.losses
    for at, runs in enumerate(studies[-STUDIES:]):
        more, own = _one(runs, at + 1)
        points, losses = points.joined(more), np.append(losses, own)
    return Earlier(points, losses)


def _one(runs: Sequence[EarlierRun], study: int) -> tuple[Points, Array]:
    records = [
        TrialRecord(number=i, state="complete", values=run.values)
        for i, run in enumerate(runs)
        if run.values and all(map(math.isfinite, run.values))
    ]
    best = ranked(records)[:RUNS]
    chosen = [runs[record.number] for record in best]
    shapes = [shape_point(run.family, run.parameters, run.warmup) for run in chosen]
    points = Points(
        np.log2(np.array([run.multiplier for run in chosen])),
        np.array([shape.place for shape in shapes]).reshape(len(shapes), PLACES),
        np.array([shape.belief for shape in shapes]),
        np.full(len(chosen), study, dtype=np.intp),
    )
    return points, levels(best)
