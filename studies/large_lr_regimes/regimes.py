"""Which regime a constant rate trains in, and where one ends (2410.22113, section 3).

1. Convergence: the training data are fitted within the budget. 2. Chaotic equilibrium: the loss
settles above that, noisily. 3. Divergence: no better than a guess. 2A is the start of regime 2,
from where fine-tuning at any small rate is as good as the best of regime 1 or better; 2B is the
rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MARGIN = 0.03  # above a guess that an accuracy must lie for a run to have learnt something
Epochs = Sequence[float | None]


@dataclass(frozen=True)
class Threshold:
    """Where convergence ends.

    Attributes:
        last: Largest rate at which at least half of the seeds converge.
        first: Smallest rate above it; none when the grid ends before.
        borderline: Rates at which some seeds converge and some do not.
    """

    last: float
    first: float | None
    borderline: tuple[float, ...]


def share_converged(epochs: Epochs, budget: float) -> float:
    """Share of seeds with an epoch of convergence within the budget; ``None`` is never."""
    if not epochs:
        raise ValueError("no seeds: give one epoch of convergence, or None, for each")
    return sum(e is not None and e <= budget for e in epochs) / len(epochs)


def convergence_threshold(epochs: Mapping[float, Epochs], budget: float) -> Threshold:
    """Between which rates convergence is lost, from epochs to convergence by rate and seed.

    The largest converging rate counts, whatever happens far below: rates that are too small do not
    converge within a budget either, for another reason.
    """
    shares = {rate: share_converged(epochs[rate], budget) for rate in sorted(epochs)}
    inside = [rate for rate, share in shares.items() if share >= 0.5]
    if not inside:
        raise ValueError(
            f"no rate converges within {budget:g} epochs: give more epochs or smaller rates"
        )
    above = [rate for rate in shares if rate > inside[-1]]
    mixed = tuple(rate for rate, share in shares.items() if 0 < share < 1)
    return Threshold(inside[-1], above[0] if above else None, mixed)


def regime(rate: float, threshold: Threshold, accuracy: float, chance: float) -> int:
    """1, 2 or 3 for a rate whose runs end with a mean accuracy on the training data."""
    if accuracy < chance + MARGIN:
        return 3
    return 1 if rate <= threshold.last else 2


def last_while(rates: Sequence[float], holds: Sequence[bool], threshold: Threshold) -> float | None:
    """Last of the rates (ascending) above the threshold up to which a condition holds unbroken.

    With "fine-tuned and averaged solutions are as good as the best of regime 1, and connected"
    it is where 2A ends. ``None`` when the first rate above the threshold fails already.
    """
    last = None
    for rate, good in zip(rates, holds, strict=True):
        if rate <= threshold.last:
            continue
        if not good:
            break
        last = rate
    return last


def octaves(low: float, high: float) -> float:
    """Width of a band of rates, log2(high / low)."""
    return float(np.log2(high / low))
