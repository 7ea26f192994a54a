"""What a run can be read for while it trains: sharpness along its update, and how much is noise."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import _metric as metric
from lrsearch.curvature._guard import copy_, dot, quiet, restored
from lrsearch.curvature._secant import sharpness_along
from lrsearch.training import Task


def read(
    task: Task,
    model: nn.Module,
    optimizer: Optimizer,
    batch: Any,
    spare: Iterator[Any],
    before: list[Tensor],
) -> dict[str, float | None]:
    """Readings of a step that was just made, at the weights ``before`` it and on its batch.

    Nothing is changed. With ``d`` the gradient in the optimizer's metric:

    - ``sharpness``: ``d'Hd / g'd`` on that batch, from three losses
    - ``signal``: ``h'd / g'd`` with ``h`` the gradient of a fresh batch: the share of the gradient
      that is not noise

    Cost: two and a half gradients.
    """
    params = metric.trained(optimizer)
    d = metric.direction(optimizer)
    slope = float(dot([p.grad for p in params if p.grad is not None], d))

    def loss_at() -> float:
        return float(task.loss(model, batch))

    with restored(params):
        copy_(params, before)
        with quiet(model):
            found = sharpness_along(loss_at, params, d, slope)
        copy_(params, before)
        with quiet(model, graph=True):
            other = torch.autograd.grad(task.loss(model, next(spare)), params, allow_unused=True)
    pairs = [(h, x) for h, x in zip(other, d, strict=True) if h is not None]
    fresh = float(dot([h for h, _ in pairs], [x for _, x in pairs]))
    return {
        "sharpness": found.sharpness,
        "signal": fresh / slope if slope > 0 else None,
    }
