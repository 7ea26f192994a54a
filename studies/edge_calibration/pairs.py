"""Zero-shot transfer: the best multiplier of a small task, used unchanged on one 16 times larger.

`report.py` prints it. A pair differs in width or in batch size. The small task's best rate in
units of its own edge is trained at on the large one in units of the large one's edge, each
calibration with the one of the same seed; nothing is searched on the large task.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import archive
import numpy as np
import rates
from definitions import Definition
from ladders import Ladder, log_loss
from transfer import edges

# How a raw rate moves to a batch of 16 times the size, by the rules that people use.
LINEAR, SQUARE_ROOT = math.log2(16), math.log2(4)


@dataclass(frozen=True)
class Moved:
    """What one way gives on one pair.

    Attributes:
        octaves: Rate used on the large task over its best one, one for each calibration.
        regrets: Log loss given up there.
    """

    octaves: np.ndarray
    regrets: np.ndarray


Way = Callable[[Ladder, Ladder], np.ndarray]  # octaves of the rates used on the large task


def by_edge(definition: Definition) -> Way:
    def way(small: Ladder, large: Ladder) -> np.ndarray:
        return small.best - edges(small, definition) + edges(large, definition)

    return way


def by_rate(small: Ladder, large: Ladder) -> np.ndarray:
    """The small task's best rate itself."""
    return np.array([small.best])


def by_batch(small: Ladder, large: Ladder) -> np.ndarray:
    """Raw rate by the usual rule: linear in the batch for SGD and momentum, its root for Adam."""
    if small.spec.batch == large.spec.batch:
        return np.array([small.best])
    return np.array([small.best + (SQUARE_ROOT if small.spec.kind == "adam" else LINEAR)])


def moved(way: Way, small: Ladder, large: Ladder) -> Moved:
    at = way(small, large)
    return Moved(at - large.best, np.array([large.regret(float(each)) for each in at]))


def by_mup(small: Ladder, large: Ladder) -> Moved:
    """The small task's best rate in muP, used on the large one in muP; regret against its own best.

    What the parametrisation itself gains or loses is left out.
    """
    curves = []
    for ladder in (small, large):
        runs = archive.load(archive.mup_of(ladder.spec.name))["runs"]
        mean = {int(k): float(np.mean([log_loss(r) for r in v])) for k, v in runs.items()}
        curves.append(mean)
    at, best = (rates.lowest(curve) for curve in curves)
    nearest = min(curves[1], key=lambda k: abs(k - at))
    lost = min(curves[1][nearest] - min(curves[1].values()), rates.WORST)
    return Moved(np.array([(at - best) / rates.OCTAVE]), np.array([lost]))
