"""The monotone schedule with the least final loss under a loss-curve law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule
from lrsearch.theory._curve import FloatArray, IntArray
from lrsearch.theory._fit import LawFit
from lrsearch.theory._law import LossLaw

# Knots of the answer, both ends included. Under the published laws 129 come within 1e-4 of the
# loss of the published schedules, which are free at every step (studies/loss_curves).
KNOTS = 129
# The first, coarse search, from every start; later ones halve the spacing.
COARSE = 33
# Shares of the steps over which the starts decay linearly.
COOLDOWNS = (0.1, 0.3, 1.0)
# Most of what is left that one knot may take off: a level of 0 has infinite slopes in the law.
LARGEST_CUT = 0.98
ITERATIONS = 500


def optimal_schedule(
    law: LossLaw | LawFit[Any],
    budget: int,
    peak: float,
    *,
    end_value: float = 0.0,
    warmup_steps: int = 0,
    knots: int = KNOTS,
) -> Schedule:
    """Return the schedule that never rises after its warm-up and has the least predicted loss.

    It is a local optimum, the best from several starts (one knot takes off at most 98 % of what is
    left, so a cliff takes two); of the family `piecewise`, linear between
    equally spaced levels. Drops in a single step are left out on purpose: the multi-power law gives
    the whole of a drop the speed of the rate after it, and a search that is free at every step
    gathers its decrements for that little gain (6e-5 of 3.15 in studies/loss_curves). The law must
    have been fitted to runs with a like warm-up and peak.

    Args:
        law: A law, or the fit that gave it; the annealing law gives a cliff, see there.
        budget: Optimizer steps.
        peak: Learning rate after the warm-up; the law is not asked which one is best.
        end_value: Learning rate at step `budget`, from which the levels are counted.
        warmup_steps: Optimizer steps of linear warm-up.
        knots: Levels, at least 2; at most one more than the steps after the warm-up are used.

    Raises:
        InvalidScheduleError: If budget, peak, end value, warm-up or knots make no sense.

    Cost: some hundred gradients of the law, O(budget) each; seconds for 20,000 steps.

    Paper: Luo et al., ICLR 2025, arXiv 2503.12811, section 5 (there: Adam over every step).
    """
    levels = optimal_levels(
        law, budget, peak, end_value=end_value, warmup_steps=warmup_steps, knots=knots
    )
    schedule = Schedule(
        "piecewise",
        peak,
        budget,
        {"levels": tuple(map(float, levels))},
        warmup_steps=warmup_steps,
        end_value=end_value,
    )
    law = _law(law)
    return schedule.with_provenance(law=law.to_dict(), predicted_loss=law.final_loss(schedule))


def optimal_levels(
    law: LossLaw | LawFit[Any],
    budget: int,
    peak: float,
    *,
    end_value: float = 0.0,
    warmup_steps: int = 0,
    knots: int = KNOTS,
    previous_rate: float | None = None,
    previous_sum: float = 0.0,
) -> FloatArray:
    """Return the levels of `optimal_schedule`, `(knots,)`, from 1 downwards.

    `previous_rate` and `previous_sum` say what happened before the first step; see `LossLaw`.

    Raises:
        InvalidScheduleError: As `optimal_schedule`.
    """
    law = _law(law)
    frame = Schedule("linear", peak, budget, {}, warmup_steps=warmup_steps, end_value=end_value)
    steps = frame.budget - frame.warmup_steps
    if isinstance(knots, bool) or not isinstance(knots, int) or knots < 2:
        raise InvalidScheduleError(f"knots must be a whole number >= 2, got {knots!r}")
    final = min(knots, steps + 1)

    def objective(cuts: FloatArray) -> tuple[float, FloatArray]:
        levels = _levels(cuts)
        rates = _spread(frame, levels)
        loss, slopes = law.final_gradient(
            rates, previous_rate=previous_rate, previous_sum=previous_sum
        )
        by_level = (frame.peak - frame.end_value) * _gather(frame, slopes, len(levels))
        # levels_j is a product of (1 - cut_i), i <= j: the chain rule sums over the later ones.
        later = np.cumsum((by_level * levels)[::-1])[::-1][1:]
        return loss, -later / (1.0 - cuts)

    coarse = min(COARSE, final)
    x = np.linspace(0.0, 1.0, coarse)
    ends = []
    for cooldown in COOLDOWNS:
        start = np.clip((1.0 - x) / cooldown, 1e-3, 1.0)
        ends.append(_descend(objective, start))
    levels = min(ends, key=lambda end: end[0])[1]
    while len(levels) < final:
        count = min(2 * len(levels) - 1, final)
        finer = np.interp(np.linspace(0.0, 1.0, count), np.linspace(0.0, 1.0, len(levels)), levels)
        levels = _descend(objective, finer)[1]
    return levels


def _law(given: LossLaw | LawFit[Any]) -> LossLaw:
    law = given.law if isinstance(given, LawFit) else given
    if not isinstance(law, LossLaw):
        raise InvalidScheduleError(
            f"law must be a law or the fit of one, got {law!r}; a document is read by from_dict"
        )
    return law


def _descend(
    objective: Callable[[FloatArray], tuple[float, FloatArray]], levels: FloatArray
) -> tuple[float, FloatArray]:
    """Return the least loss from these levels, and its levels; box constraints only."""
    cuts = np.clip(1.0 - levels[1:] / levels[:-1], 0.0, LARGEST_CUT)
    scale = 1e4  # the optimiser's tolerances are absolute, for values around 1

    def scaled(cuts: FloatArray) -> tuple[float, FloatArray]:
        loss, slopes = objective(cuts)
        return scale * loss, scale * slopes

    end = minimize(
        scaled,
        cuts,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, LARGEST_CUT)] * len(cuts),
        options={"maxiter": ITERATIONS, "maxfun": 2 * ITERATIONS, "ftol": 1e-11, "gtol": 1e-4},
    )
    return float(end.fun) / scale, _levels(end.x)


def _levels(cuts: FloatArray) -> FloatArray:
    """Return the levels of what every knot takes off the one before, `(n - 1,) -> (n,)`."""
    return np.concatenate([[1.0], np.cumprod(1.0 - cuts)])


def _place(frame: Schedule, count: int) -> tuple[IntArray, FloatArray]:
    """Return the knot left of every step after the warm-up, and the way to the next, in [0, 1)."""
    steps = frame.budget - frame.warmup_steps
    at = np.arange(steps, dtype=np.float64) / steps * (count - 1)
    left = np.minimum(at.astype(np.int64), count - 2)
    return left, at - left


def _spread(frame: Schedule, levels: FloatArray) -> FloatArray:
    """Return the learning rate of every step, warm-up included, `(n,) -> (T,)`."""
    left, way = _place(frame, len(levels))
    shape = levels[left] * (1.0 - way) + levels[left + 1] * way
    ramp = np.arange(1, frame.warmup_steps + 1) / (frame.warmup_steps + 1.0)
    return np.concatenate(
        [frame.peak * ramp, frame.end_value + (frame.peak - frame.end_value) * shape]
    )


def _gather(frame: Schedule, slopes: FloatArray, count: int) -> FloatArray:
    """Return the transpose of the interpolation in `_spread`, `(T,) -> (n,)`."""
    left, way = _place(frame, count)
    tail = slopes[frame.warmup_steps :]
    summed = np.zeros(count)
    np.add.at(summed, left, tail * (1.0 - way))
    np.add.at(summed, left + 1, tail * way)
    return summed
