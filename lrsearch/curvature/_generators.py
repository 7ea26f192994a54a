"""The global random generators, put back after something has drawn from them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from lrsearch.exceptions import MeasurementError


@contextmanager
def generators_restored(*own: torch.Generator) -> Iterator[None]:
    """Context at whose end the generators stand where they stood.

    These are torch's on the CPU, and on CUDA once in use, numpy's, Python's, and ``own``.
    """
    cuda = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = torch.cuda.get_rng_state_all() if cuda else []
    cpu, python = torch.get_rng_state(), random.getstate()
    numpy = np.random.get_state(legacy=False)
    others = [(generator, generator.get_state()) for generator in own]
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)
        for generator, state in others:
            generator.set_state(state)


def undrawn(call: Callable[[], float]) -> float:
    """The value of a call that draws nothing from torch's generators.

    Raises:
        MeasurementError: If it does; the generators are put back (once: a probe that draws is not
            tried again, since other threads share them).
    """
    before = _torch_states()
    value = call()
    if all(map(torch.equal, before, _torch_states())):
        return value
    torch.set_rng_state(before[0])
    if len(before) > 1:
        torch.cuda.set_rng_state_all(before[1:])
    raise MeasurementError(
        "loss_fn draws random numbers even where the model is in evaluation mode, so a probe would "
        "change the run: pass a loss_fn that draws none (noise as part of the batch, dropout as a "
        "module)"
    )


def _torch_states() -> list[torch.Tensor]:
    cuda = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if cuda else [])]
