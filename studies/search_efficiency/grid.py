"""Which cells to record next: a grid of rates that follows what it finds. Pure.

Rates lie at ``2 ** (k / 4)``, ``k`` a whole number, so that grids of all tasks coincide. For each
shape:

1. octaves around the usual rate, one seed, widened until both cliffs are seen: rates on either side
   of the best whose loss is above half as much again as the best one, or that diverge
2. quarter octaves within two octaves of the best
3. three seeds of all of these; the centre moves with their mean
4. eight seeds of every rate whose mean log loss lies within 5 % of the best

Everything follows from the results so far, so a killed recording goes on to the same table.
"""

import math
from collections.abc import Mapping

OCTAVE = 4  # grid steps
REACH = 2 * OCTAVE  # of the fine part, to either side of the best
FIRST = 3 * OCTAVE  # of the first look
WIDEST = 14 * OCTAVE  # from the usual rate
CLIFF = math.log(1.5)  # log loss over the best's that counts as a cliff
SEEDS, BEST_SEEDS = 3, 8
NEAR = math.log(1.05)

Results = Mapping[tuple[int, int], float]  # (k, seed) -> final loss, infinite if diverged
Cell = tuple[int, int]


def rate(k: int) -> float:
    """Peak learning rate of a grid place."""
    return 2.0 ** (k / 4)


def place(rate: float) -> int:
    """Nearest grid place on a whole octave."""
    return OCTAVE * round(math.log2(rate))


def wanted(
    results: Results, centre: int, seeds: int = SEEDS, best_seeds: int = BEST_SEEDS
) -> list[Cell]:
    """Cells that are to be recorded next, in order; empty once the grid is complete.

    Args:
        results: Final losses so far.
        centre: Place of the usual rate.
        seeds: Of every cell.
        best_seeds: Of those near the best.
    """
    coarse = [(k, 0) for k in range(centre - FIRST, centre + FIRST + 1, OCTAVE)]
    if missing := [cell for cell in coarse if cell not in results]:
        return missing
    scores = _scores(results, seeds)
    best = min(scores, key=lambda k: (scores[k], k))
    if math.isinf(scores[best]):  # nothing trains: look lower
        lower = min(scores) - OCTAVE
        return [(lower, 0)] if lower >= centre - WIDEST else []
    if wider := _towards_cliffs(scores, best, centre):
        return [(k, 0) for k in wider]
    fine = range(max(best - REACH, centre - WIDEST), min(best + REACH, centre + WIDEST) + 1)
    if missing := [(k, 0) for k in fine if (k, 0) not in results]:
        return missing
    every = [(k, seed) for k in sorted(scores) for seed in range(seeds)]
    if missing := [cell for cell in every if cell not in results]:
        return missing
    near = [k for k in sorted(scores) if scores[k] <= scores[best] + NEAR]
    return [(k, seed) for k in near for seed in range(best_seeds) if (k, seed) not in results]


def _scores(results: Results, seeds: int) -> dict[int, float]:
    """Mean log loss of the first seeds; infinite where one diverged.

    Later seeds, which only places near the best have, would compare different sets.
    """
    found: dict[int, list[float]] = {}
    for (k, seed), loss in results.items():
        if seed < seeds:
            found.setdefault(k, []).append(_log(loss))
    return {k: sum(logs) / len(logs) for k, logs in found.items()}


def _log(loss: float) -> float:
    if not math.isfinite(loss):
        return math.inf
    return math.log(max(loss, 1e-12))


def _towards_cliffs(scores: dict[int, float], best: int, centre: int) -> list[int]:
    edge = scores[best] + CLIFF
    wider = []
    low, high = min(scores), max(scores)
    if not any(scores[k] > edge for k in scores if k < best) and low > centre - WIDEST:
        wider.append(low - OCTAVE)
    if not any(scores[k] > edge for k in scores if k > best) and high < centre + WIDEST:
        wider.append(high + OCTAVE)
    return wider
