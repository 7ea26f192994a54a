"""Learning-rate tuners that act while training: each step chooses its own rate."""

from lrsearch.tuners._cdat import CDAT as CDAT
from lrsearch.tuners._direction import proposed as proposed
from lrsearch.tuners._line_search import LineSearch as LineSearch
from lrsearch.tuners._tuner import Tuner as Tuner

__all__ = ["CDAT", "LineSearch", "Tuner", "proposed"]
