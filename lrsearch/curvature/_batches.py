"""Batches for a calibration, taken from a loader at no trace in any generator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch

from lrsearch.curvature._calibrate import FRESH
from lrsearch.curvature._generators import generators_restored
from lrsearch.curvature._parallel import Ranks
from lrsearch.exceptions import CalibrationError

ALONE = Ranks()
HELD = 128  # batches kept in memory at most; longer runs cycle through them


def hold(loader: Iterable[Any], steps: int, ranks: Ranks = ALONE) -> tuple[list[Any], list[Any]]:
    """Batches to train on and fresh ones to judge by, for annealed runs of ``steps`` steps.

    A loader with too few batches gives a quarter of them to judging; fewer than four batches serve
    both. Global generators, and those of a DataLoader and its samplers, are put back. Every one of
    several ranks holds batches of its own loader, as many as the shortest has.

    Raises:
        CalibrationError: If the loader is an iterator (which would be used up) or has no batch.
        MeasurementError: If it fails on some ranks only.
    """
    held = ranks.agree(lambda: _read(loader, steps))
    held = held[: min(ranks.gather(len(held)))]
    if not held:
        where = "" if ranks.count == 1 else " on some rank"
        raise CalibrationError(f"the loader has no batch{where}: give it data.")
    fresh = min(FRESH, len(held) // 4)
    return (held[:-fresh], held[-fresh:]) if fresh else (held, held)


def _read(loader: Iterable[Any], steps: int) -> list[Any]:
    if isinstance(loader, Iterator):
        raise CalibrationError(
            f"the loader is an iterator ({type(loader).__name__}) and reading from it would use up "
            "the run's batches: pass what it was made from, such as the DataLoader itself."
        )
    with generators_restored(*_own_generators(loader)):
        return list(islice(loader, min(steps, HELD) + FRESH))


def _own_generators(loader: object) -> list[torch.Generator]:
    """Generators of a DataLoader, its sampler and its batch sampler, each once."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    places = (loader, getattr(loader, "sampler", None), getattr(batch_sampler, "sampler", None))
    found = [getattr(place, "generator", None) for place in places]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())
