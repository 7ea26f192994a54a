"""A longer budget at the same peak: two ways to go on from a WSD run that was tuned.

The peak that suits `T0` steps is too high for `T1 > T0`: at a fixed shape the bound's optimum falls
as `T^-1/2`. Instead of a new search the shape can give way[^1]:

    longer cooldown     the cooldown is lengthened until the old peak is the optimum again
    lower second stage  the peak up to the old branch-off, from there a factor times the peak,
                        and the cooldown's old share of the new budget at the end

The finished run is taken as tuned: its peak as the bound's optimum for its own shape. That fixes
the one unknown, the ratio `D / G`, and all that is computed is dimensionless. Gradient norms are
taken as constant, and averaging at the end is left out of account.

With a linear cooldown of 20 % and `T1 / T0` of 1.5 to 4, the longer cooldown ends within 2.3 % of a
tuned linear decay and the lower second stage within 5.2 %, where the old schedule stretched loses
10 to 35 %. A longer cooldown ends when all steps after the warm-up are in it: near `5 T0` for that
run. A lower second stage exists
at every length, with an end of 0 and more than a few steps, and is 17 % worse than a tuned linear
decay at `100 T0`.

[^1]: Schaipp, Hägele, Taylor, Simsekli, Bach, "The Surprising Agreement Between Convex
    Optimization Theory and Learning-Rate Scheduling for Large Model Training", 2025,
    arXiv 2501.18965, section on transfer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule, join
from lrsearch.theory._bound import Bound, convex_bound
from lrsearch.theory._curve import FloatArray

CRITERIA = ("same-peak", "least-bound")

# How much of the bound a cooldown over all steps may give away against its own optimal peak.
LARGEST_EXCESS = 0.01

# Second stages are looked for from this on, times sqrt(T0 / T1); the best lie at 0.3 to 1.1.
_LOWEST_STAGE = 0.05


def longer_cooldown(schedule: Schedule, budget: int) -> Schedule:
    """Return the `wsd` schedule over `budget` whose optimal peak is that of a finished one.

    Peak, warm-up steps, end value and cooldown shape are kept; the cooldown has the whole number
    of steps `N` at which `gamma*(T1, N)` is nearest to `gamma*(T0, N0)`. The provenance tells its
    first step, `cooldown_step`, and the last step whose checkpoint the two runs share,
    `branch_off_step`. That lies before the finished run's own cooldown for long extensions (of 20 %
    from about `1.7 T0` on with a linear cooldown, `3.6 T0` with 1-sqrt).

    Args:
        schedule: A finished schedule of family `wsd`, taken as tuned.
        budget: T1 in optimizer steps, longer than that of the schedule.

    Raises:
        InvalidScheduleError: If the schedule is no `wsd`, the budget is no longer, or even a
            cooldown over all steps after the warm-up asks for a lower peak (by so much that
            keeping it gives away over 1 % of the bound).

    Cost: O(T1 log T1). Source: arXiv 2501.18965.
    """
    _check(schedule, budget)
    target = _plain_bound(schedule).optimal_scale

    def lengthened(steps: int) -> Schedule:
        parameters = {**schedule.parameters, "cooldown": steps / budget}
        return replace(schedule, budget=budget, parameters=parameters)

    def octaves(steps: int) -> float:
        return math.log2(_plain_bound(lengthened(steps)).optimal_scale / target)

    below, above = 1, budget - schedule.warmup_steps
    full = octaves(above)
    if full < 0.0:
        _refuse_beyond(schedule, budget, 2.0**full)
        below = above
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if octaves(middle) < 0.0 else (below, middle)
    steps = min((below, above), key=lambda steps: abs(octaves(steps)))
    return lengthened(steps).with_provenance(
        transfer="longer cooldown",
        transferred_from_budget=schedule.budget,
        branch_off_step=min(schedule.stable_steps, budget - steps),
        cooldown_step=budget - steps,
    )


def lower_second_stage(schedule: Schedule, budget: int, criterion: str = "same-peak") -> Schedule:
    """Return a schedule over `budget` that goes on from a finished run at its branch-off step.

    A join of two parts: the warm-up and the peak up to the first step of the finished run's
    cooldown, then a `wsd` with `second_stage_factor` times the peak, whose cooldown has the same
    share of the whole budget as before. The first part has been trained already: the run goes on
    from its checkpoint at `branch_off_step` of the provenance.

    Args:
        schedule: A finished schedule of family `wsd`, taken as tuned.
        budget: T1 in optimizer steps, longer than that of the schedule.
        criterion: As in `second_stage_factor`.

    Raises:
        InvalidScheduleError: As `second_stage_factor`.

    Cost: O(T1), some 50 evaluations of the bound. Source: arXiv 2501.18965.
    """
    factor = second_stage_factor(schedule, budget, criterion)
    first, second = _stages(schedule, budget)
    joined = join(first, replace(second, peak=factor * schedule.peak, averaging=None))
    joined = replace(joined, averaging=schedule.averaging, provenance=schedule.provenance)
    return joined.with_provenance(
        transfer="lower second stage",
        transferred_from_budget=schedule.budget,
        branch_off_step=first.budget,
        factor=factor,
    )


def second_stage_factor(schedule: Schedule, budget: int, criterion: str = "same-peak") -> float:
    """Return the factor on the peak from the branch-off step on; dimensionless, at most 1.

        same-peak    the largest factor at which the finished run's peak is the optimum of the whole
                     shape again, as the authors choose it
        least-bound  the factor at which the bound, at that peak, is least

    They differ most for short extensions: as `T1 -> T0` same-peak tends to 1, so that the old
    schedule comes out, while least-bound stays near one half, since the bound prefers a drop at the
    branch-off to a WSD without one. Between 2 and 6 `T0` their bounds differ by less than 1 %.

    Args:
        schedule: A finished schedule of family `wsd`, taken as tuned.
        budget: T1 in optimizer steps, longer than that of the schedule.
        criterion: One of `CRITERIA`.

    Raises:
        InvalidScheduleError: If the schedule is no `wsd` or is never constant, the budget is no
            longer, the criterion is unknown or met by no factor, or the end value is so high that
            the second stage would begin below it.

    Cost: O(T1), some 50 evaluations of the bound. Source: arXiv 2501.18965.
    """
    _check(schedule, budget)
    if criterion not in CRITERIA:
        raise InvalidScheduleError(
            f"criterion must be one of {', '.join(map(repr, CRITERIA))}, got {criterion!r}"
        )
    first, second = _stages(schedule, budget)
    scale = _plain_bound(schedule).optimal_scale
    constant = first.values()
    fall = replace(second, peak=1.0, end_value=0.0).values()
    floor = schedule.end_value / schedule.peak

    def bound(factor: float) -> Bound:
        """Return the bound of the whole, in units where the old peak is the optimum at scale 1."""
        stage: FloatArray = factor * schedule.peak * fall + schedule.end_value * (1.0 - fall)
        return convex_bound(scale * np.concatenate([constant, stage]))

    low = max(_LOWEST_STAGE * math.sqrt(schedule.budget / budget), floor)
    if criterion == "least-bound":
        factor = _least(lambda x: bound(x).value, low)
    else:
        factor = _largest_root(lambda x: math.log2(bound(x).optimal_scale), low)
    if factor <= 1.001 * floor:  # the search stops short of its edge by 1e-6
        raise InvalidScheduleError(
            f"the best second stage would begin at or below end_value = {schedule.end_value}, "
            f"{floor:.3g} times the peak; lower the end value of the schedule first"
        )
    return factor


def _plain_bound(schedule: Schedule) -> Bound:
    """Return the bound of the last weights, whatever is averaged."""
    return convex_bound(schedule.values())


def _least(function: Callable[[float], float], low: float) -> float:
    """Return the argument of the minimum in [low, 1]; the function has one valley there."""
    found = minimize_scalar(
        lambda x: function(math.exp(x)),
        bounds=(math.log(low), 0.0),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(float(found.x))


def _largest_root(function: Callable[[float], float], low: float) -> float:
    """Return the largest argument in [low, 1] with value 0; the function has one hill there."""
    if function(1.0) >= 0.0:  # rounding to whole steps has lengthened the cooldown's share
        return 1.0
    top = _least(lambda x: -function(x), low)
    if function(top) < 0.0:
        raise InvalidScheduleError(
            "no second stage makes the old peak the optimum again; "
            "use criterion = 'least-bound' or longer_cooldown"
        )
    return float(brentq(function, top, 1.0, xtol=1e-9))


def _stages(schedule: Schedule, budget: int) -> tuple[Schedule, Schedule]:
    """Return the part up to the branch-off, and the rest with the peak as it was."""
    branch_off = schedule.stable_steps
    if branch_off <= schedule.warmup_steps:
        raise InvalidScheduleError(
            f"the schedule is never constant: cooldown or averaging begin at {branch_off}, right "
            f"after a warm-up of {schedule.warmup_steps} steps; there is no stage to go on from"
        )
    first = Schedule("constant", schedule.peak, branch_off, {}, schedule.warmup_steps)
    rest = budget - branch_off
    plain = replace(schedule, budget=budget, averaging=None)
    cooldown = (budget - plain.stable_steps) / rest
    parameters = {**schedule.parameters, "cooldown": cooldown}
    return first, replace(
        schedule, budget=rest, parameters=parameters, warmup_steps=0, provenance={}
    )


def _check(schedule: Schedule, budget: int) -> None:
    if not isinstance(schedule, Schedule) or schedule.family != "wsd":
        given = f"family {schedule.family!r}" if isinstance(schedule, Schedule) else repr(schedule)
        raise InvalidScheduleError(
            f"only a schedule of family 'wsd' can be transferred to a longer budget, got {given}: "
            f"the others have no cooldown to change; for them use Schedule.rescale and a lower peak"
        )
    if replace(schedule, budget=budget, warmup_steps=0).budget <= schedule.budget:
        raise InvalidScheduleError(
            f"budget must be above the {schedule.budget} steps of the finished schedule, got "
            f"{budget}; for fewer steps use Schedule.rescale"
        )


def _refuse_beyond(schedule: Schedule, budget: int, ratio: float) -> None:
    """Raise if a peak `1 / ratio` times too high gives too much of the bound away."""
    # Omega(gamma) / Omega* = (gamma / gamma* + gamma* / gamma) / 2; equal to 1 + e here:
    least = 1.0 + LARGEST_EXCESS - math.sqrt(LARGEST_EXCESS * (2.0 + LARGEST_EXCESS))
    if ratio < least:
        raise InvalidScheduleError(
            f"a budget of {budget} steps is beyond what a longer cooldown can do: even one over "
            f"all steps after the warm-up wants {ratio:.3g} times the peak of {schedule.peak}. It "
            f"reaches about {int(budget * (ratio / least) ** 2)} steps; use lower_second_stage, "
            f"or that peak with a cooldown over all steps"
        )
