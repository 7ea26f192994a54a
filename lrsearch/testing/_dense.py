"""The Hessian as a matrix: slow and literal, to check fast code against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def dense_hessian(
    model: nn.Module, loss_fn: Callable[[nn.Module, Any], Tensor], batch: Any
) -> Tensor:
    """Hessian (n, n) of ``loss_fn(model, batch)`` in the flattened parameters, in their order.

    Cost: n gradients, and n^2 numbers of memory.
    """
    params = [p for p in model.parameters() if p.requires_grad]
    loss = loss_fn(model, batch)
    gradient = torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss, params, create_graph=True)]
    )
    rows = [
        torch.cat(
            [
                (torch.zeros_like(p) if r is None else r).flatten()
                for p, r in zip(
                    params,
                    torch.autograd.grad(entry, params, retain_graph=True, allow_unused=True),
                    strict=True,
                )
            ]
        )
        for entry in gradient
    ]
    return torch.stack(rows).detach()
