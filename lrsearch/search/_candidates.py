"""Points that are looked at before one is proposed: rates on a grid, shapes of every family."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lrsearch.search._dimension import Dimension
from lrsearch.search._space import FAMILY, ScheduleSpace

Array = NDArray[np.float64]
Values = dict[str, float | str]

OCTAVES = 0.25  # between rates
FINER = 0.0625  # the same around the one that was found
SHAPES = 6  # drawn of each family, beside its default
POSITIONS = 16  # of a range that shapes are drawn from: few enough to be known from earlier trials


def shapes(space: ScheduleSpace, rng: np.random.Generator) -> list[Values]:
    """Every family: all its shapes where they are few, else its default and some that are drawn."""
    found: list[Values] = []
    for family in space.families:
        own = [d for d in space.dimensions()[1:-1] if d.family in (None, family)]
        few = all(d.choices for d in own) and math.prod(len(d.choices) for d in own) <= SHAPES
        if few:
            names = [d.name for d in own]
            drawn = [dict(zip(names, v, strict=True)) for v in product(*(d.choices for d in own))]
        else:
            drawn = [{d.name: default(d) for d in own}]
            drawn += [{d.name: _drawn(d, rng) for d in own} for _ in range(SHAPES)]
        found += [{FAMILY: family, **values} for values in drawn]
    return found


def default(dimension: Dimension) -> float | str:
    """The value of someone who does not say: its default, or the middle of its range."""
    if dimension.default is not None:
        return dimension.default
    return dimension.choices[0] if dimension.choices else dimension.from_unit(0.5)


def rates(space: ScheduleSpace, around: float | None, rng: np.random.Generator) -> Array:
    """Multipliers in octaves: over the whole range, or nearer to one another around one of them."""
    bounds = space.dimensions()[-1]
    low, high = math.log2(bounds.low), math.log2(bounds.high)
    if around is None:
        step = min(OCTAVES, (high - low) / 8)
        grid = np.arange(low + step * rng.uniform(), high, step)
        return np.asarray(np.concatenate([[low], grid, [high]]))
    grid = around + FINER * np.arange(-3, 4)
    return np.asarray(np.unique(np.clip(grid, low, high)))


def _drawn(dimension: Dimension, rng: np.random.Generator) -> float | str:
    if dimension.choices:
        return dimension.choices[int(rng.integers(len(dimension.choices)))]
    return dimension.from_unit((int(rng.integers(POSITIONS)) + 0.5) / POSITIONS)
