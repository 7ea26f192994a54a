"""Which rate to train at next, so that a regime map's thresholds are bracketed by few runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lrsearch.stability._fixed_rates import FixedRate, last_good, lowest

STRIDE = 2.0  # octaves between rates on the way to divergence
REACH = 24.0  # octaves from the first rate


def next_rate(
    runs: Sequence[FixedRate], first: float, *, resolution: float = 0.5, maximize: bool = False
) -> float | None:
    """The rate of the next run; ``None`` when every threshold is bracketed.

    First the rate of the lowest level: an octave at a time, then down to the resolution. Then how
    far above it runs still anneal well, an octave at a time, then halving. Then divergence, two
    octaves at a time, then halving. Runs that were made for one threshold serve the others.

    Args:
        runs: Made so far, in any order.
        first: Rate of the first run, about where convergence is thought to end.
        resolution: Octaves between the bounds of a threshold; a power of two, at most 1.
        maximize: Whether a good metric is a large one.

    Raises:
        ValueError: If the resolution is no such number, or no rate trains within 24 octaves.
    """
    if not 0 < resolution <= 1 or not (-math.log2(resolution)).is_integer():
        raise ValueError(f"the resolution must be 1, 1/2, 1/4, ... octaves, got {resolution!r}")
    ordered = sorted(runs, key=lambda run: run.rate)
    octaves = [round(math.log2(run.rate / first) * 4096) / 4096 for run in ordered]
    wanted = _wanted(ordered, octaves, resolution, maximize)
    if wanted is None:
        return None
    if abs(wanted) > REACH:
        raise ValueError(
            f"no rate within {REACH:.0f} octaves of {first:.3g} does what a rate of that size must"
        )
    return float(first * 2.0**wanted)


def _wanted(
    runs: Sequence[FixedRate], octaves: Sequence[float], resolution: float, maximize: bool
) -> float | None:
    if not runs:
        return 0.0
    if not any(run.level < run.start for run in runs):  # a rate too small lowers it a little
        return octaves[0] - STRIDE
    bottom = lowest(runs)
    for step in dict.fromkeys((1.0, resolution)):
        found = _beside(runs, octaves, bottom, step)
        if found is not None:
            return found
    if runs[bottom].diverged:
        raise ValueError("no rate trains: every run kept most of its loss, or lost it")
    found = _above(octaves, last_good(runs, maximize), 1.0, resolution)
    if found is not None:
        return found
    end = max(i for i, run in enumerate(runs) if not run.diverged)
    return _above(octaves, end, STRIDE, resolution)


def _beside(
    runs: Sequence[FixedRate], octaves: Sequence[float], bottom: int, step: float
) -> float | None:
    """A neighbour of the lowest level that is still missing.

    Where the training set is solved only the upper one counts: every rate below is as low.
    """
    here = octaves[bottom]
    if bottom + 1 == len(octaves) or octaves[bottom + 1] - here > step:
        return here + step
    if not runs[bottom].solved and (bottom == 0 or here - octaves[bottom - 1] > step):
        return here - step
    return None


def _above(octaves: Sequence[float], last: int, stride: float, resolution: float) -> float | None:
    """A place between the last rate that does and the first that does not, or beyond all."""
    if last + 1 == len(octaves):
        return octaves[last] + stride
    gap = octaves[last + 1] - octaves[last]
    return None if gap <= resolution else octaves[last] + _half(gap)


def _half(gap: float) -> float:
    """Half a gap, rounded down to a power of two: places stay on one lattice."""
    return float(2.0 ** math.floor(math.log2(gap / 2)))
