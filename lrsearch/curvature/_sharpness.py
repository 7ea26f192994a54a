"""Sharpness: the largest Hessian eigenvalue at a model's current parameters."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature._hessian import Hessian
from lrsearch.curvature._lanczos import Eigenvalues, Ends, lanczos
from lrsearch.curvature._objective import LossFn, check_finite

RANDOM = 0.1  # of a cold start: the gradient may have no part along the sharpest direction
STEPS = 24
UNSTEADY = 0.1  # relative change with the distance of finite differences that is too much


def sharpness(
    model: nn.Module,
    loss_fn: LossFn,
    *batches: Any,
    optimizer: Optimizer | None = None,
    start: Eigenvalues | Tensor | None = None,
    k: int = 1,
    ends: Ends = "top",
    tolerance: float = 0.02,
    max_hvps: int = STEPS,
    method: str = "auto",
    seed: int = 0,
) -> Eigenvalues:
    """Largest eigenvalue of ``P^-1/2 H P^-1/2`` by Lanczos, from the gradient or a last result.

    ``H`` is the Hessian of the mean loss over the batches, ``P`` the optimizer's preconditioner
    (identity without one). Unit: 1 / learning rate; stable at full batch while ``lr * value <
    threshold(optimizer, full_batch=True)``. The lowest Ritz value comes free.

    Args:
        model: The model, left bit for bit as it was.
        loss_fn: ``loss_fn(model, batch) -> scalar``.
        batches: One batch, or several micro-batches whose mean loss is meant.
        optimizer: Gives the metric; its state is only read.
        start: A result of the same model some steps ago, whose eigenvectors start the search, or a
            vector (n,) of the metric. One that does not fit is ignored.
        k: How many of the largest eigenvalues.
        ends: ``"both"``: converge the smallest as well.
        tolerance: Largest estimated error, relative to the largest value.
        max_hvps: Where to stop at the latest; the result then says ``converged=False``.
        method: How products are taken (see `Hessian`).
        seed: Of the random part of a cold start.

    Cost: cold about six products, warm two to four; with double backward a product is two and a
    half gradients after one for the graph. Counted in the result. A warm start may miss an
    eigenvalue that has overtaken the old one: some 8 % of readings at the default tolerance were
    off by more than it, from cold 5 % (studies/curvature_cost). Read cold where much hangs on it.

    Raises:
        MeasurementError: If the loss cannot be evaluated or differentiated; never for want of
            convergence.
        UnsupportedError: If a number makes no sense.
    """
    with Hessian(model, loss_fn, *batches, optimizer=optimizer, method=method) as hessian:
        found = eigenvalues(
            hessian, start=start, k=k, ends=ends, tolerance=tolerance, max_hvps=max_hvps, seed=seed
        )
        return replace(found, cost=hessian.cost)


def eigenvalues(
    hessian: Hessian,
    *,
    start: Eigenvalues | Tensor | None = None,
    k: int = 1,
    ends: Ends = "top",
    tolerance: float = 0.02,
    max_hvps: int = STEPS,
    seed: int = 0,
) -> Eigenvalues:
    """The same of a Hessian at hand; see `sharpness`."""
    vector = _warm(hessian, start)
    if vector is None:
        loss, gradient = hessian.gradient()
        check_finite(loss)
        length = gradient.norm()
        vector = hessian.random(seed)
        if float(length) > 0:
            vector = gradient / length + RANDOM * vector
    found = lanczos(
        hessian.__matmul__,
        vector,
        k=k,
        ends=ends,
        tolerance=tolerance,
        max_products=max_hvps,
        seed=seed,
    )
    if math.isnan(found.value):  # a warm start has not looked at the loss yet
        hessian.gradient()
        return found
    other = hessian.quotient_further(found.vectors[0])
    if other is None or abs(other - found.value) <= UNSTEADY * abs(found.value):
        return found
    reason = (
        f"finite differences over three times the distance give {other:.4g}, not "
        f"{found.value:.4g}: the loss has kinks, take another method"
    )
    return replace(found, converged=False, steady=False, reason=reason)


def _warm(hessian: Hessian, start: Eigenvalues | Tensor | None) -> Tensor | None:
    """Start vector from an earlier result, if it fits this Hessian."""
    vectors = start.vectors if isinstance(start, Eigenvalues) else start
    if vectors is None or vectors.shape[-1] != hessian.size:
        return None
    vector = vectors.to(hessian.device, hessian.dtype).reshape(-1, hessian.size).sum(0)
    if not bool(vector.isfinite().all()) or float(vector.norm()) == 0.0:
        return None
    return vector
