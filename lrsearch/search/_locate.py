"""Values of a space as points of the surrogate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrsearch.search._shapes import PLACES, ShapePoint, shape_point
from lrsearch.search._space import MULTIPLIER, ScheduleSpace
from lrsearch.search._surrogate import Array, Points

REMEMBERED = 4096  # shapes


@dataclass(frozen=True, slots=True)
class Located:
    """Points, the octaves of their peaks over the edge (n,), and what a step costs there (n,)."""

    points: Points
    peaks: Array
    costs: Array

    @property
    def kinds(self) -> Array:
        """0 of schedules, another number for each tuner, (n,)."""
        return np.asarray(self.points.places[:, -1])


def placed(shapes: Sequence[ShapePoint], octaves: Array, study: int = 0) -> Points:
    """Shapes at the octaves of their multipliers, (n,), as points of a study."""
    return Points(
        octaves,
        np.array([shape.place for shape in shapes]).reshape(len(shapes), PLACES),
        np.array([shape.belief for shape in shapes]),
        np.full(len(shapes), study, dtype=np.intp),
    )


class Locator:
    """Locates values of a space, and remembers its shapes.

    Args:
        space: The space.
    """

    def __init__(self, space: ScheduleSpace) -> None:
        self.space = space
        self._known: dict[tuple[tuple[str, Any], ...], ShapePoint] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be worked out again."""
        return self.__dict__ | {"_known": {}}

    def points(self, values: Sequence[Mapping[str, Any]]) -> Located:
        """One point for each."""
        octaves = np.log2(np.array([float(each[MULTIPLIER]) for each in values]))
        return self._located([self._shape(each) for each in values], octaves)

    def grid(self, shapes: Sequence[Mapping[str, Any]], octaves: Array) -> Located:
        """Every shape at every rate, shape by shape."""
        found = [self._shape(each) for each in shapes]
        repeated = [shape for shape in found for _ in octaves]
        return self._located(repeated, np.tile(octaves, len(found)))

    def _located(self, shapes: Sequence[ShapePoint], octaves: Array) -> Located:
        peaks = octaves + np.array([shape.octaves for shape in shapes])
        costs = np.array([shape.cost for shape in shapes])
        return Located(placed(shapes, octaves), peaks, costs)

    def _shape(self, values: Mapping[str, Any]) -> ShapePoint:
        key = tuple(item for item in values.items() if item[0] != MULTIPLIER)
        found = self._known.get(key)
        if found is None:
            shape = self.space.shape(values)
            warmup = shape.warmup_steps / shape.budget
            found = shape_point(shape.family, shape.parameters, warmup)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = found
        return found
