"""Gradients of a training step, averaged over the ranks as DDP does, but beside its wrapper.

The wrapper's own hooks stay untouched: they fire in ``backward`` only, and here gradients are taken
by `torch.autograd.grad`. So nothing is left behind in it (buckets, counted iterations), and a
forward pass of the wrapper that never came to its backward pass does no harm.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrsearch.curvature._parallel import Ranks
from lrsearch.curvature._vector import flatten, unflatten


def descend(loss_of: Callable[[], Tensor], optimizer: Optimizer, ranks: Ranks) -> float:
    """Leave the gradients of a loss in the parameters: their mean over several ranks.

    Args:
        loss_of: Gives the loss with its graph, here of this rank's batch.
        optimizer: Whose parameters get a gradient, by several ranks; without ranks all do.
        ranks: Who takes part.

    Returns:
        The loss, of several ranks their mean; where it is not finite there are no gradients.

    Raises:
        MeasurementError: If the loss fails on some ranks only.

    Cost: one gradient; of several ranks two copies of it are held for a moment.
    """
    if ranks.count == 1:
        loss = loss_of()
        value = float(loss.detach())
        if math.isfinite(value):
            loss.backward()  # type: ignore[no-untyped-call]
        return value
    params = [p for g in optimizer.param_groups for p in g["params"] if p.requires_grad]

    def local() -> Tensor:
        loss = loss_of()
        found = torch.autograd.grad(loss, params, allow_unused=True)
        gradients = flatten([_or_zero(g, p) for g, p in zip(found, params, strict=True)])
        used = torch.tensor([float(g is not None) for g in found]).to(gradients)
        return torch.cat([loss.detach().reshape(1).to(gradients), used, gradients])

    mean = ranks.together(local)
    value = float(mean[0])
    if not math.isfinite(value):
        return value
    split = 1 + len(params)
    used = mean[1:split].tolist()
    for p, share, gradient in zip(params, used, unflatten(mean[split:], params), strict=True):
        p.grad = gradient if share else None  # unused on all ranks: the optimizer passes it by
    return value


def _or_zero(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient
