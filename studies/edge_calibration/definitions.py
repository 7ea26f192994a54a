"""Definitions of the edge, as functions of what one calibration saw. Pure.

Each takes a ladder and the seed of the calibration, and says at which octave it puts the edge and
what it cost, in gradients.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import rates
from ladder import FRESH, SHORT
from ladders import Ladder
from specs import momentum_of

from lrsearch.curvature._bracket import bottom, vertex
from lrsearch.curvature._cost import FORWARD

STEEP = 0.05  # log loss an octave, assumed below the recorded places
MOMENTUM = 3.0  # times 1 / (steps * (1 - momentum)); fitted on development tasks
START = 1  # octaves over the usual rate


@dataclass(frozen=True)
class Found:
    """What a calibration says: octave (log2) of the edge, and its cost in gradients."""

    octave: float
    cost: float


Definition = Callable[[Ladder, int], Found]


def climbed(ladder: Ladder, label: str, seed: int) -> tuple[dict[int, float], float]:
    """Log losses by octave that a climb from the usual rate sees, and its cost."""
    curve = ladder.curve(label, seed)
    lowest, highest = min(curve), max(curve)
    start = rates.place(ladder.usual) // rates.OCTAVE + START

    def value(octave: int) -> float:
        at = start + octave
        if at > highest:
            return math.inf
        return curve[at] if at >= lowest else curve[lowest] + STEEP * (lowest - at)

    _, seen = bottom(value, ladder.untrained(label, seed))
    steps = int(label.split()[1])
    return {start + k: v for k, v in seen.items()}, len(seen) * (steps + FORWARD * FRESH)


def parabola(seen: Mapping[int, float]) -> float:
    """Its vertex, through the best octave and its neighbours."""
    best = min(seen, key=lambda k: seen[k])
    left, right = (seen.get(best + i, math.inf) for i in (-1, 1))
    return best + vertex(left, seen[best], right)


def weighted(seen: Mapping[int, float], width: float) -> float:
    """Mean octave, each weighed by ``exp(-(log loss - least) / width)``."""
    least = min(seen.values())
    weights = {k: math.exp(-(v - least) / width) for k, v in seen.items()}
    return sum(k * w for k, w in weights.items()) / sum(weights.values())


def memory(ladder: Ladder, steps: int, factor: float) -> float:
    """Octaves by which a short run wants more than a long one, for momentum must build up first."""
    return math.log2(1.0 + factor / (steps * (1.0 - momentum_of(ladder.spec.optimizer))))


def annealed(label: str, *, factor: float = 0.0, width: float | None = None) -> Definition:
    """The best rate of annealed runs, with the correction for momentum."""
    steps = int(label.split()[1])

    def define(ladder: Ladder, seed: int) -> Found:
        seen, cost = climbed(ladder, label, seed)
        octave = parabola(seen) if width is None else weighted(seen, width)
        return Found(octave - memory(ladder, steps, factor), cost)

    return define


def usual(ladder: Ladder, seed: int) -> Found:
    """The usual rate of the optimizer."""
    return Found(math.log2(ladder.usual), 0.0)


WIDTH = 0.1  # log loss
DEFINITIONS: dict[str, Definition] = {
    "usual rate": usual,
    **{f"{w} {n}": annealed(f"{w} {n}") for w in ("quick", "slow") for n in SHORT},
    **{
        f"{w} {n}, momentum, weighted": annealed(f"{w} {n}", factor=MOMENTUM, width=WIDTH)
        for w in ("quick", "slow")
        for n in SHORT
    },
}
