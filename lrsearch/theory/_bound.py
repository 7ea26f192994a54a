"""The convex bound of the last iterate: which peak a schedule wants, and which family is best.

For convex losses with gradient norms `G_t` and a start at distance `D` from a minimum, subgradient
descent with learning rates `eta_1 .. eta_T` ends at most this far above the minimum[^1]:

    Omega = D^2 / (2 S_1) + Q_1 / (2 S_1) + 1/2 sum_{k<T} (eta_k / S_{k+1}) (Q_k / S_k)
    S_k = sum_{t>=k} eta_t,    Q_k = sum_{t>=k} eta_t^2 G_t^2

The first term falls with the learning rate, the other two rise with it: scaled by `gamma`, it is
`t1 / gamma + gamma (t2 + t3)`, least at `gamma* = sqrt(t1 / (t2 + t3))`. Training of real networks
agrees with it to a surprising degree[^2], though nothing about them is convex.

[^1]: Defazio, Cutkosky, Mehta, Mishchenko, "When, Why and How Much? Adaptive Learning Rate
    Scheduling by Refinement", 2023, arXiv 2310.07831, Theorem 10.
[^2]: Schaipp, Hägele, Taylor, Simsekli, Bach, "The Surprising Agreement Between Convex
    Optimization Theory and Learning-Rate Scheduling for Large Model Training", 2025,
    arXiv 2501.18965.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule, families, get_family
from lrsearch.theory._curve import FloatArray


@dataclass(frozen=True)
class Bound:
    """The convex bound of one list of learning rates; all values in the units of the loss.

    Attributes:
        distance_term: `D^2 / (2 S_1)`, what is left of the start; falls as `1 / gamma`.
        gradient_term: `Q_1 / (2 S_1)`, the noise of an average of the iterates; rises as `gamma`.
        last_iterate_term: What the last iterate costs beyond the average; rises as `gamma`.
    """

    distance_term: float
    gradient_term: float
    last_iterate_term: float

    @property
    def value(self) -> float:
        """The bound at the given learning rates."""
        return self.at(1.0)

    @property
    def optimal_scale(self) -> float:
        """The factor `gamma*` on the given learning rates at which the bound is least."""
        return math.sqrt(self.distance_term) / math.sqrt(self._rising)

    @property
    def optimal_value(self) -> float:
        """The bound `Omega*` at that factor."""
        return 2.0 * math.sqrt(self.distance_term) * math.sqrt(self._rising)

    def at(self, scale: float) -> float:
        """Return the bound with all learning rates multiplied by `scale` (above 0)."""
        return self.distance_term / scale + scale * self._rising

    @property
    def _rising(self) -> float:
        return self.gradient_term + self.last_iterate_term


def convex_bound(
    schedule: Schedule | npt.ArrayLike,
    gradient_norms: npt.ArrayLike = 1.0,
    distance: float = 1.0,
) -> Bound:
    """Return the convex bound of the last iterate, O(T) in time and memory.

    The T learning rates are those of the T updates. The papers write T + 1 entries, the last of
    them 0, and take the bound at T, which is the same: zeros at the end of an array move nothing
    and are left out, with the gradient norms that go with them.

    Of a schedule that averages weights this is the bound at the rates that its mean acts like
    (`Schedule.effective_values`): a likeness to first order, no theorem about the mean.

    Args:
        schedule: A schedule, whose `effective_values()` are taken (without averaging these are
            its `values()`), or an array `(T,)` of learning rates >= 0.
        gradient_norms: `G`, one number or `(T,)`; >= 0 and not 0 throughout.
        distance: `D`, from the start to a minimum; above 0. Learning rates are in units of
            `D / G`, the bound in units of `D G`.

    Raises:
        InvalidScheduleError: If an argument has another shape or range, or the rates fall so far
            that the bound is no finite number.

    Source: arXiv 2310.07831, Theorem 10; arXiv 2501.18965.
    """
    given = schedule.effective_values() if isinstance(schedule, Schedule) else schedule
    rates = _numbers("schedule", given)
    if rates.ndim != 1 or rates.size == 0:
        raise InvalidScheduleError(
            f"learning rates must be an array of shape (T,), got shape {rates.shape}"
        )
    norms = _numbers("gradient_norms", gradient_norms)
    if norms.shape not in ((), rates.shape):
        raise InvalidScheduleError(
            f"gradient_norms must be one number or one for each of the {rates.size} learning "
            f"rates, got shape {norms.shape}"
        )
    far = _numbers("distance", distance)
    if far.shape != () or far <= 0.0:
        raise InvalidScheduleError(f"distance must be one number above 0, got {distance!r}")
    peak = float(rates.max())
    if peak == 0.0:
        raise InvalidScheduleError("all learning rates are 0: the bound of no movement is infinite")
    moving = slice(int(np.flatnonzero(rates)[-1]) + 1)
    steepest = float(norms[moving].max() if norms.ndim else norms)
    if steepest == 0.0:
        raise InvalidScheduleError(
            "gradient_norms are 0 throughout: every learning rate is as good as any other"
        )
    relative = norms[moving] / steepest if norms.ndim else np.float64(1.0)
    return _terms(rates[moving] / peak, relative, peak, steepest, float(far))


def _terms(
    shape: FloatArray,
    norms: FloatArray | np.float64,
    peak: float,
    steepest: float,
    distance: float,
) -> Bound:
    """Return the bound of rates `peak * shape` and norms `steepest * norms`, both at most 1."""
    rest = np.cumsum(shape[::-1])[::-1]
    noise = np.cumsum(np.square(shape * norms)[::-1])[::-1]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        last = float(np.sum(shape[:-1] / rest[1:] * (noise[:-1] / rest[:-1])))
    total = float(rest[0])
    rising = 0.5 * peak * steepest * steepest
    bound = Bound(
        distance_term=distance * distance / (2.0 * peak * total),
        gradient_term=rising * (float(noise[0]) / total),
        last_iterate_term=rising * last,
    )
    if not (math.isfinite(bound.value) and bound.distance_term > 0.0 and bound.gradient_term > 0.0):
        raise InvalidScheduleError(
            f"the convex bound is beyond what a float holds, {bound}: the learning rates fall by "
            f"too much before the end, or the units of gradient_norms and distance are extreme"
        )
    return bound


def optimal_peak(
    schedule: Schedule, gradient_norms: npt.ArrayLike = 1.0, distance: float = 1.0
) -> float:
    """Return the peak at which the bound of this shape is least, in units of `D / G`; O(T).

    `gamma* peak`, with warm-up and end value in their ratio to the peak. With unknown `D` and `G`
    only ratios of two of these mean something: between shapes, or between budgets (`~ T^-1/2`).

    Raises:
        InvalidScheduleError: As `convex_bound`.

    Source: arXiv 2501.18965.
    """
    if not isinstance(schedule, Schedule):
        raise InvalidScheduleError(f"optimal_peak takes a Schedule, got {schedule!r}")
    return schedule.peak * convex_bound(schedule, gradient_norms, distance).optimal_scale


@dataclass(frozen=True)
class RankedFamily:
    """What the convex bound says of one schedule family over a budget.

    Attributes:
        family: Its name.
        parameters: All its shape parameters.
        bound: The bound at its own optimal peak, in units of `D G`.
        peak: That peak, in units of `D / G`.
        relative_peak: That peak over linear decay's, same budget and warm-up; dimensionless.
    """

    family: str
    parameters: Mapping[str, Any]
    bound: float
    peak: float
    relative_peak: float


def rank_families(
    budget: int,
    families: Iterable[str | tuple[str, Mapping[str, Any]]] | None = None,
    warmup_steps: int = 0,
    gradient_norms: npt.ArrayLike = 1.0,
    distance: float = 1.0,
) -> tuple[RankedFamily, ...]:
    """Return schedule families in the order of the bound at their own optimal peaks, best first.

    The end value is 0 where a family has an end. The cost is O(T) per family.

    Args:
        budget: T, optimizer steps.
        families: Names, or names with parameters (`("uba", {"phi": 1.0})`). Without it, all
            families with their defaults, except those that have none or do not fit the budget.
        warmup_steps: Optimizer steps of linear warm-up.
        gradient_norms: As in `convex_bound`.
        distance: As in `convex_bound`.

    Raises:
        InvalidScheduleError: If a schedule cannot be made of the arguments; as `convex_bound`.

    Source: arXiv 2501.18965.
    """

    def bound(family: str, parameters: Mapping[str, Any]) -> tuple[Schedule, Bound]:
        schedule = Schedule(family, 1.0, budget, parameters, warmup_steps)
        return schedule, convex_bound(schedule, gradient_norms, distance)

    linear = bound("linear", {})[1].optimal_scale
    if isinstance(families, str):
        families = [families]
    wanted = _with_defaults(budget - warmup_steps, budget) if families is None else families
    ranked = []
    for item in wanted:
        schedule, found = bound(*((item, {}) if isinstance(item, str) else item))
        peak = found.optimal_scale
        ranked.append(
            RankedFamily(
                schedule.family, schedule.parameters, found.optimal_value, peak, peak / linear
            )
        )
    return tuple(sorted(ranked, key=lambda record: record.bound))


def _with_defaults(steps: int, budget: int) -> list[str]:
    """Return the families that need no parameters and fit into `steps` of `budget`."""
    found = []
    for name in families():
        family = get_family(name)
        complete = all(declaration.default is not None for declaration in family.parameters)
        if complete and family.room(budget, family.complete({})) <= steps:
            found.append(name)
    return found


def _numbers(name: str, values: npt.ArrayLike) -> FloatArray:
    """Return `values` as finite numbers >= 0, of any shape."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidScheduleError(f"{name} must be numbers: {error}") from error
    wrong = array[~(np.isfinite(array) & (array >= 0.0))]
    if wrong.size:
        raise InvalidScheduleError(f"{name} must be finite and >= 0, got {wrong[0]}")
    return array
