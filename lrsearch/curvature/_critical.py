"""The learning rate at which a step along a direction stops lowering the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lrsearch.curvature._cost import FORWARD
from lrsearch.curvature._line import fitting, moving
from lrsearch.curvature._objective import LossFn, Objective, check_finite
from lrsearch.exceptions import UnsupportedError


@dataclass(frozen=True, slots=True)
class CriticalRate:
    """The learning rate at which a step along a direction stops lowering the loss.

    Attributes:
        value: Geometric middle of the bracket.
        lower: Largest rate seen to lower the loss.
        upper: Smallest rate seen not to.
        evaluations: Losses evaluated.
        converged: Whether the bracket is within the tolerance.
        reason: Why it stopped.
        cost: In gradients.
    """

    value: float
    lower: float
    upper: float
    evaluations: int
    converged: bool
    reason: str
    cost: float


def critical_rate(
    model: nn.Module,
    loss_fn: LossFn,
    *batches: Any,
    direction: Sequence[Tensor],
    start: float,
    tolerance: float = 1 / 16,
    max_evaluations: int = 20,
) -> CriticalRate:
    """Smallest rate with ``L(w + rate u) > L(w)``: doubling from a start, then bisection in log.

    ``2 / rate`` along ``u = -g`` is the critical sharpness of Kalra et al. 2026 (2601.16979).

    Args:
        model: The model, left bit for bit as it was.
        loss_fn: ``loss_fn(model, batch) -> scalar``.
        batches: One batch, or several whose mean loss is meant.
        direction: ``u`` per trainable parameter, for a rate of one: ``-g``, or update / rate.
        start: Where to begin; the last value, or the current learning rate.
        tolerance: Width of the bracket, ``upper / lower - 1``, at which to stop.
        max_evaluations: Losses to evaluate at most.

    Cost: one forward pass per evaluation, six to eight from a good start.

    Raises:
        MeasurementError: If the loss cannot be evaluated, or the direction does not fit or is zero.
        UnsupportedError: If a number makes no sense.
    """
    if not (math.isfinite(start) and start > 0):
        raise UnsupportedError(f"start must be a positive learning rate, got {start!r}.")
    if max_evaluations < 2 or not tolerance >= 0:
        raise UnsupportedError(
            "max_evaluations must be at least 2 (one is at the weights themselves) and the "
            f"tolerance not negative, got {max_evaluations!r} and {tolerance!r}."
        )
    objective = Objective(model, loss_fn, batches)
    u = fitting(objective.params, direction)
    lower, upper, rate = 0.0, math.inf, start
    reason = f"stopped after {max_evaluations} evaluations, the most it may take"
    with moving(objective) as loss_at:
        here = loss_at(u, 0.0)
        check_finite(here)
        used = 1
        while used < max_evaluations:
            used += 1
            if loss_at(u, rate) <= here:  # false where it is not finite
                lower = rate
            else:
                upper = rate
            if lower and upper <= lower * (1 + tolerance):
                reason = f"bracket within {tolerance:g}"
                break
            if upper == math.inf:
                rate = 2 * lower
            else:
                rate = math.sqrt(lower * upper) if lower else upper / 2
    bracketed = lower > 0 and math.isfinite(upper)
    value = math.sqrt(lower * upper) if bracketed else (lower or upper)
    converged = lower > 0 and upper <= lower * (1 + tolerance)
    return CriticalRate(value, lower, upper, used, converged, reason, used * FORWARD)
