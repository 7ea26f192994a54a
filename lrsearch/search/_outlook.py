"""What is still to be gained: is another run worth its cost?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrsearch.exceptions import UnsupportedError
from lrsearch.search import _candidates as candidates
from lrsearch.search._evidence import Evidence, evidence
from lrsearch.search._finished import NOTHING, Earlier
from lrsearch.search._kinds import Kinds
from lrsearch.search._levels import level_share
from lrsearch.search._locate import Locator
from lrsearch.search._records import TrialRecord
from lrsearch.search._surrogate import Array, Surrogate

FEWEST = 4  # finished runs before anything is foretold
DRAWS = 400
LIKELY = 0.5  # a point that holds with less than this is nothing to hope for
HORIZON = 10  # runs ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a study may still gain on what it recommends, as shares of the best loss so far.

    Attributes:
        runs: Finished runs that it is foretold from.
        remaining: Expected gain if all of the space were known.
        ahead: Expected gain of another ten runs, at most: they are noisy, too.
    """

    runs: int
    remaining: float
    ahead: float

    def sentence(self) -> str:
        """For people."""
        return (
            f"after {self.runs} finished runs the best schedule is expected to be "
            f"{self.remaining:.1%} better than the recommended one; another {HORIZON} runs would "
            f"bring at most {self.ahead:.1%}"
        )


def outlook(
    locator: Locator, records: Sequence[TrialRecord], before: Earlier = NOTHING
) -> Outlook | None:
    """What is still to be gained; ``None`` before four runs have finished.

    The surrogate is drawn over shapes and rates: ``E max(0, f(recommended) - min f)``, once over
    all points that are unlikely to diverge, once over the ten that draws most often hold for best.

    Args:
        locator: Of the space that is searched.
        records: All trials, in order of their numbers.
        before: What earlier studies tell.

    Raises:
        UnsupportedError: If there are several objectives.

    Cost: a Gaussian process of at most 140 runs and 400 draws of it; no gradients.
    """
    found = foretold(
        locator,
        records,
        before,
        "what is still to be gained can be told for one objective: leave `until` out, or search "
        "one objective.",
    )
    if found is None:
        return None
    done, known, surrogate = found
    rng = np.random.default_rng([len(done), 23])
    shapes = candidates.shapes(locator.space, rng)
    grid = locator.grid(shapes, candidates.rates(locator.space, None, rng))
    near = np.flatnonzero(known.cliff.holds(grid) >= LIKELY)
    points = grid.points.chosen(near).joined(known.tried)
    own = len(near) + int(np.argmin(surrogate.mean(known.tried)))
    drawn = surrogate.draw(points, rng, DRAWS)
    best = _often(drawn, HORIZON)
    share = level_share(done)

    def gain(columns: NDArray[np.intp]) -> float:
        over = drawn[:, own] - drawn[:, columns].min(axis=1)
        return share * float(np.maximum(over, 0.0).mean())

    return Outlook(
        runs=len(done), remaining=gain(np.arange(drawn.shape[1])), ahead=gain(np.array(best))
    )


def foretold(
    locator: Locator, records: Sequence[TrialRecord], before: Earlier, refusal: str
) -> tuple[list[TrialRecord], Evidence, Surrogate] | None:
    """The finished runs, what they tell, and its surrogate; ``None`` before four have finished.

    Raises:
        UnsupportedError: With ``refusal``, if there are several objectives.
    """
    settled = [r for r in records if r.state != "running"]
    done = [r for r in settled if r.state == "complete" and np.isfinite(r.values).all()]
    if any(len(r.values) > 1 for r in done):
        raise UnsupportedError(refusal)
    known = evidence(locator, Kinds().grown(settled), before)
    if len(done) < FEWEST or known.surrogate is None:
        return None
    return done, known, known.surrogate


def _often(drawn: Array, count: int) -> list[int]:
    """Columns that are the least in most draws."""
    least = np.bincount(drawn.argmin(axis=1), minlength=drawn.shape[1])
    return [int(i) for i in np.argsort(-least, kind="stable")[:count]]
