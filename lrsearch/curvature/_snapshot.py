"""Set a model and its optimizer aside, let them train for a while, and put them back."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adagrad, Optimizer

from lrsearch.curvature._generators import generators_restored
from lrsearch.curvature._guard import copy_


class Snapshot:
    """Bit-for-bit copy of what training changes; memory: one copy of the model."""

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self.params = list(model.parameters())
        known = set(self.params)  # the optimizer may train others as well, such as a loss's own
        self.params += [
            p for group in optimizer.param_groups for p in group["params"] if p not in known
        ]
        self.tensors: list[Tensor] = [p.detach() for p in self.params]
        self.tensors += list(model.buffers())
        self.saved = [t.clone() for t in self.tensors]
        self.groups = [_options(group) for group in optimizer.param_groups]

    def rewind(self) -> None:
        """Weights and buffers as they were; a fresh optimizer; no gradients."""
        copy_(self.tensors, self.saved)
        self.optimizer.state = defaultdict(dict, _fresh_state(self.optimizer))
        for group, options in zip(self.optimizer.param_groups, self.groups, strict=True):
            group.update(copy.deepcopy(options))
        self.optimizer.zero_grad(set_to_none=True)


@contextmanager
def set_aside(model: nn.Module, optimizer: Optimizer) -> Iterator[Snapshot]:
    """Context in which model and optimizer may be trained; everything is put back at its end.

    That is parameters, buffers, gradients, optimizer state and options, modes, and the global
    generators (dropout and augmentation draw from them): in a process that trains in several
    threads, calibrate before the threads start.
    """
    state = optimizer.state
    options = [dict(group) for group in optimizer.param_groups]
    modes = [(module, module.training) for module in model.modules()]
    snapshot = Snapshot(model, optimizer)
    gradients = [p.grad for p in snapshot.params]
    for p in snapshot.params:
        p.grad = None
    with generators_restored():
        try:
            snapshot.rewind()
            yield snapshot
        finally:
            snapshot.rewind()
            optimizer.state = state
            for group, originals in zip(optimizer.param_groups, options, strict=True):
                group.clear()
                group.update(originals)
            for p, gradient in zip(snapshot.params, gradients, strict=True):
                p.grad = gradient
            for module, mode in modes:
                module.training = mode


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {name: copy.deepcopy(v) for name, v in group.items() if name != "params"}


def _fresh_state(optimizer: Optimizer) -> dict[Tensor, dict[str, Tensor]]:
    """State of the optimizer before its first step; all but Adagrad build theirs in that step."""
    if not isinstance(optimizer, Adagrad):
        return {}
    return {
        p: {
            "step": torch.zeros((), device=p.device if group["fused"] else "cpu"),
            "sum": torch.full_like(p, group["initial_accumulator_value"]),
        }
        for group in optimizer.param_groups
        for p in group["params"]
    }
