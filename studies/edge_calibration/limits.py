"""What limits a calibration: the cliff, and how the best rate moves with the budget. Pure."""

import math

import numpy as np
from definitions import LABELS, REFERENCE, annealed
from ladders import Ladder
from transfer import edges

from lrsearch.curvature._shift import MEMORY, WIDTH

DRIFTING = ("long 40", "slow 80")
FRESH = 1.5  # epochs


def cliff(ladder: Ladder, label: str) -> float:
    """Highest recorded octave under which no seed diverged; infinite where none did."""
    runs = ladder.lengths[label]
    lost = [k for k, seeds in runs.items() if any(run["loss"] is None for run in seeds)]
    if not lost:
        return math.inf
    lived = [k for k in runs if k < min(lost)]
    return max(lived) / 4 if lived else -math.inf


def cliffs(ladder: Ladder) -> list[str]:
    """Octaves of the cliff over the best rate of the budget, for every length."""
    found = [cliff(ladder, label) - ladder.best for label in (*LABELS, full(ladder))]
    return [ladder.spec.name, *(f"{x:+.1f}" if math.isfinite(x) else "-" for x in found)]


def full(ladder: Ladder) -> str:
    return f"full {ladder.spec.budget}"


def repeated(ladder: Ladder) -> bool:
    """Whether a run sees the same examples again and again."""
    spec = ladder.spec
    return not spec.moved and spec.budget * spec.batch / spec.examples > FRESH


def drifts(ladders: list[Ladder]) -> list[list[str]]:
    """Octaves a doubling by which long runs want less than short runs say, and their mean."""
    found, fresh = [], {label: [] for label in DRIFTING}  # type: dict[str, list[float]]
    for label in DRIFTING:
        define = annealed(label, factor=MEMORY, width=WIDTH)
        off = {one.spec.name: float(one.best - edges(one, define).mean()) for one in ladders}
        base = np.median([off[x.spec.name] for x in ladders if x.spec.budget <= REFERENCE])
        for one in ladders:
            if one.spec.budget > REFERENCE:
                doublings = math.log2(one.spec.budget / REFERENCE)
                each = (off[one.spec.name] - base) / doublings
                found.append([one.spec.name, label, f"{each:+.2f}", str(repeated(one)).lower()])
                if not repeated(one):
                    fresh[label].append(each)
    for label, values in fresh.items():
        if len(values) > 1:
            mean, deviation = np.mean(values), np.std(values, ddof=1)
            found.append(["mean of fresh data", label, f"{mean:+.2f} ({deviation:.2f})", "false"])
    return found
