"""What to try next: a tree-structured Parzen estimator in edge units, with an informative prior.

Bergstra et al. 2011 ("Algorithms for hyper-parameter optimization"), with these differences:
1. The multiplier is searched as log2 m under a normal prior around 1; the prior stays in both
   densities, so a few bad trials cannot push the search to the bounds.
2. The alignment has divided the families' relative optimum out, so the multiplier's densities are
   shared by all families. The family itself is drawn from the good trials' shares, not maximised
   over, for one lucky run would settle it.
3. Every stopped trial is bad, however late it was stopped, and so is every running one (constant
   liar), which keeps parallel workers apart.
4. The first trials walk the prior's quantiles from its middle outwards: trial 0 is the best guess.

Its only state is the storage's: the same seed, trial number and records give the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lrsearch.search import _parzen as parzen
from lrsearch.search import _prior as prior
from lrsearch.search._dimension import Dimension
from lrsearch.search._records import TrialRecord, ranked
from lrsearch.search._space import FAMILY, MULTIPLIER, ScheduleSpace

STARTUP = 6  # trials from the prior: quartiles and octiles of m, the heavier families first
GOOD_SHARE = 0.25  # of the complete trials, at least 2
CANDIDATES = 24  # as many as Optuna's TPE draws
PRIOR_WEIGHT = 1.0  # counted in observations
FAMILY_PRIOR_WEIGHT = 3.0  # one lucky run must not settle the family
# The loss hardly changes within a quarter octave of its optimum (the judge's grid is 1/4 octave).
OCTAVE_FLOOR = 0.25
UNIT_FLOOR = 0.1


class Engine:
    """Proposes the next point of a space from the records so far.

    Args:
        space: The space to search.
        seed: Makes every proposal a pure function of trial number and records.
    """

    def __init__(self, space: ScheduleSpace, seed: int) -> None:
        self.space = space
        self.seed = seed

    def ask(self, number: int, records: Sequence[TrialRecord]) -> dict[str, float | str]:
        """Values for the trial with this number, by dimension name.

        Cost: O(CANDIDATES x records); no gradients.
        """
        rng = np.random.default_rng([self.seed, number])
        usable = [r for r in records if FAMILY in r.parameters and MULTIPLIER in r.parameters]
        # A loss that is not finite can be the best of two, and is bad all the same.
        complete = [r for r in ranked(usable) if all(map(math.isfinite, r.values))]
        if number < STARTUP or len(complete) < 2:
            return self._from_prior(number, rng)
        return self._from_records(complete, usable, rng)

    def _from_prior(self, number: int, rng: np.random.Generator) -> dict[str, float | str]:
        weights = prior.family_weights(self.space.families)
        family = prior.apportioned(weights, number)
        quantile = prior.van_der_corput(number + 1)
        if number > 0:
            quantile = float(np.clip(quantile + rng.uniform(-0.04, 0.04), 0.01, 0.99))
        values: dict[str, float | str] = {FAMILY: family}
        for dimension in self.space.dimensions()[1:]:
            if dimension.name == MULTIPLIER:
                values[MULTIPLIER] = prior.multiplier_quantile(
                    quantile, dimension.low, dimension.high
                )
            elif dimension.family in (None, family):
                values[dimension.name] = _uniform(dimension, rng)
        return values

    def _from_records(
        self,
        complete: Sequence[TrialRecord],
        usable: Sequence[TrialRecord],
        rng: np.random.Generator,
    ) -> dict[str, float | str]:
        good = complete[: max(2, math.ceil(GOOD_SHARE * len(complete)))]
        best = {r.number for r in good}
        bad = [r for r in usable if r.number not in best]

        weights = prior.family_weights(self.space.families)
        likely = parzen.category_weights(weights, _families(good), FAMILY_PRIOR_WEIGHT)
        family = str(rng.choice(list(likely), p=list(likely.values())))

        dimension = self.space.dimensions()[-1]
        bounds = (math.log2(dimension.low), math.log2(dimension.high))
        belief = (prior.CENTER, prior.SPREAD)
        here, there = _octaves(good, bounds), _octaves(bad, bounds)
        width = parzen.kernel_width(prior.SPREAD / 2, len(here), OCTAVE_FLOOR)
        octaves = parzen.draw_mixture(rng, CANDIDATES, here, width, belief, PRIOR_WEIGHT, bounds)
        score = parzen.log_mixture(octaves, here, width, belief, PRIOR_WEIGHT)
        width = parzen.kernel_width(prior.SPREAD / 2, len(there), OCTAVE_FLOOR)
        score = score - parzen.log_mixture(octaves, there, width, belief, PRIOR_WEIGHT)

        multiplier = 2.0 ** octaves[int(np.argmax(score))]
        values: dict[str, float | str] = {FAMILY: family}
        for searched in self.space.dimensions()[1:-1]:
            if searched.family in (None, family):
                values[searched.name] = _shape_value(searched, good, bad, rng)
        values[MULTIPLIER] = float(np.clip(multiplier, dimension.low, dimension.high))
        return values


def _families(records: Sequence[TrialRecord]) -> list[str]:
    return [str(r.parameters[FAMILY]) for r in records]


def _octaves(records: Sequence[TrialRecord], bounds: tuple[float, float]) -> parzen.Array:
    """Multipliers in octaves; one beyond the bounds (an enqueued rate) counts as on the bound."""
    multipliers = np.array([r.parameters[MULTIPLIER] for r in records], dtype=np.float64)
    return np.clip(np.log2(multipliers), *bounds)


def _uniform(dimension: Dimension, rng: np.random.Generator) -> float | str:
    if dimension.choices:
        return dimension.choices[int(rng.integers(len(dimension.choices)))]
    return dimension.from_unit(float(rng.uniform()))


def _shape_value(
    dimension: Dimension,
    good: Sequence[TrialRecord],
    bad: Sequence[TrialRecord],
    rng: np.random.Generator,
) -> float | str:
    here = [r.parameters[dimension.name] for r in good if dimension.name in r.parameters]
    there = [r.parameters[dimension.name] for r in bad if dimension.name in r.parameters]
    if dimension.choices:
        names = [str(choice) for choice in dimension.choices]
        even = dict.fromkeys(names, 1.0 / len(names))
        likely = parzen.category_weights(even, [str(v) for v in here], PRIOR_WEIGHT)
        unlikely = parzen.category_weights(even, [str(v) for v in there], PRIOR_WEIGHT)
        drawn = rng.choice(len(names), size=CANDIDATES, p=[likely[n] for n in names])
        return dimension.choices[max(drawn, key=lambda i: likely[names[i]] / unlikely[names[i]])]
    belief = (0.5, 0.5)  # nearly flat over the unit interval
    units = [dimension.to_unit(float(v)) for v in here]
    others = [dimension.to_unit(float(v)) for v in there]
    width = parzen.kernel_width(0.3, len(units), UNIT_FLOOR)
    drawn_units = parzen.draw_mixture(
        rng, CANDIDATES, units, width, belief, PRIOR_WEIGHT, (0.0, 1.0)
    )
    score = parzen.log_mixture(drawn_units, units, width, belief, PRIOR_WEIGHT)
    width = parzen.kernel_width(0.3, len(others), UNIT_FLOOR)
    score = score - parzen.log_mixture(drawn_units, others, width, belief, PRIOR_WEIGHT)
    return dimension.from_unit(float(drawn_units[int(np.argmax(score))]))
