"""Evaluate a training loss, or its derivatives, without leaving a trace in the model.

Inside `quiet`, dropout is off (no random number is drawn), batch normalisation uses the batch's
statistics as in training, no graph is built unless asked for, compiled modules run eagerly, and
autocast keeps no cached casts of weights (a cached cast would hide an in-place perturbation).
Buffers that a forward pass changes, such as running statistics, are put back at its end.

Tensors are overwritten through ``.data``: autograd's version counters stay as they are, so that a
graph that the run has built before can still be used after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase

from lrsearch.curvature._eager import eager

# Of recurrent layers: their dropout, and their own lists of weights, which keep what stood in for a
# weight in a functional call.
RNN = ("dropout", "_flat_weights", "_flat_weight_refs")


@contextmanager
def quiet(model: nn.Module, *, graph: bool = False) -> Iterator[None]:
    """Context in which losses of ``model`` can be evaluated at no trace; cost none by itself.

    With ``graph``, autograd is on, and attention takes the kernel that can be differentiated twice
    (quadratic in the length of the sequence: probe with few or short ones).
    """
    training = [(module, module.training) for module in model.modules()]
    buffers = [(m, name, b) for m in model.modules() for name, b in m._buffers.items()]
    saved = [(m, b, b.detach().clone(), b._version) for m, _, b in buffers if b is not None]
    rnns: list[tuple[nn.RNNBase, dict[str, Any]]] = []
    tracking: list[tuple[_NormBase, bool]] = []
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad() if graph else torch.no_grad())
        if graph:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.callback(torch.set_autocast_cache_enabled, torch.is_autocast_cache_enabled())
        torch.set_autocast_cache_enabled(False)  # autocast inside the loss keeps to it as well
        stack.enter_context(eager())
        try:
            for module, _ in training:
                if graph and isinstance(module, nn.RNNBase):  # cuDNN has no backward in eval mode
                    rnns.append((module, {n: vars(module)[n] for n in RNN if n in vars(module)}))
                    module.dropout = 0.0
                elif not isinstance(module, _NormBase):
                    module.training = False
                elif graph and module.training:  # functions must not change what they do not own
                    tracking.append((module, module.track_running_stats))
                    module.track_running_stats = False
            yield
        finally:
            for rnn, attributes in rnns:
                vars(rnn).update(attributes)
            for norm_module, tracks in tracking:
                norm_module.track_running_stats = tracks
            for module, mode in training:
                module.training = mode
            for module, name, buffer in buffers:  # some layers replace theirs
                module._buffers[name] = buffer
            changed = [  # batch normalisation does not tell autograd what it changes
                (b, value)
                for m, b, value, version in saved
                if b._version != version or isinstance(m, _NormBase)
            ]
            copy_([b for b, _ in changed], [value for _, value in changed])


@contextmanager
def restored(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """Context that yields copies of the tensors and puts them back bit for bit at its end."""
    saved = [t.detach().clone() for t in tensors]
    try:
        yield saved
    finally:
        copy_(tensors, saved)


@contextmanager
def exchanged(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> Iterator[None]:
    """Context in which each tensor has the memory of its counterpart; no copy is made.

    At its end each has its own memory again, with the bits that it had. A tensor that is a part of
    a larger memory (flattened RNN weights, buckets) is copied instead.
    """
    pairs = list(zip(tensors, others, strict=True))
    parts = [(t, o) for t, o in pairs if _is_part(t)]
    whole = [(t, o, t.data) for t, o in pairs if not _is_part(t)]
    with restored([t for t, _ in parts]):
        try:
            for t, o, _ in whole:
                t.data = o.data
            copy_([t for t, _ in parts], [o for _, o in parts])
            yield
        finally:
            for t, _, own in whole:
                t.data = own


def _is_part(t: Tensor) -> bool:
    return t.untyped_storage().nbytes() != t.numel() * t.element_size()


@torch.no_grad()
def copy_(tensors: list[Tensor], values: list[Tensor]) -> None:
    """Overwrite tensors in place with values, unseen by autograd."""
    if tensors:
        torch._foreach_copy_([t.data for t in tensors], values)


def dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Inner product of two lists of tensors, as a scalar on their device."""
    parts = [torch.sum(x * y) for x, y in zip(a, b, strict=True)]
    return torch.stack([p.to(parts[0].device, torch.float64) for p in parts]).sum()


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of a list of tensors, as a scalar on their device."""
    parts = torch._foreach_norm(list(tensors))
    total: Tensor = torch.stack([p.to(parts[0].device, torch.float64) for p in parts]).norm()
    return total
