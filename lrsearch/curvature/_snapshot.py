"""Set a model and its optimizer aside, let them train for a while, and put them back."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature._guard import copy_


class Snapshot:
    """Bit-for-bit copy of what training changes; memory: one copy of the model."""

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self.tensors: list[Tensor] = [p.detach() for p in model.parameters()]
        self.tensors += list(model.buffers())
        self.saved = [t.clone() for t in self.tensors]
        self.groups = [_options(group) for group in optimizer.param_groups]

    def rewind(self) -> None:
        """Weights and buffers as they were; a fresh optimizer; no gradients."""
        copy_(self.tensors, self.saved)
        self.optimizer.state = defaultdict(dict)
        for group, options in zip(self.optimizer.param_groups, self.groups, strict=True):
            group.update(copy.deepcopy(options))
        self.optimizer.zero_grad(set_to_none=True)


@contextmanager
def set_aside(model: nn.Module, optimizer: Optimizer) -> Iterator[Snapshot]:
    """Context in which model and optimizer may be trained; everything is put back at its end.

    That is parameters, buffers, gradients, optimizer state and options, modes, and the CPU and CUDA
    generators (dropout and a shuffling loader draw from them). Generators are global: in a process
    that trains in several threads, calibrate before the threads start.
    """
    state = optimizer.state
    gradients = [p.grad for p in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    generators = (torch.get_rng_state(), _cuda_states())
    snapshot = Snapshot(model, optimizer)
    for p in model.parameters():
        p.grad = None
    try:
        yield snapshot
    finally:
        snapshot.rewind()
        optimizer.state = state
        for p, gradient in zip(model.parameters(), gradients, strict=True):
            p.grad = gradient
        for module, mode in modes:
            module.training = mode
        torch.set_rng_state(generators[0])
        if generators[1] is not None:
            torch.cuda.set_rng_state_all(generators[1])


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {name: copy.deepcopy(v) for name, v in group.items() if name != "params"}


def _cuda_states() -> list[Tensor] | None:
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return torch.cuda.get_rng_state_all() if used else None
