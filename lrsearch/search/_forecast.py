"""How a run will end, from its annealed loss now and from other runs that have ended.

Averaged weights say what a run would give if it were annealed now. Of a lag in the log of that loss
only a share is left at the end, for slower runs catch up and hotter ones still anneal:

    log final = level + left(progress) * log annealed +- deviation(progress)

``left`` and ``deviation`` were measured on the development tables of studies/search_efficiency
(`lags.py`), where neither gradient norms nor curvature nor update norms nor the shape of the
schedule made it closer. The level is the study's own, from its finished runs; so is, in part, the
deviation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Share of the run -> share of a lag that is left, deviation of a run's final log loss about it.
MEASURED: dict[float, tuple[float, float]] = {
    0.05: (0.27, 0.118),
    0.1: (0.4, 0.108),
    0.2: (0.54, 0.095),
    0.4: (0.71, 0.08),
    0.6: (0.82, 0.068),
    0.8: (0.91, 0.058),
}
WEIGHT = 4  # finished runs whose own deviation weighs as much as the measured one
NEAR = math.log(3.0)  # of the best, within which finished runs count: so they were measured


@dataclass(frozen=True, slots=True)
class Forecast:
    """How far above the best finished run one is expected to end, in log loss.

    Attributes:
        lag: The expectation, over where that run ended or was expected to, whichever is higher.
        deviation: The deviation.
    """

    lag: float
    deviation: float


def remaining(progress: float) -> tuple[float, float]:
    """Share of a lag that is left at the end, and the deviation; ``progress`` in (0, 1]."""
    shares = np.log(list(MEASURED))
    left, deviations = np.array(list(MEASURED.values())).T
    at = math.log(progress)
    return float(np.interp(at, shares, left)), float(np.interp(at, shares, deviations))


def forecast(progress: float, annealed: float, finished: Sequence[tuple[float, float]]) -> Forecast:
    """How a run will end beside the best of the finished ones.

    Args:
        progress: Share of the run done, in (0, 1].
        annealed: Its annealed loss there.
        finished: Objective, to be minimised, and annealed loss at the same step of runs that have
            ended, the best first; one at least. Where objectives are no positive losses (an
            accuracy), the run is compared with the first one alone.
    """
    left, deviation = remaining(progress)
    best = finished[0]
    if not 0 < best[0] < math.inf:
        return Forecast(left * math.log(annealed / best[1]), deviation)
    near = [(end, then) for end, then in finished if end <= best[0] * math.exp(NEAR)]
    levels = [math.log(end) - left * math.log(then) for end, then in near]
    level = math.fsum(levels) / len(levels)
    squares = math.fsum((own - level) ** 2 for own in levels)
    # The best one was lucky in its end, or in its look at this step: the worse of both counts.
    reached = max(math.log(best[0]), level + left * math.log(best[1]))
    return Forecast(
        level + left * math.log(annealed) - reached,
        math.sqrt((WEIGHT * deviation**2 + squares) / (WEIGHT + len(levels) - 1)),
    )
