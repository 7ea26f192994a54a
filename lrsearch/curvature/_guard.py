"""Evaluate a training loss without leaving a trace in the model.

Inside `quiet`, dropout is off (no random number is drawn), batch normalisation uses the batch's
statistics as in training but updates no buffer, no graph is built, and autocast keeps no cached
casts of weights (a cached cast would hide an in-place perturbation).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def quiet(model: nn.Module) -> Iterator[None]:
    """Context in which losses of ``model`` can be evaluated at no trace; cost none by itself."""
    training = [(module, module.training) for module in model.modules()]
    tracking = [m for m in model.modules() if isinstance(m, _NormBase) and m.track_running_stats]
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for kind in {p.device.type for p in model.parameters()}:
            if torch.is_autocast_enabled(kind):
                dtype = torch.get_autocast_dtype(kind)
                stack.enter_context(torch.autocast(kind, dtype=dtype, cache_enabled=False))
        if "torch._dynamo" in sys.modules:  # a changed mode would recompile a compiled model
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            for module, _ in training:
                if not isinstance(module, _NormBase):
                    module.training = False
            for norm in tracking:
                norm.track_running_stats = not norm.training
            yield
        finally:
            for module, mode in training:
                module.training = mode
            for norm in tracking:
                norm.track_running_stats = True


@contextmanager
def restored(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """Context that yields copies of the tensors and puts them back bit for bit at its end."""
    saved = [t.detach().clone() for t in tensors]
    try:
        yield saved
    finally:
        copy_(tensors, saved)


@torch.no_grad()
def copy_(tensors: list[Tensor], values: list[Tensor]) -> None:
    """Overwrite tensors in place with values."""
    if tensors:
        torch._foreach_copy_(tensors, values)


def dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Inner product of two lists of tensors, as a scalar on their device."""
    parts = [torch.sum(x * y) for x, y in zip(a, b, strict=True)]
    return torch.stack([p.to(parts[0].device, torch.float64) for p in parts]).sum()


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of a list of tensors, as a scalar on their device."""
    parts = torch._foreach_norm(list(tensors))
    total: Tensor = torch.stack([p.to(parts[0].device, torch.float64) for p in parts]).norm()
    return total
