"""How far the weights have moved from where a watch began, from a sample of their coordinates."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SKETCH = 65_536  # coordinates kept


class Displacement:
    """Distance of a model's parameters from where they were; exact up to `SKETCH` coordinates.

    Larger models are sampled at even distances, and the distance scaled up.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.origin: Tensor | None = None

    def begin(self) -> None:
        """Take the present weights as the origin, unless there is one."""
        if self.origin is None:
            self.origin = self._sketch()

    def distance(self) -> float | None:
        """Distance from the origin (synchronises); ``None`` without one."""
        if self.origin is None:
            return None
        total = sum(p.numel() for p in self.model.parameters())
        now = self._sketch()
        moved = float((now - self.origin.to(now.device)).norm())
        return moved * math.sqrt(total / max(now.numel(), 1))

    @torch.no_grad()
    def _sketch(self) -> Tensor:
        params = list(self.model.parameters())
        stride = max(1, math.ceil(sum(p.numel() for p in params) / SKETCH))
        first = params[0].device if params else torch.device("cpu")
        return torch.cat([p.detach().flatten()[::stride].float().to(first) for p in params])
