"""Measuring on the device: sharpness readings, averaged weights, edge calibration, the watch."""

from lrsearch.curvature._average import WeightAverage as WeightAverage
from lrsearch.curvature._batches import hold as hold
from lrsearch.curvature._bracket import vertex as vertex
from lrsearch.curvature._calibrate import FRESH as FRESH
from lrsearch.curvature._calibrate import calibrate as calibrate
from lrsearch.curvature._calibrate import proxy_steps as proxy_steps
from lrsearch.curvature._guard import quiet as quiet
from lrsearch.curvature._guard import restored as restored
from lrsearch.curvature._metric import direction as direction
from lrsearch.curvature._metric import threshold as threshold
from lrsearch.curvature._metric import usual_rate as usual_rate
from lrsearch.curvature._secant import Secant as Secant
from lrsearch.curvature._secant import sharpness_along as sharpness_along
from lrsearch.curvature._watch import Watch as Watch

__all__ = [
    "FRESH",
    "Secant",
    "Watch",
    "WeightAverage",
    "calibrate",
    "direction",
    "hold",
    "proxy_steps",
    "quiet",
    "restored",
    "sharpness_along",
    "threshold",
    "usual_rate",
    "vertex",
]
