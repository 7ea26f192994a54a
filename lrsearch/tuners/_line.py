"""The line along an optimizer's update, and the objective on it.

The objective is what the optimizer lowers: the loss, and its L2 weight decay where it has one::

    f(w) = L(w) + 1/2 sum_i c_i |w_i|^2        slope = grad f' u        c'|u|^2 of u' Hess f u

Decoupled weight decay (AdamW) is no part of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrsearch.tuners._direction import l2_decay, proposed
from lrsearch.tuners._gradients import gradients, trained


class Line:
    """``w + eta u`` from the current weights, gradients in ``.grad``.

    Attributes:
        params: Parameters that have a gradient.
        u: Update at learning rate 1, as `proposed`.
        slope: ``grad f' u``, negative where the update descends.

    Cost: a few passes over the parameters.
    """

    @torch.no_grad()
    def __init__(self, optimizer: Optimizer, ratios: Sequence[float]) -> None:
        self.params = [p.detach() for p in trained(optimizer)]
        self.u = proposed(optimizer, ratios)
        self._decays = l2_decay(optimizer)
        slope = inner(gradients(optimizer), self.u)
        for c, w, u in zip(self._decays, self.params, self.u, strict=True):
            slope += c * inner([w], [u]) if c else 0.0
        self.slope = slope

    @property
    def finite(self) -> bool:
        """Whether a step along it is one."""
        return math.isfinite(self.slope) and math.isfinite(inner(self.u, self.u))

    def penalty(self) -> float:
        """``1/2 sum_i c_i |w_i|^2`` at the weights where they are now."""
        return sum(
            c / 2 * inner([w], [w]) for c, w in zip(self._decays, self.params, strict=True) if c
        )

    def bend(self) -> float:
        """``sum_i c_i |u_i|^2``, the penalty's part of the curvature."""
        return sum(c * inner([u], [u]) for c, u in zip(self._decays, self.u, strict=True) if c)


@torch.no_grad()
def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """Inner product of two lists of tensors, summed in double precision; waits for the device."""
    parts = [(x.detach() * y).sum(dtype=torch.float64) for x, y in zip(a, b, strict=True)]
    return float(torch.stack([p.to(parts[0].device) for p in parts]).sum()) if parts else 0.0
