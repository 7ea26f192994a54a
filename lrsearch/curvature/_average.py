"""Averaged weights: what the run would give if its learning rate were annealed now, nearly free.

Polynomial-decay averaging (Shamir & Zhang 2013, 1212.1824) with ``gamma = 8``::

    avg_t = (1 - (gamma + 1) / (t + gamma)) avg_{t-1} + (gamma + 1) / (t + gamma) w_t

so that at any time about the last tenth of the run counts: no horizon has to be known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lrsearch.curvature._guard import copy_, exchanged, restored

GAMMA = 8
EVERY = 4  # steps between updates: the average of a tenth of a run does not need every step


class WeightAverage:
    """Running average of a model's parameters and floating-point buffers.

    Memory: one copy of the parameters. Cost: one pass over them every fourth step.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.average: list[Tensor] | None = None
        self.updates = 0

    @property
    def tensors(self) -> list[Tensor]:
        """What is averaged: the model's live parameters and floating-point buffers."""
        buffers = [b for b in self.model.buffers() if b.is_floating_point()]
        return [p.detach() for p in self.model.parameters()] + buffers

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after ``step`` optimizer steps into account."""
        if step % EVERY:
            return
        self.updates += 1
        if self.average is None:
            self.average = [t.detach().clone() for t in self.tensors]
            return
        weight = (GAMMA + 1) / (self.updates + GAMMA)
        torch._foreach_lerp_(self.average, self.tensors, weight)

    def load(self, average: list[Tensor] | None, updates: int) -> None:
        """Continue an average that was taken elsewhere."""
        self.updates = updates
        self.average = None
        if average is not None:
            pairs = zip(average, self.tensors, strict=True)
            self.average = [torch.empty_like(t).copy_(a) for a, t in pairs]

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Context in which the model has the averaged weights; they are put back bit for bit."""
        if self.average is None:
            yield
            return
        params = list(self.model.parameters())
        buffers = [b for b in self.model.buffers() if b.is_floating_point()]
        with exchanged(params, self.average[: len(params)]), restored(buffers):
            copy_(buffers, self.average[len(params) :])
            yield
