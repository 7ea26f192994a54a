"""Whether anything a calibration can measure says which tasks it is off on. With a control.

One feature at a time, a ridge regression that leaves one task out; beside it the same with the
feature shuffled between tasks. Curvature and noise are read in the best run (`signals.py`).
"""

import math

import numpy as np
from definitions import annealed
from ladder import SEEDS
from ladders import Ladder
from specs import momentum_of
from transfer import edges

from lrsearch.curvature._shift import MEMORY, WIDTH

READ = "slow 80"
DRAWS = 200
RIDGE = 1.0


def reading(ladder: Ladder, name: str) -> float:
    """Mean log2 of a reading over calibrations; nan where none is positive."""
    values = [ladder.reading(READ, seed, name) for seed in range(SEEDS)]
    return float(np.mean([math.log2(v) for v in values if v > 0])) if values else math.nan


def left(ladders: list[Ladder]) -> np.ndarray:
    """Octaves by which each task's best rate is over the edge, calibrations averaged."""
    define = annealed(READ, factor=MEMORY, width=WIDTH)
    return np.array([one.best - edges(one, define).mean() for one in ladders])


def features(ladders: list[Ladder]) -> dict[str, np.ndarray]:
    """Octaves (log2), one for each task."""
    define = annealed(READ, factor=MEMORY, width=WIDTH)
    edge = np.array([edges(one, define).mean() for one in ladders])
    sharp = np.array([reading(one, "sharpness") for one in ladders])
    slow = np.array([math.log2(1 - momentum_of(one.spec.optimizer)) for one in ladders])
    return {
        "edge times sharpness along the update": edge + sharp,
        "the same over 1 - momentum": edge + sharp - slow,
        "share of the gradient that is not noise": np.array(
            [reading(one, "signal") for one in ladders]
        ),
        "batch size": np.log2([one.spec.batch for one in ladders]),
        "edge over usual rate": edge - np.log2([one.usual for one in ladders]),
    }


def unseen(feature: np.ndarray, octaves: np.ndarray) -> float:
    """Root mean square of what is left of each task, fitted without it."""
    errors = []
    for i in range(len(octaves)):
        keep = np.arange(len(octaves)) != i
        x, y = feature[keep], octaves[keep]
        scale = x.std() + 1e-9
        z = (x - x.mean()) / scale
        slope = z @ (y - y.mean()) / (z @ z + RIDGE)
        errors.append(octaves[i] - y.mean() - slope * (feature[i] - x.mean()) / scale)
    return float(np.sqrt(np.mean(np.square(errors))))


def rows(ladders: list[Ladder]) -> list[list[str]]:
    """Feature, correlation, octaves left, and those of the control (5 % and 50 %)."""
    octaves = left(ladders)
    found = [["a constant", "-", f"{unseen(np.zeros_like(octaves), octaves):.2f}", "-"]]
    for name, feature in features(ladders).items():
        rng = np.random.default_rng(0)
        control = [unseen(rng.permutation(feature), octaves) for _ in range(DRAWS)]
        low, middle = np.quantile(control, (0.05, 0.5))
        found.append(
            [
                name,
                f"{np.corrcoef(feature, octaves)[0, 1]:+.2f}",
                f"{unseen(feature, octaves):.2f}",
                f"{low:.2f}, {middle:.2f}",
            ]
        )
    return found
