"""Batch sharpness: the curvature that mini-batch training feels, batch by batch.

For batches B with gradients ``g_B``, Hessians ``H_B`` and ``d_B = P^-1 g_B``::

    ratio of means   E[d_B' H_B d_B] / E[g_B' d_B]
    mean of ratios   E[d_B' H_B d_B / (g_B' d_B)]

Andreyev & Beneventano (2412.20553; ``P = I``): the mean of ratios stabilises at ``2 / lr`` under
plain SGD; the two differ, and both are reported. Use the batch size of training: half of it reads
10 to 50 % higher.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from torch import nn
from torch.optim import Optimizer

from lrsearch.curvature._hessian import Hessian
from lrsearch.curvature._objective import LossFn
from lrsearch.exceptions import MeasurementError, UnsupportedError


@dataclass(frozen=True, slots=True)
class BatchSharpness:
    """Estimates over batches; unit 1 / learning rate.

    Attributes:
        ratio_of_means: ``E[d'Hd] / E[g'd]``, weighs batches by their gradients.
        mean_of_ratios: ``E[d'Hd / g'd]``, the published estimator.
        median_of_ratios: The robust one: ratios have heavy tails under Adam.
        error: Relative standard error of the ratio of means.
        ratio_error: Relative standard error of the mean of ratios.
        batches: How many were used.
        converged: Whether ``error`` came within the tolerance.
        reason: Why it stopped.
        cost: In gradients of one batch.
    """

    ratio_of_means: float
    mean_of_ratios: float
    median_of_ratios: float
    error: float
    ratio_error: float
    batches: int
    converged: bool
    reason: str
    cost: float


def batch_sharpness(
    model: nn.Module,
    loss_fn: LossFn,
    batches: Iterable[Any],
    *,
    optimizer: Optimizer | None = None,
    tolerance: float = 0.05,
    least: int = 10,
    most: int = 500,
    method: str = "auto",
) -> BatchSharpness:
    """Batch sharpness in the optimizer's metric; one product a batch, no iteration.

    Args:
        model: The model, left bit for bit as it was.
        loss_fn: ``loss_fn(model, batch) -> scalar``.
        batches: Training batches, of the training size; as many are taken as are needed.
        optimizer: Gives the metric of `direction`; ``P = I`` without one.
        tolerance: Relative standard error of the ratio of means at which to stop (published: 0.005
            of the mean of ratios).
        least: Batches to take at least, if there are as many.
        most: Batches to take at most.
        method: How products are taken (see `Hessian`).

    Cost: about three and a half gradients per batch with double backward or finite differences.

    Raises:
        MeasurementError: If there is no batch or no gradient, or the loss cannot be differentiated.
        UnsupportedError: If a number makes no sense.
    """
    if most < 1 or not tolerance >= 0:
        raise UnsupportedError(
            "most must be at least 1 and the tolerance not negative, got "
            f"most={most!r}, tolerance={tolerance!r}."
        )
    bends: list[float] = []
    slopes: list[float] = []
    cost, reason = 0.0, "no more batches"
    for batch in islice(batches, most):
        with Hessian(
            model, loss_fn, batch, optimizer=optimizer, full_batch=False, method=method
        ) as hessian:
            y = hessian.gradient()[1]
            bends.append(float(y @ (hessian @ y)))
            slopes.append(float(y @ y))
            cost += hessian.cost
        method = hessian.method
        if len(bends) >= least and _relative_error(bends, slopes) <= tolerance:
            reason = f"relative standard error within {tolerance:g}"
            break
    else:
        if len(bends) == most:
            reason = f"stopped after {most} batches, the most it may take"
    if not bends:
        raise MeasurementError("there is no batch to measure on: pass at least one")
    if not any(slopes):
        raise MeasurementError("every gradient is zero, so there is no direction to measure along")
    ratios = np.array([b / s for b, s in zip(bends, slopes, strict=True) if s > 0])
    mean = float(ratios.mean())
    error = _relative_error(bends, slopes)
    spread = float(ratios.std(ddof=1)) if len(ratios) > 1 else math.inf
    return BatchSharpness(
        ratio_of_means=sum(bends) / sum(slopes),
        mean_of_ratios=mean,
        median_of_ratios=float(np.median(ratios)),
        error=error,
        ratio_error=spread / math.sqrt(len(ratios)) / abs(mean) if mean else math.inf,
        batches=len(bends),
        converged=error <= tolerance,
        reason=reason,
        cost=cost,
    )


def _relative_error(bends: list[float], slopes: list[float]) -> float:
    """Of a ratio of means, to first order: deviation of ``b - r s`` over ``sqrt(n) r mean(s)``."""
    b, s = np.array(bends), np.array(slopes)
    if len(b) < 2 or not s.any() or not b.any() or not np.isfinite(b).all():
        return math.inf
    ratio = b.sum() / s.sum()
    deviation = (b - ratio * s).std(ddof=1)
    return float(deviation / (math.sqrt(len(b)) * abs(ratio) * s.mean())) if ratio else math.inf
