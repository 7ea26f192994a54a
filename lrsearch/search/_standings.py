"""How far every family is behind the recommended run, and how well that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrsearch.search import _candidates as candidates
from lrsearch.search._finished import NOTHING, Earlier
from lrsearch.search._levels import shares
from lrsearch.search._locate import Locator
from lrsearch.search._outlook import DRAWS, LIKELY, foretold
from lrsearch.search._records import TrialRecord
from lrsearch.search._space import FAMILY
from lrsearch.search._surrogate import unsquashed

TAIL = 5.0  # percent of the draws on either side of an interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A family at its most promising point, against the recommended run.

    Attributes:
        family: Schedule family.
        runs: Its finished runs.
        gap: Expected loss over the recommended run's, as a share of the best loss; median.
        low: Where 90 % of the draws begin.
        high: Where they end.
    """

    family: str
    runs: int
    gap: float
    low: float
    high: float

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves no room for being as good."""
        return self.low > 0


def standings(
    locator: Locator, records: Sequence[TrialRecord], before: Earlier = NOTHING
) -> list[Standing]:
    """All families of a space that have a finished run, best first; none before four have finished.

    ``f(best point of the family) - f(recommended)``, both drawn from the surrogate together. The
    noise of a single run is not in it. The surrogate's own assumptions are: a basin around the
    edge, and families that are alike where their shapes are.

    Args:
        locator: Of the space that is searched.
        records: All trials, in order of their numbers.
        before: What earlier studies tell.

    Raises:
        UnsupportedError: If there are several objectives.

    Cost: a Gaussian process of at most 140 runs and 400 draws of it; no gradients.
    """
    told = foretold(locator, records, before, "families can be compared for one objective only.")
    if told is None:
        return []
    done, known, surrogate = told
    finished = [str(r.parameters[FAMILY]) for r in done if FAMILY in r.parameters]
    rng = np.random.default_rng([len(done), 29])
    shapes = candidates.shapes(locator.space, rng)
    octaves = candidates.rates(locator.space, None, rng)
    grid = locator.grid(shapes, octaves)
    means = surrogate.mean(grid.points)
    means = np.where(known.cliff.holds(grid) >= LIKELY, means, np.inf)
    of = np.repeat([str(shape[FAMILY]) for shape in shapes], len(octaves))
    families = [f for f in locator.space.families if f in finished]
    best = [int(np.argmin(np.where(of == f, means, np.inf))) for f in families]
    points = grid.points.chosen(np.array(best)).joined(known.tried)
    own = len(best) + int(np.argmin(surrogate.mean(known.tried)))
    drawn = unsquashed(surrogate.draw(points, rng, DRAWS))
    over = shares(done, drawn[:, : len(best)] - drawn[:, [own]])
    found = [
        Standing(
            family=family,
            runs=finished.count(family),
            gap=float(np.median(column)),
            low=float(np.percentile(column, TAIL)),
            high=float(np.percentile(column, 100 - TAIL)),
        )
        for family, column in zip(families, over.T, strict=True)
    ]
    return sorted(found, key=lambda s: s.gap)
