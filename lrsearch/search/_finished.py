"""Finished runs in units of their edge: which would be the best again, what earlier ones tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from lrsearch.schedules import get_family
from lrsearch.search._alignment import alignment
from lrsearch.search._levels import levels
from lrsearch.search._locate import placed
from lrsearch.search._plan import Plan
from lrsearch.search._records import TrialRecord, ranked
from lrsearch.search._shapes import PLACES, shape_point
from lrsearch.search._surrogate import Array, Points, Surrogate

FEWEST = 4  # runs from which neighbours tell more of a run than its own loss
MOST = 100  # of a study, that are looked at for the best of it
STUDIES, RUNS = 5, 20  # earlier ones that count: the last given, and the best runs of each


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run that ended.

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

    @classmethod
    def of_plan(cls, plan: Plan, values: tuple[float, ...]) -> Self:
        """What came of a plan."""
        return cls(
            family=plan.family,
            parameters=plan.parameters,
            warmup=plan.warmup_steps / plan.budget,
            multiplier=plan.multiplier,
            values=values,
        )

    @classmethod
    def at_rate(
        cls,
        rate: float,
        edge: float,
        values: tuple[float, ...],
        *,
        family: str,
        parameters: Mapping[str, Any],
        warmup: float,
    ) -> Self:
        """What came of a peak learning rate; ``multiplier = rate / (alignment * edge)``."""
        shape = get_family(family).complete(parameters)
        multiplier = rate / (alignment(family, shape) * edge)
        return cls(
            family=family, parameters=shape, warmup=warmup, multiplier=multiplier, values=values
        )


@dataclass(frozen=True, slots=True)
class Earlier:
    """Runs of earlier studies as points, and their losses (n,)."""

    points: Points
    losses: Array

    def __len__(self) -> int:
        return len(self.losses)

    def widened(self) -> Self:
        """With all coordinates that shapes have by now; missing ones are of tuners, and zero."""
        missing = PLACES - self.points.places.shape[1]
        places = np.pad(self.points.places, ((0, 0), (0, missing)))
        return replace(self, points=replace(self.points, places=places))


NOTHING = Earlier(placed([], np.zeros(0)), np.zeros(0))


def earlier(studies: Sequence[Sequence[FinishedRun]]) -> Earlier:
    """The best runs of the last few studies; one that is not finite does not count.

    Args:
        studies: The runs of each.
    """
    points, losses = NOTHING.points, NOTHING.losses
    for study, runs in enumerate(studies[-STUDIES:], 1):
        _, more, own = _best(runs, RUNS, study)
        points, losses = points.joined(more), np.append(losses, own)
    return Earlier(points, losses)


def believed(runs: Sequence[FinishedRun]) -> int | None:
    """Which run of a study would be the best once more: the lowest loss is partly luck.

    Args:
        runs: Finished ones of one study; one that is not finite does not count.

    Returns:
        The place of the run of the least expected loss by the surrogate; ``None`` where fewer than
        four ended.

    Cost: a Gaussian process of at most 100 runs; no gradients.
    """
    found, points, losses = _best(runs, MOST)
    if len(found) < FEWEST:
        return None
    mean = Surrogate(points, losses, np.zeros(len(found))).mean(points)
    return found[int(np.argmin(mean))]


def _best(
    runs: Sequence[FinishedRun], most: int, study: int = 0
) -> tuple[list[int], Points, Array]:
    """Places of the best finite runs, their points, and their levels."""
    records = [
        TrialRecord(number=i, state="complete", values=run.values)
        for i, run in enumerate(runs)
        if run.values and all(map(math.isfinite, run.values))
    ]
    best = ranked(records)[:most]
    chosen = [runs[record.number] for record in best]
    shapes = [shape_point(run.family, run.parameters, run.warmup) for run in chosen]
    octaves = np.log2(np.array([run.multiplier for run in chosen]))
    return [r.number for r in best], placed(shapes, octaves, study), levels(best)
