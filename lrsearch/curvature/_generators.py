"""The global random generators, put back after something has drawn from them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


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
