"""Definitions of the edge, as functions of what one calibration saw. Pure.

Each takes a ladder and the seed of the calibration, and says at which octave it puts the edge and
what it cost, in gradients.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import rates
from ladder import FRESH, labels
from ladders import Ladder
from specs import DEVELOPMENT, momentum_of

from lrsearch.curvature._bracket import bottom, vertex
from lrsearch.curvature._calibrate import START
from lrsearch.curvature._cost import FORWARD
from lrsearch.curvature._shift import MEMORY, WIDTH, memory, weighted

REFERENCE = 500  # steps
DRIFT = 0.27  # octaves a doubling, fitted on development tasks with fresh or moved images
STEEP = 0.05  # log loss an octave, assumed below the recorded places


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


def drift(budget: int, exponent: float) -> float:
    """Octaves by which runs of ``budget`` steps want less than those of `REFERENCE`."""
    return exponent * math.log2(max(1.0, budget / REFERENCE))


def annealed(
    label: str, *, factor: float = 0.0, width: float | None = None, exponent: float = 0.0
) -> Definition:
    """The best rate of annealed runs, with corrections for momentum and for the budget."""
    steps = int(label.split()[1])

    def define(ladder: Ladder, seed: int) -> Found:
        seen, cost = climbed(ladder, label, seed)
        start = ladder.untrained(label, seed)
        octave = parabola(seen) if width is None else weighted(seen, start, width)
        shift = memory(steps, momentum_of(ladder.spec.optimizer), factor)
        return Found(octave - shift - drift(ladder.spec.budget, exponent), cost)

    return define


def first(label: str) -> Definition:
    """The package's first recipe: a parabola, mixed 4 : 1 with the usual rate in octaves."""
    plain = annealed(label)

    def define(ladder: Ladder, seed: int) -> Found:
        found = plain(ladder, seed)
        return Found(0.8 * found.octave + 0.2 * math.log2(ladder.usual), found.cost)

    return define


def usual(ladder: Ladder, seed: int) -> Found:
    """The usual rate of the optimizer."""
    return Found(math.log2(ladder.usual), 0.0)


def alternative(way: str) -> Definition:
    """Another scale, as `alternatives.py` measured it; the usual rate where it found none."""

    def define(ladder: Ladder, seed: int) -> Found:
        found = ladder.scales[way]
        rate = found["rates"][seed]
        return Found(math.log2(ladder.usual if rate is None else rate), found["cost"])

    return define


FIRST = ("first recipe, 40 steps", "first recipe, 80 steps")
ALTERNATIVES = ("range test", "2 / sharpness at initialisation", "curvature-aware tuner")
OURS = {"ours, 20 steps": "long 20", "ours, 40 steps": "long 40", "ours, 80 steps": "slow 80"}
LABELS = labels(DEVELOPMENT[0])[:-1]
BUDGETS = {f"{name}, less for the budget": label for name, label in OURS.items()}
DEFINITIONS: dict[str, Definition] = {
    **{name: annealed(label, factor=MEMORY, width=WIDTH) for name, label in OURS.items()},
    **{
        name: annealed(label, factor=MEMORY, width=WIDTH, exponent=DRIFT)
        for name, label in BUDGETS.items()
    },
    **{name: first(f"quick {n}") for name, n in zip(FIRST, (40, 80), strict=True)},
    "usual rate": usual,
    **{way: alternative(way) for way in ALTERNATIVES},
    **{label: annealed(label) for label in LABELS},
    **{
        f"{label}, momentum, weighted": annealed(label, factor=MEMORY, width=WIDTH)
        for label in LABELS
    },
}
