"""What a curvature number means: readings, thresholds, trends, regimes, verdicts. Pure."""

from lrsearch.stability._bracketing import next_rate as next_rate
from lrsearch.stability._edge import Edge as Edge
from lrsearch.stability._events import event as event
from lrsearch.stability._fixed_rates import FixedRate as FixedRate
from lrsearch.stability._fixed_rates import RegimeMap as RegimeMap
from lrsearch.stability._fixed_rates import Threshold as Threshold
from lrsearch.stability._fixed_rates import regime_map as regime_map
from lrsearch.stability._host import Host as Host
from lrsearch.stability._looks import LOOKS as LOOKS
from lrsearch.stability._looks import look_steps as look_steps
from lrsearch.stability._looks import looks_in as looks_in
from lrsearch.stability._phases import AT_EDGE as AT_EDGE
from lrsearch.stability._phases import phase as phase
from lrsearch.stability._phases import phases as phases
from lrsearch.stability._plain import plain as plain
from lrsearch.stability._reading import Reading as Reading
from lrsearch.stability._regimes import below_edge as below_edge
from lrsearch.stability._regimes import dead as dead
from lrsearch.stability._regimes import diverged as diverged
from lrsearch.stability._thresholds import full_batch_threshold as full_batch_threshold
from lrsearch.stability._thresholds import small_batch_threshold as small_batch_threshold
from lrsearch.stability._trend import extrapolated as extrapolated
from lrsearch.stability._trend import robust_slope as robust_slope
from lrsearch.stability._verdict import CONTINUE as CONTINUE
from lrsearch.stability._verdict import Regime as Regime
from lrsearch.stability._verdict import Side as Side
from lrsearch.stability._verdict import Verdict as Verdict

__all__ = [
    "AT_EDGE",
    "CONTINUE",
    "LOOKS",
    "Edge",
    "FixedRate",
    "Host",
    "Reading",
    "Regime",
    "RegimeMap",
    "Side",
    "Threshold",
    "Verdict",
    "below_edge",
    "dead",
    "diverged",
    "event",
    "extrapolated",
    "full_batch_threshold",
    "look_steps",
    "looks_in",
    "next_rate",
    "phase",
    "phases",
    "plain",
    "regime_map",
    "robust_slope",
    "small_batch_threshold",
]
