"""What a gradient flow will cost to its end, foretold from a few products at its start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from lrsearch.curvature._hessian import Hessian
from lrsearch.curvature._lanczos import lanczos
from lrsearch.curvature._objective import LossFn, check_finite
from lrsearch.exceptions import UnsupportedError

SOLVERS = ("RK23", "RK45", "BDF")
PER_TIME = {"RK23": 1.2, "RK45": 2.0}  # gradients per sharpness * time, where stability binds
SMALL = 64  # parameters up to which "auto" takes the higher order
SLOWEST = 1e-3  # slowest rate that the estimate believes in, in units of the sharpness


@dataclass(frozen=True, slots=True)
class FlowEstimate:
    """What following a flow to its end will cost, as a rough guess; see `flow_cost`.

    Attributes:
        gradients: That the integrator will take.
        time: Of the flow until it has come to its end.
        loss: At the start.
        gradient_norm: At the start.
        sharpness: At the start.
        lowest: Smallest Ritz value at the start; where it is negative, ``time`` is a guess.
        solver: The integrator.
        hvps: Products that the estimate took.
        cost: Of the estimate, in gradients.
    """

    gradients: int
    time: float
    loss: float
    gradient_norm: float
    sharpness: float
    lowest: float
    solver: str
    hvps: int
    cost: float


def flow_cost(
    model: nn.Module,
    loss_fn: LossFn,
    *batches: Any,
    tolerance: float = 0.01,
    solver: str = "auto",
    products: int = 24,
) -> FlowEstimate:
    """What `gradient_flow` will cost: a rough guess, tens of times too much or too little.

    Takes the loss for the quadratic that it is here: Lanczos from the gradient splits it into
    ``c_i`` along Ritz values ``h_i``; the flow ends when ``sum (c_i / h_i)^2 exp(-2 |h_i| t)`` has
    fallen by ``tolerance^2``, and an explicit integrator needs steps of about 2 / sharpness.
    A few products do not see the slowest modes, on which the end waits, so for networks it is
    mostly too little; nor do they see the curvature change: near a saddle point it says nothing.

    Args:
        model: The model, left bit for bit as it was.
        loss_fn: ``loss_fn(model, batch) -> scalar``.
        batches: One batch, or several whose mean loss is meant.
        tolerance: As `gradient_flow`'s.
        solver: As `gradient_flow`'s.
        products: How many to spend on it.

    Cost: one gradient and the products.

    Raises:
        MeasurementError: If the loss cannot be evaluated or differentiated, or is not finite.
        UnsupportedError: If a number makes no sense.
    """
    if not (0 < tolerance < 1 and products >= 1 and solver in ("auto", *SOLVERS)):
        raise UnsupportedError(
            "the tolerance must be between 0 and 1, products at least 1 and the solver one of "
            f"{', '.join(['auto', *SOLVERS])}; got {tolerance!r}, {products!r}, {solver!r}."
        )
    with Hessian(model, loss_fn, *batches) as hessian:
        loss, gradient = hessian.gradient()
        norm = float(gradient.norm())
        check_finite(loss, norm)
        start = gradient if norm > 0 else hessian.random()
        k = min(products, hessian.size)
        found = lanczos(hessian.__matmul__, start, k=k, tolerance=0.0, max_products=k)
        name = solver if solver != "auto" else "RK45" if hessian.size <= SMALL else "RK23"
        spent = hessian.cost
    scale = max(map(abs, found.values)) or 1.0
    rates = np.maximum(np.abs(found.values), SLOWEST * scale)
    weights = ((found.vectors @ gradient).to("cpu", torch.float64).numpy() / rates) ** 2
    low, high = 0.0, math.log(1 / tolerance) / float(rates.min())
    for _ in range(50):
        time = (low + high) / 2
        if (weights * np.exp(-2 * rates * time)).sum() > tolerance**2 * weights.sum():
            low = time
        else:
            high = time
    gradients = math.ceil(PER_TIME.get(name, PER_TIME["RK45"]) * scale * high)
    return FlowEstimate(
        gradients, high, loss, norm, found.value, found.lowest, name, found.hvps, spent
    )
