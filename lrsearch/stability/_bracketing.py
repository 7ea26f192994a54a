"""Which rate to train at next, so that a regime map's thresholds are bracketed by few runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lrsearch.stability._fixed_rates import FixedRate, last_good, lowest, untrained

STRIDE = 2.0  # octaves between rates on the way to divergence
REACH = 24.0  # octaves from the first rate
FINEST = 1 / 64


def next_rate(
    runs: Sequence[FixedRate], first: float, *, resolution: float = 0.5, maximize: bool = False
) -> float | None:
    """The rate of the next run; ``None`` when every threshold is bracketed.

    First a rate that trains, two octaves at a time; then the rate of the lowest level, an octave at
    a time, then down to the resolution. Then how far above it runs still anneal well, an octave at
    a time, then halving. Then divergence, two octaves at a time, then halving. Runs that were made
    for one threshold serve the others. What lies more than 24 octaves above the first rate is not
    looked for.

    Args:
        runs: Made so far, in any order.
        first: Rate of the first run, about where convergence is thought to end.
        resolution: Octaves from the lowest level to its neighbours, and between the bounds of the
            other thresholds: 1, 1/2, 1/4, ... 1/64.
        maximize: Whether a good metric is a large one.

    Raises:
        ValueError: If the resolution is no such number, or if within 24 octaves no rate trains or
            none is the best.
    """
    if not FINEST <= resolution <= 1 or not (-math.log2(resolution)).is_integer():
        raise ValueError(
            f"the resolution must be 1, 1/2, 1/4, ... 1/64 octaves, got {resolution!r}"
        )
    ordered = sorted(runs, key=lambda run: run.rate)
    octaves = [round(math.log2(run.rate / first) * 4096) / 4096 for run in ordered]
    wanted = _wanted(ordered, octaves, resolution, maximize)
    if wanted is None:
        return None
    if abs(wanted) > REACH:
        best = ordered[lowest(ordered)]
        if best.diverged:
            raise ValueError(untrained(ordered))
        raise ValueError(
            f"the training loss still falls at a rate of {best.rate:.3g}, {REACH:.0f} octaves from "
            f"{first:.3g}, where the search began: the rate may have no effect"
        )
    return float(first * 2.0**wanted)


def _wanted(
    runs: Sequence[FixedRate], octaves: Sequence[float], resolution: float, maximize: bool
) -> float | None:
    if not runs:
        return 0.0
    bottom = lowest(runs)
    if runs[bottom].diverged:
        return _elsewhere(runs, octaves, bottom)
    for step in dict.fromkeys((1.0, resolution)):
        found = _beside(runs, octaves, bottom, step)
        if found is not None and not (runs[bottom].solved and found > REACH):
            return found
    end = max(i for i, run in enumerate(runs) if not run.diverged)
    for last, stride in ((last_good(runs, maximize), 1.0), (end, STRIDE)):
        found = _above(octaves, last, stride, resolution)
        if found is not None and found <= REACH:
            return found
    return None


def _elsewhere(runs: Sequence[FixedRate], octaves: Sequence[float], bottom: int) -> float:
    """Where a rate may train, while none has.

    All runs see the same batches, so of rates that are too small the largest has the lowest level;
    those that are too large lie in any order, or have none.
    """
    least = runs[bottom]
    rising = bottom + 1 == len(runs) and (len(runs) > 1 or least.level < least.start)
    return octaves[-1] + STRIDE if rising and least.level < math.inf else octaves[0] - STRIDE


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
