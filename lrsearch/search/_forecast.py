"""How a run will end beside another one, from where both are.

Averaged weights say what a run would give if it were annealed now. Of a lag in the log of that loss
only a share is left at the end, for slower runs catch up and hotter ones still anneal:

    log final - log final' = left(progress) (log annealed - log annealed') +- deviation(progress)

Both were measured on the development tables of studies/search_efficiency (`lags.py`), where neither
gradient norms nor curvature nor update norms nor the shape of the schedule made it closer.
"""

from __future__ import annotations

import math

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


def lag_left(progress: float, lag: float) -> tuple[float, float]:
    """What a lag comes to, in log loss: expectation and deviation.

    Args:
        progress: Share of the run done, in (0, 1].
        lag: Log of the annealed loss over that of the other run, at the same step.
    """
    shares = np.log(list(MEASURED))
    left, deviations = np.array(list(MEASURED.values())).T
    at = math.log(progress)
    return float(np.interp(at, shares, left)) * lag, float(np.interp(at, shares, deviations))
