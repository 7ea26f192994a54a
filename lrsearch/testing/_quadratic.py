"""A quadratic bowl with known curvature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class _Point(nn.Module):
    def __init__(self, start: Sequence[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def forward(self, scale: Tensor) -> Tensor:
        return 0.5 * (scale * self.w**2).sum()


def quadratic(
    eigenvalues: Sequence[float], start: Sequence[float]
) -> tuple[nn.Module, Callable[[nn.Module, Any], Tensor], Tensor]:
    """Model, loss function and batch of ``L(w) = 1/2 sum_i h_i w_i^2`` in double precision.

    Gradient descent converges if and only if its learning rate is under ``2 / max(h)``.
    """
    batch = torch.tensor(eigenvalues, dtype=torch.float64)

    def loss_fn(model: nn.Module, scale: Any) -> Tensor:
        value: Tensor = model(scale)
        return value

    return _Point(start), loss_fn, batch
