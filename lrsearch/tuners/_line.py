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
        self.slope = inner(gradients(optimizer), self.u) + self._decayed(self.params, self.u)

    @property
    def finite(self) -> bool:
        """Whether a step along it is one."""
        return math.isfinite(self.slope) and math.isfinite(inner(self.u, self.u))

    def penalty(self) -> float:
        """``1/2 sum_i c_i |w_i|^2`` at the weights where they are now."""
        return self._decayed(self.params, self.params) / 2

    def bend(self) -> float:
        """``sum_i c_i |u_i|^2``, the penalty's part of the curvature."""
        return self._decayed(self.u, self.u)

    def _decayed(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
        """``sum_i c_i a_i'b_i``."""
        used = [(x, y, c) for x, y, c in zip(a, b, self._decays, strict=True) if c]
        return inner([x * c for x, _, c in used], [y for _, y, _ in used])


@torch.no_grad()
def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """Inner product of two lists of tensors, summed in double precision; waits for the device."""
    parts = [(x.detach() * y).sum(dtype=torch.float64) for x, y in zip(a, b, strict=True)]
    return float(torch.stack([p.to(parts[0].device) for p in parts]).sum()) if parts else 0.0
