"""Refinement: the schedule that a finished run's gradient norms ask for.

The worst-case optimum for given gradient norms `G_t` weighs every step and multiplies by the weight
that is still to come[^1]:

    eta_t  proportional to  w_t sum_{p>t} w_p,    w_t = G_t^-2 (SGD) or G_t^-1 (Adam)

Constant norms give linear decay, falling norms a warm-up, rising ones an early decay. Norms are
smoothed first, by a median over a tenth of the run. The rest of the bound's freedom is the peak:
the finished run's is taken as tuned, and multiplied by what the bound with these norms says of the
two shapes, `gamma*(refined) / gamma*(finished)`. The bound knows no edge of stability: compare a
peak far above the finished one with the measured edge.

Where the norms vanish towards the end (interpolation, where nothing is left to learn) the weight of
the last steps has no limit, and the schedule is a spike at the end. That is where the theory ends,
so it is refused, unless a `floor` says below which norm all norms count alike.

[^1]: Defazio, Cutkosky, Mehta, Mishchenko, "When, Why and How Much? Adaptive Learning Rate
    Scheduling by Refinement", 2023, arXiv 2310.07831.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule
from lrsearch.theory._bound import optimal_peak
from lrsearch.theory._curve import FloatArray

# Power of the gradient norm in the weight: of l2 norms for SGD, of l1 norms for Adam.
EXPONENTS = {"sgd": -2.0, "adam": -1.0}

# A median over a tenth of the run needs this many records to be one of more than a single record.
FEWEST_RECORDS = 20

PEAKS = ("matched", "kept")

# A schedule that spends half its learning rate in this last part of the run is a spike.
SPIKE = 0.05


def refine(
    schedule: Schedule,
    gradient_norms: npt.ArrayLike,
    optimizer: str = "sgd",
    smoothing: float = 0.1,
    points: int = 200,
    floor: float = 0.0,
    peak: str = "matched",
) -> Schedule:
    """Return the refined schedule of a finished run, as straight lines between levels.

    A `piecewise` schedule over the budget of the finished one, without warm-up (the norms bring
    their own) and with an end of 0. Of `refined_shape` up to `points` equally spaced
    values are kept. Straight lines between them miss it by at most `h^2 / 4 max |d^2 shape / dx^2|`
    with `h = 1 / (points - 1)`: with 200 points 3e-5 to 1e-3 of the peak for smooth norms that
    change by 1 to 4 octaves over the run. A jump of the norms is smeared over `h`; what the filter
    leaves of strong noise makes steps of about 1 %, which are lost as well.

    Args:
        schedule: The schedule of the finished run.
        gradient_norms: `(n,)`, recorded at every step or more coarsely, at equal distances over
            the whole run from step 0 on: l2 norms for SGD, l1 norms for Adam. At least
            `FEWEST_RECORDS`, at most one for each step.
        optimizer: "sgd" (also with momentum) or "adam" (also other sign-like ones).
        smoothing: Width of the median filter as a fraction of the run, >= 0 and < 1; 0.1 in the
            paper, 0 for none.
        points: Most levels to keep, at least 2.
        floor: Smoothed norms below this fraction of their median count as that; >= 0 and < 1.
        peak: "matched" multiplies the finished run's peak by the ratio of the two shapes' optimal
            peaks under these norms (for Adam with their square roots, whose weights are the same);
            "kept" leaves it, for a search of your own.

    Raises:
        InvalidScheduleError: If an argument makes no sense, the norms are too few, more than the
            steps, not finite, negative, or 0 (without a floor), or fall so far that the schedule
            would be a spike at the end.

    Cost: O(n log n). Source: arXiv 2310.07831.
    """
    if not isinstance(schedule, Schedule):
        raise InvalidScheduleError(f"schedule must be a Schedule, got {schedule!r}")
    if peak not in PEAKS:
        raise InvalidScheduleError(f"peak must be one of {', '.join(PEAKS)}, got {peak!r}")
    if isinstance(points, bool) or not isinstance(points, int) or points < 2:
        raise InvalidScheduleError(f"points must be a whole number >= 2, got {points!r}")
    shape = refined_shape(gradient_norms, optimizer, smoothing, floor)
    if shape.size - 1 > schedule.budget:
        raise InvalidScheduleError(
            f"got {shape.size - 1} gradient norms for the {schedule.budget} steps of the schedule; "
            f"give at most one for each step, of this run only"
        )
    if shape.size > points:
        shape = np.interp(np.linspace(0, 1, points), np.linspace(0, 1, shape.size), shape)
        shape /= shape.max()
    origin = replace(schedule, provenance={}).to_dict()
    kept = ("family", "peak", "parameters", "warmup_steps", "end_value")
    refined = replace(
        schedule,
        family="piecewise",
        parameters={"levels": tuple(shape.tolist())},
        warmup_steps=0,
        end_value=0.0,
        provenance={
            **schedule.provenance,
            "refined from": {name: origin[name] for name in kept},
            "refined by": {
                "optimizer": optimizer,
                "smoothing": smoothing,
                "floor": floor,
                "peak": peak,
            },
        },
    )
    if peak == "kept":
        return refined
    smooth = _prepared(
        gradient_norms, smoothing, floor
    )  # as for the shape: a spike decides nothing
    step = np.arange(schedule.budget) * len(smooth) // schedule.budget
    norms = smooth[step] ** (-EXPONENTS[optimizer] / 2)
    ratio = optimal_peak(refined, norms) / optimal_peak(schedule, norms)
    return replace(refined, peak=schedule.peak * ratio)


def refined_shape(
    gradient_norms: npt.ArrayLike,
    optimizer: str = "sgd",
    smoothing: float = 0.1,
    floor: float = 0.0,
) -> FloatArray:
    """Return the refined schedule over its peak, `(n,) -> (n + 1,)`, the last of them 0.

        shape_t = w_t sum_{p>t} w_p / max,   t = 0 .. n,   w = G^-2 (sgd) or G^-1 (adam)

    `G_n`, at the end, where no update sees it, is taken to be the last record: so constant norms
    give exactly `1 - t / n`.

    Args:
        gradient_norms: As in `refine`.
        optimizer: As in `refine`.
        smoothing: As in `refine`. The filter is `2 floor(smoothing n / 2) + 1` wide, with the
            norms reflected at the end and the first one repeated before the start.
        floor: As in `refine`.

    Raises:
        InvalidScheduleError: As `refine`.

    Cost: O(n log n). Source: arXiv 2310.07831.
    """
    if not isinstance(optimizer, str) or optimizer not in EXPONENTS:
        raise InvalidScheduleError(
            f"optimizer must be one of {', '.join(map(repr, EXPONENTS))}, got {optimizer!r}"
        )
    smooth = _prepared(gradient_norms, smoothing, floor)
    weights = np.power(smooth.min() / np.append(smooth, smooth[-1]), -EXPONENTS[optimizer])
    shape = np.zeros(weights.size)
    shape[:-1] = weights[:-1] * np.cumsum(weights[:0:-1])[::-1]
    if not shape.max() > 0.0:
        raise InvalidScheduleError(
            f"gradient_norms span from {smooth.min():.3g} to {smooth.max():.3g}, more than a float "
            "can weigh; give a floor, such as floor=0.1"
        )
    spent = np.cumsum(shape)
    before = int((1.0 - SPIKE) * (shape.size - 1))
    if spent[before - 1] < 0.5 * spent[-1]:
        raise InvalidScheduleError(
            f"gradient_norms fall to {smooth[-1] / smooth.max():.2g} of their largest value: the "
            f"refined schedule would spend half of its learning rate in the last {SPIKE:.0%} of "
            f"the run. Give a floor, such as floor=0.1, or keep the schedule as it is"
        )
    shape /= shape.max()
    return shape


def _prepared(gradient_norms: npt.ArrayLike, smoothing: float, floor: float) -> FloatArray:
    """Return the norms as the weights see them: filtered, and lifted to the floor."""
    _check_fraction("smoothing", smoothing)
    _check_fraction("floor", floor)
    smooth = _smoothed(_norms(gradient_norms, zero_is_legal=floor > 0.0), smoothing)
    smooth = np.maximum(smooth, floor * np.median(smooth))
    if smooth.min() <= 0.0:  # only with a floor, when most records are 0
        raise InvalidScheduleError("gradient_norms are 0 at most steps; there is nothing to refine")
    return smooth


def _smoothed(norms: FloatArray, smoothing: float) -> FloatArray:
    """Return the running median, `(n,) -> (n,)`."""
    half = int(smoothing * norms.size) // 2
    if half == 0:
        return norms
    padded = np.pad(norms, (0, half), mode="reflect")
    filtered = median_filter(padded, size=2 * half + 1, mode="nearest")
    return np.asarray(filtered[: norms.size], dtype=np.float64)


def _norms(gradient_norms: npt.ArrayLike, *, zero_is_legal: bool) -> FloatArray:
    try:
        norms = np.asarray(gradient_norms, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidScheduleError(f"gradient_norms must be numbers: {error}") from error
    if norms.ndim != 1:
        raise InvalidScheduleError(
            f"gradient_norms must be an array of shape (n,), got shape {norms.shape}"
        )
    if norms.size < FEWEST_RECORDS:
        raise InvalidScheduleError(
            f"{norms.size} gradient norms are too few to refine a schedule from; "
            f"record at least {FEWEST_RECORDS} over the run"
        )
    wrong = ~np.isfinite(norms) | (norms < 0.0) | ((norms == 0.0) & (not zero_is_legal))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        hint = "; a floor, such as floor=0.1, allows norms of 0" if norms[first] == 0.0 else ""
        raise InvalidScheduleError(
            f"gradient_norms[{first}] must be finite and above 0, got {norms[first]} "
            f"({int(wrong.sum())} of {norms.size} records are wrong){hint}"
        )
    return norms


def _check_fraction(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 1.0:
        raise InvalidScheduleError(f"{name} must be a fraction >= 0 and < 1, got {value!r}")
