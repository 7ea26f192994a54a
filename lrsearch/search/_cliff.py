"""Where runs diverge: how likely a peak is to hold, from those that held and those that did not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]

# Octaves of the peak over the edge at which runs begin to diverge, before any has: rounded from the
# development tasks of studies/edge_calibration, many of which never do.
CENTER, SPREAD = 2.0, 1.2
SOFT = 0.25  # octaves over which seeds differ
ODD = 0.02  # chance that a run says nothing about the cliff
GRID = np.linspace(-6.0, 8.0, 113)


class Cliff:
    """A belief over the peak above which runs diverge; peaks in octaves over the edge.

    Args:
        held: Peaks of runs that ended.
        lost: Peaks of runs that diverged.
    """

    def __init__(self, held: Array, lost: Array) -> None:
        belief = -(((GRID - CENTER) / SPREAD) ** 2) / 2
        belief = belief + np.log(_holds(held[:, None], GRID)).sum(axis=0)
        belief = belief + np.log(_holds(GRID, lost[:, None])).sum(axis=0)
        weights = np.exp(belief - belief.max())
        self._weights = weights / weights.sum()

    def holds(self, peaks: Array) -> Array:
        """Probability that a run at each of these peaks ends with a finite loss."""
        return np.asarray(_holds(peaks[:, None], GRID) @ self._weights)


def _holds(peak: Array, cliff: Array) -> Array:
    return np.asarray(ODD + (1 - ODD) * ndtr((cliff - peak) / SOFT))
