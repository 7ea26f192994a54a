"""What to try next: the point of the greatest expected improvement, in edge units.

1. A Gaussian process over multiplier and shape (`_surrogate`), with what is believed of both before
   the first trial; the alignment has divided the shapes' relative optimum out, so that all families
   share a basin, and neighbouring shapes their level (`_shapes`).
2. Expected improvement (Jones et al. 1998) over the least expected loss of what has been tried,
   times the probability that the run does not diverge (`_cliff`), over what the run costs: a step
   of a tuner may cost more than a gradient.
3. A run that was stopped as too hot tells where the cliff is; one that was stopped for another
   reason counts as a bad one, roughly. A running one counts as what is expected of it (Ginsbourger
   et al. 2010, "kriging believer"), which keeps parallel workers apart (`_evidence`).
4. Trial 0 is the best guess: the edge itself, with the shape that is believed to be the best.

Its only state is the storage's: the same seed, trial number and records give the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr

from lrsearch.search import _candidates as candidates
from lrsearch.search._candidates import Values
from lrsearch.search._evidence import Evidence, evidence
from lrsearch.search._finished import NOTHING, Earlier
from lrsearch.search._kinds import Kinds
from lrsearch.search._locate import Located, Locator
from lrsearch.search._outlook import Outlook, outlook
from lrsearch.search._records import TrialRecord
from lrsearch.search._space import MULTIPLIER, ScheduleSpace
from lrsearch.search._standings import Standing, standings
from lrsearch.search._surrogate import CURVATURE, SPREAD, Array

Score = Callable[[Evidence, Located], Array]


class Engine:
    """Proposes the next point of a space from the records so far.

    Args:
        space: The space to search.
        seed: Makes every proposal a pure function of trial number and records.
        before: What earlier studies tell.
    """

    def __init__(self, space: ScheduleSpace, seed: int, before: Earlier = NOTHING) -> None:
        self.space = space
        self.seed = seed
        self.before = before
        self._locator = Locator(space)
        self._past = Kinds()  # sorted once; every answer is the same without it

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be sorted again: a snapshot must not grow with the study."""
        return {name: value for name, value in self.__dict__.items() if name != "_past"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As it was; of a version whose shapes had fewer coordinates, with zeros for the others."""
        self.__dict__ = state | {"_past": Kinds(), "before": state["before"].widened()}

    def ask(self, number: int, records: Sequence[TrialRecord]) -> Values:
        """Values for the trial with this number, by dimension name.

        Args:
            number: Of the trial.
            records: All others, in order of their numbers.

        Cost: O(records), and a Gaussian process of at most 140 of them; no gradients.
        """
        rng = np.random.default_rng([self.seed, number])
        past = self._past = self._past.grown(records)  # read once: threads may share an engine
        known = evidence(self._locator, past, self.before)
        shapes = candidates.shapes(self.space, rng)
        octaves = candidates.rates(self.space, None, rng)
        if known.surrogate is None or not len(known.tried):
            octaves = np.append(octaves, self._within(0.0))
            return self._best(_guess, known, shapes, octaves)
        found = self._best(_improvement, known, shapes, octaves)
        shape = [{n: v for n, v in found.items() if n != MULTIPLIER}]
        near = candidates.rates(self.space, math.log2(float(found[MULTIPLIER])), rng)
        return self._best(_improvement, known, shape, near)

    def outlook(self, records: Sequence[TrialRecord]) -> Outlook | None:
        """What is still to be gained; see `lrsearch.search._outlook`.

        Args:
            records: All trials, in order of their numbers.

        Raises:
            UnsupportedError: If there are several objectives.
        """
        return outlook(self._locator, records, self.before)

    def standings(self, records: Sequence[TrialRecord]) -> list[Standing]:
        """How far every family is behind; see `lrsearch.search._standings`.

        Args:
            records: All trials, in order of their numbers.

        Raises:
            UnsupportedError: If there are several objectives.
        """
        return standings(self._locator, records, self.before)

    def _within(self, octaves: float) -> float:
        bounds = self.space.dimensions()[-1]
        return min(max(octaves, math.log2(bounds.low)), math.log2(bounds.high))

    def _best(
        self, score: Score, known: Evidence, shapes: Sequence[Values], octaves: Array
    ) -> Values:
        """The point of the highest score, of every shape at every rate."""
        scores = score(known, self._locator.grid(shapes, octaves))
        shape, place = divmod(int(np.argmax(scores)), len(octaves))
        bounds = self.space.dimensions()[-1]
        multiplier = min(max(2.0 ** float(octaves[place]), bounds.low), bounds.high)
        return {**shapes[shape], MULTIPLIER: multiplier}


def _guess(known: Evidence, at: Located) -> Array:
    """Log score before any loss is known: what is believed, and what diverged."""
    if known.surrogate is not None:  # of earlier studies
        score = -known.surrogate.mean(at.points) / CURVATURE
    else:
        score = -((at.points.octaves / SPREAD) ** 2) / 2 - at.points.beliefs / CURVATURE
    score = score - np.log(at.costs)
    return score + np.log(known.cliff.holds(at)) if known.cliff.seen else score


def _improvement(known: Evidence, at: Located) -> Array:
    """Expected improvement on the least expected loss so far, in log loss, per unit of cost."""
    assert known.surrogate is not None
    least = known.surrogate.mean(known.tried).min()
    means, deviations = known.surrogate.predict(at.points)
    z = (least - means) / deviations
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    each = deviations * (z * ndtr(z) + density)
    return np.asarray((known.surrogate.weights @ each) * known.cliff.holds(at) / at.costs)
