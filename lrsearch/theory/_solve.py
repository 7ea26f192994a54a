"""Least Huber loss of log residuals from several starts, over the logs of the coefficients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.optimize import least_squares

from lrsearch.theory._curve import FloatArray

# Where the loss turns from squared to absolute; of the log residual, as both papers have it.
HUBER = 1e-3
# Evaluations from one start; the published curves need 20 to 150.
EVALUATIONS = 400
# A coefficient is called loose when its logarithm is known no better than to this: a factor of two.
LOOSE = float(np.log(2.0))
# Coefficients may lie this many e-folds from 0 and infinity where nothing else is said.
REACH = 40.0

# Logs of the coefficients (p,) -> predictions (n,) and their derivatives by the logs (n, p).
Model: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True)
class Solution:
    """Where the optimiser ended.

    Attributes:
        logs: Logs of the coefficients, `(p,)`.
        spread: Their standard deviations if the residuals were independent, `(p,)`; 0 where held.
        cost: Huber loss, summed.
        converged: Whether it met its tolerances.
        reason: Why it ended.
    """

    logs: FloatArray
    spread: FloatArray
    cost: float
    converged: bool
    reason: str


def best_of(
    model: Model,
    losses: FloatArray,
    starts: Sequence[tuple[float, FloatArray]],
    names: Sequence[str],
    limits: Mapping[str, tuple[float, float]],
    fixed: Mapping[str, float],
    count: int,
) -> Solution:
    """Return the best end of the `count` most promising starts; ties go to the first.

    Args:
        model: Predictions as a function of the logs of the coefficients.
        losses: What was recorded, `(n,)`.
        starts: Pairs of a misfit and the logs to start from.
        names: Names of the coefficients.
        limits: Lowest and highest value of some of them.
        fixed: Coefficients that keep a value.
        count: Starts to follow.
    """
    free = np.array([name not in fixed for name in names])
    held = np.array([np.log(fixed.get(name, 1.0)) for name in names])

    def whole(logs: FloatArray) -> FloatArray:
        full = held.copy()
        full[free] = logs
        return full

    def part(logs: FloatArray) -> tuple[FloatArray, FloatArray]:
        predicted, slopes = model(whole(logs))
        return predicted, slopes[:, free]

    names = [name for name in names if name not in fixed]
    low = np.array([np.log(limits[n][0]) if n in limits else -REACH for n in names])
    high = np.array([np.log(limits[n][1]) if n in limits else REACH for n in names])
    ranked = sorted(range(len(starts)), key=lambda i: (starts[i][0], i))[:count]
    ends = [_descend(part, losses, starts[i][1][free], low, high) for i in ranked]
    best = min(ends, key=lambda end: end.cost)
    near = np.minimum(best.logs - low, high - best.logs) < 1e-3
    poor = near | (best.spread > LOOSE)
    loose = ", ".join(name for name, at in zip(names, poor, strict=True) if at)
    said = f"; these curves do not determine {loose}" if loose else ""
    spread = np.zeros(len(held))
    spread[free] = best.spread
    return Solution(whole(best.logs), spread, best.cost, best.converged, best.reason + said)


def _descend(
    model: Model, losses: FloatArray, start: FloatArray, low: FloatArray, high: FloatArray
) -> Solution:
    recorded = np.log(losses)

    def residuals(logs: FloatArray) -> FloatArray:
        return np.log(_positive(model(logs)[0], losses)) - recorded

    def jacobian(logs: FloatArray) -> FloatArray:
        predicted, slopes = model(logs)
        slopes = np.where(predicted[:, None] > 0.0, slopes, 0.0)
        return slopes / _positive(predicted, losses)[:, None]

    inside = np.clip(start, low + 1e-6, high - 1e-6)
    end = least_squares(
        residuals,
        inside,
        jacobian,
        bounds=(low, high),
        loss="huber",
        f_scale=HUBER,
        x_scale="jac",
        ftol=1e-10,
        xtol=1e-10,
        gtol=1e-14,
        max_nfev=EVALUATIONS,
    )
    # J'J is the Hessian of the cost (scipy's promise); directions that it does not see are loose.
    jac = np.asarray(end.jac, dtype=np.float64)
    _, strengths, axes = np.linalg.svd(jac, full_matrices=False)
    strengths = np.maximum(strengths, 1e-12 * strengths[0] + np.finfo(np.float64).tiny)
    noise = 2.0 * float(end.cost) / max(len(losses) - len(end.x), 1)
    spread = np.sqrt(noise * np.sum((axes / strengths[:, None]) ** 2, axis=0))
    return Solution(
        end.x, spread, float(end.cost), bool(end.status > 0), str(end.message).rstrip(".")
    )


def _positive(predicted: FloatArray, losses: FloatArray) -> FloatArray:
    """A prediction at or below 0 has no logarithm; hold it far below every loss instead."""
    return np.maximum(predicted, 1e-6 * float(losses.min()))
