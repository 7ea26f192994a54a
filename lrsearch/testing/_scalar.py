"""Scalar networks, whose gradient-flow solutions are known without solving an equation of motion.

``L(w) = 1/2 (pi - 1)^2`` with ``pi = w_1 w_2 ... w_D``: a linear network of depth D and width one
on one example (Kreisler et al. 2023, 2305.13064). The gradient flow keeps every ``w_i^2 - w_j^2``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class _Chain(nn.Module):
    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, target: Tensor) -> Tensor:
        return 0.5 * (self.w.prod() - target) ** 2


def scalar_network(
    weights: Sequence[float],
) -> tuple[nn.Module, Callable[[nn.Module, Any], Tensor], Tensor]:
    """Model, loss function and batch of ``L(w) = 1/2 (prod w - 1)^2`` in double precision."""
    batch = torch.ones((), dtype=torch.float64)

    def loss_fn(model: nn.Module, target: Any) -> Tensor:
        value: Tensor = model(target)
        return value

    return _Chain(weights), loss_fn, batch


def scalar_gradient(weights: Sequence[float]) -> list[float]:
    """``(pi - 1) pi / w_i``, by hand; no weight may be zero."""
    pi = math.prod(weights)
    return [(pi - 1) * pi / w for w in weights]


def scalar_hessian(weights: Sequence[float]) -> Tensor:
    """Hessian (D, D): ``pi^2 / w_i^2``, off the diagonal ``pi (2 pi - 1) / (w_i w_j)``."""
    inverse = 1.0 / torch.tensor(weights, dtype=torch.float64)
    pi = math.prod(weights)
    hessian: Tensor = pi * (2 * pi - 1) * torch.outer(inverse, inverse)
    hessian.diagonal().copy_(pi**2 * inverse**2)
    return hessian


def scalar_solution(weights: Sequence[float]) -> list[float]:
    """Where the gradient flow from ``w`` ends: ``sign(w_i) sqrt(w_i^2 + s)`` of product one.

    The unique ``s > -min w_i^2`` is found by bisection in the logarithm of ``s + min w_i^2``, to
    the last digit: the sum of the logarithms rises with it.

    Raises:
        ValueError: Unless ``prod w > 0``: else the flow may end at a saddle.
    """
    if not (math.prod(weights) > 0 and math.isfinite(math.prod(weights))):
        raise ValueError(f"the product of the weights must be positive, got {list(weights)!r}")
    least = min(w * w for w in weights)
    above = [w * w - least for w in weights]
    low, high = -800.0, 0.0  # of log(s + least); at e = 1 every factor is at least one
    while low < (middle := (low + high) / 2) < high:
        if sum(math.log(a + math.exp(middle)) for a in above) > 0:
            high = middle
        else:
            low = middle
    extra = math.exp(high)
    return [math.copysign(math.sqrt(a + extra), w) for a, w in zip(above, weights, strict=True)]


def scalar_flow_sharpness(weights: Sequence[float]) -> float:
    """Largest Hessian eigenvalue where the flow from ``w`` ends: ``sum_i 1 / w_i^2`` there.

    At least D; for D = 2 it is ``sqrt((w_1^2 - w_2^2)^2 + 4)``.

    Raises:
        ValueError: Unless ``prod w > 0``.
    """
    return sum(1.0 / w**2 for w in scalar_solution(weights))
