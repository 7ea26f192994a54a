"""The same closure at other weights: same batch, same random numbers, and no trace.

A second evaluation draws what the first one drew (dropout keeps its masks), for the global
generators of torch, numpy and Python are put back to where the first one began, and afterwards to
where it ended. Generators that the closure owns are not known here; and where several threads of a
process draw from the global ones nobody can put them back, so that then a closure must not draw.
Buffers that modules change in a forward pass (running statistics) are put back as well.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from lrsearch.curvature import eager, generators_now, generators_rewound
from lrsearch.exceptions import MeasurementError
from lrsearch.tuners._gradients import Closure


class Replay:
    """Remembers where the generators stand: make it just before the step's own evaluation."""

    def __init__(self) -> None:
        self._start = generators_now()

    @contextmanager
    def losses(self, closure: Closure) -> Iterator[Callable[[], float]]:
        """Context that yields ``() -> L`` at the weights as they are then; no graph is built.

        Cost: one forward pass per call. Compiled models run eagerly.
        """
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.callback(torch.set_autocast_cache_enabled, torch.is_autocast_cache_enabled())
            torch.set_autocast_cache_enabled(False)  # a cached cast would hide the moved weights
            if "torch._dynamo" in sys.modules:
                stack.enter_context(eager())
                stack.enter_context(warnings.catch_warnings())  # of a compiled module, about hooks
                warnings.filterwarnings("ignore", message=".*there are global hooks on modules")
            stack.enter_context(buffers_kept())

            def loss() -> float:
                with generators_rewound(self._start):
                    value = closure()
                if not isinstance(value, Tensor) or value.numel() != 1:
                    raise MeasurementError(
                        "the closure returned another kind of loss when it was evaluated again: "
                        "return the same scalar for the same batch each time"
                    )
                return float(value)

            yield loss


@contextmanager
def buffers_kept() -> Iterator[None]:
    """Context at whose end all buffers of the modules that were called in it are as before."""
    here = threading.get_ident()
    seen: set[nn.Module] = set()
    saved: list[tuple[nn.Module, Tensor, Tensor, int]] = []
    named: dict[nn.Module, dict[str, Tensor | None]] = {}

    def before(module: nn.Module, _: Any) -> None:
        if threading.get_ident() != here or not module._buffers:
            return
        named[module] = dict(module._buffers)
        if module not in seen:
            seen.add(module)
            tensors = [b for b in module._buffers.values() if b is not None]
            saved.extend((module, b, b.detach().clone(), b._version) for b in tensors)

    def after(module: nn.Module, *_: Any) -> None:
        if threading.get_ident() == here and module in named:
            module._buffers.update(named.pop(module))  # some layers replace theirs

    handles = [register_module_forward_pre_hook(before), register_module_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, buffer, value, version in saved:
            # Batch normalisation does not tell autograd what it changes.
            if buffer._version != version or isinstance(module, _NormBase):
                buffer.data.copy_(value)
