"""How far a definition of the edge carries: shared by development and evaluation. Pure.

The multiplier of a definition is one constant: the median over development tasks of best rate over
edge. Off: ``log2(best rate / (multiplier * edge))`` of every task and calibration.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from definitions import Definition
from ladder import SEEDS
from ladders import Ladder
from scipy.stats import chi2


@dataclass(frozen=True)
class Off:
    """What one task gives.

    Attributes:
        name: The task.
        kind: Class of its optimizer.
        octaves: Off, one for each calibration.
        regrets: Log loss given up when trained there.
        cost: Gradients of a calibration, mean.
    """

    name: str
    kind: str
    octaves: np.ndarray
    regrets: np.ndarray
    cost: float


def multiplier(ladders: Iterable[Ladder], definition: Definition) -> float:
    """Octaves: the median, over tasks, of best rate over edge."""
    return float(
        np.median([np.mean(ladder.best - edges(ladder, definition)) for ladder in ladders])
    )


def edges(ladder: Ladder, definition: Definition) -> np.ndarray:
    """Octaves of the edge, one for each calibration."""
    return np.array([definition(ladder, seed).octave for seed in range(SEEDS)])


def off(ladder: Ladder, definition: Definition, octaves: float) -> Off:
    """How far a task is off when its edge is multiplied by ``2 ** octaves``."""
    found = [definition(ladder, seed) for seed in range(SEEDS)]
    at = np.array([each.octave + octaves for each in found])
    return Off(
        ladder.spec.name,
        ladder.spec.kind,
        ladder.best - at,
        np.array([ladder.regret(each) for each in at]),
        float(np.mean([each.cost for each in found])),
    )


@dataclass(frozen=True)
class Spread:
    """A definition over some tasks.

    Attributes:
        tasks: How many.
        rms: Root mean square of what tasks are off by, calibrations pooled; in octaves.
        low, high: Its 95 % interval, by chi-square with as many degrees of freedom as tasks.
        middle: Median over tasks of the best multiplier over the frozen one, in octaves.
        seeds: Standard deviation over calibrations of a task.
        regret: Median over tasks and calibrations of the log loss given up.
        worst: The worst task's mean of it, and its name.
        cost: Gradients, mean.
    """

    tasks: int
    rms: float
    low: float
    high: float
    middle: float
    seeds: float
    regret: float
    worst: tuple[float, str]
    cost: float


def spread(found: Sequence[Off]) -> Spread:
    """Over at least two tasks."""
    n = len(found)
    octaves = np.stack([each.octaves for each in found])
    rms = float(np.sqrt(np.mean(octaves**2)))
    low, high = (rms * float(np.sqrt(n / chi2.ppf(q, n))) for q in (0.975, 0.025))
    worst = max(found, key=lambda each: float(each.regrets.mean()))
    return Spread(
        n,
        rms,
        low,
        high,
        float(np.median(octaves.mean(1))),
        float(np.sqrt(octaves.var(1, ddof=1).mean())),
        float(np.median([each.regrets for each in found])),
        (float(worst.regrets.mean()), worst.name),
        float(np.mean([each.cost for each in found])),
    )
