"""Learning-rate tuners that act while training: each step chooses its own rate."""

from lrsearch.tuners._alera import ALeRA as ALeRA
from lrsearch.tuners._cdat import CDAT as CDAT
from lrsearch.tuners._clara import CLARA as CLARA
from lrsearch.tuners._direction import proposed as proposed
from lrsearch.tuners._line_search import LineSearch as LineSearch
from lrsearch.tuners._of import tuner_of as tuner_of
from lrsearch.tuners._page_hinkley import PageHinkley as PageHinkley
from lrsearch.tuners._references import nesterov_share as nesterov_share
from lrsearch.tuners._references import path_mean as path_mean
from lrsearch.tuners._references import path_mean_after as path_mean_after
from lrsearch.tuners._references import path_spread as path_spread
from lrsearch.tuners._salera import SALERA as SALERA
from lrsearch.tuners._tuner import Tuner as Tuner

__all__ = [
    "CDAT",
    "CLARA",
    "SALERA",
    "ALeRA",
    "LineSearch",
    "PageHinkley",
    "Tuner",
    "nesterov_share",
    "path_mean",
    "path_mean_after",
    "path_spread",
    "proposed",
    "tuner_of",
]
