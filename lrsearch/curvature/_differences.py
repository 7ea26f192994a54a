"""Hessian-vector products by central differences of gradients: ``(g(w + ev) - g(w - ev)) / 2e``.

First-order passes only, so they work wherever training does, and hold no graph between products. On
kinked activations (ReLU) they measure curvature over the distance ``e``: along the gradient much
the same, along a random vector mostly kinks, which Lanczos then takes for sharpness.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lrsearch.curvature import _cost as cost
from lrsearch.curvature._guard import copy_, restored
from lrsearch.curvature._objective import Objective
from lrsearch.curvature._vector import flatten, unflatten

# Step of the finite difference in units of 1 + |w|: far enough from the rounding of gradients, and
# still local (on small smooth networks a product is then within 3e-3, as the tests have it). A loss
# in half precision (autocast) has gradients that are rounded to two or three digits.
HALF, SINGLE, DOUBLE = 4e-3, 3e-4, 3e-6


class FiniteDifference:
    """Cost: a forward pass, and 2.6 gradients per product; memory: one copy of the parameters."""

    doubtful = False

    def __init__(self, objective: Objective) -> None:
        self.objective, self.cost = objective, 0.0
        self.stretch = 1.0  # of the step, to see whether the result depends on it
        self._unit: float | None = None

    def base(self) -> None:
        return None

    def __call__(self, vector: Tensor) -> Tensor:
        params = [p.data for p in self.objective.params]
        length = vector.norm()
        reach = 1.0 + torch.stack(torch._foreach_norm(params)).to(length).norm()
        if self._unit is None:
            self._unit = self._suited(vector.dtype)
        step = self.stretch * self._unit * reach / torch.where(length > 0, length, 1.0)
        shift = unflatten(vector * step, params)
        self.cost += cost.FINITE_DIFFERENCE

        def one(batch: Any) -> Tensor:
            return flatten(self.objective.gradients(batch)[1])

        with restored(params) as at:
            copy_(params, list(torch._foreach_add(at, shift)))
            ahead = self.objective.mean(one)
            copy_(params, list(torch._foreach_sub(at, shift)))
            behind = self.objective.mean(one)
        difference: Tensor = (ahead - behind) / (2 * step)
        return difference

    def _suited(self, dtype: torch.dtype) -> float:
        """The step for the precision that the loss is computed in, told by what it saves."""
        half = False

        def look(saved: Tensor) -> Tensor:
            nonlocal half
            half = half or saved.dtype in (torch.bfloat16, torch.float16)
            return saved.detach()  # an output that a node saves would keep the node alive

        self.cost += cost.FORWARD
        with torch.autograd.graph.saved_tensors_hooks(look, lambda saved: saved):
            self.objective.ranks.agree(lambda: self.objective.loss(self.objective.batches[0]))
        if self.objective.ranks.any(half):
            return HALF
        return SINGLE if dtype == torch.float32 else DOUBLE
