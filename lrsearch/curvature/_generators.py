"""The global random generators: put back after something has drawn from them, or watched."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from lrsearch.exceptions import MeasurementError


@dataclass(frozen=True)
class Generators:
    """Where torch's (CPU, and CUDA once in use), numpy's and Python's generators stand."""

    tensors: list[torch.Tensor]
    numpy: dict[str, Any]
    python: Any

    @classmethod
    def now(cls) -> Self:
        used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        cuda = torch.cuda.get_rng_state_all() if used else []
        numpy = np.random.get_state(legacy=False)
        return cls([torch.get_rng_state(), *cuda], numpy, random.getstate())

    def same(self, other: Generators) -> bool:
        return (
            all(map(torch.equal, self.tensors, other.tensors))
            and self.numpy["state"]["pos"] == other.numpy["state"]["pos"]
            and np.array_equal(self.numpy["state"]["key"], other.numpy["state"]["key"])
            and self.numpy["gauss"] == other.numpy["gauss"]
            and self.python == other.python
        )

    def put_back(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.tensors[0])
        if len(self.tensors) > 1:
            torch.cuda.set_rng_state_all(self.tensors[1:])


def generators_now() -> Generators | None:
    """Where the global generators stand; ``None`` where another thread may draw from them."""
    return Generators.now() if alone() else None


@contextmanager
def generators_rewound(start: Generators | None) -> Iterator[None]:
    """Context in which the global generators stand at ``start`` again, and then where they stood.

    With ``None`` (several threads share them) they are left alone.
    """
    if start is None or start.same(now := Generators.now()):  # nothing was drawn since
        yield
        return
    start.put_back()
    try:
        yield
    finally:
        now.put_back()


def alone() -> bool:
    """Whether no other thread of this process may draw from the global generators."""
    return sum(not thread.daemon for thread in threading.enumerate()) <= 1


@contextmanager
def generators_restored(*own: torch.Generator) -> Iterator[None]:
    """Context at whose end the global generators, and ``own``, stand where they stood."""
    before = Generators.now()
    others = [(generator, generator.get_state()) for generator in own]
    try:
        yield
    finally:
        before.put_back()
        for generator, state in others:
            generator.set_state(state)


class DrawsRandomNumbersError(MeasurementError):
    """A loss that draws: not to be tried again, for other threads share the generators."""


@contextmanager
def undrawn() -> Iterator[None]:
    """Context in which nothing may be drawn from a global generator.

    In a process in which several threads work (trials of one study, say) nobody can tell who has
    drawn, and to put a generator back would change what another thread draws: nothing is checked.

    Raises:
        DrawsRandomNumbersError: If something was; the generators are put back, also where the
            block fails.
    """
    if not alone():
        yield
        return
    before = Generators.now()
    try:
        yield
    except BaseException:
        if not before.same(Generators.now()):
            before.put_back()
        raise
    if not before.same(Generators.now()):
        before.put_back()
        raise DrawsRandomNumbersError(
            "loss_fn draws random numbers even where the model is in evaluation mode, so a probe "
            "would change the run: pass a loss_fn that draws none (noise as part of the batch, "
            "dropout as a module)"
        )
