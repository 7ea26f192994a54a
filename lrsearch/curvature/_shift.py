"""From what short annealed runs reached to the edge of long ones, in octaves. Pure.

The constants are those of studies/edge_calibration, fitted on its development tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

WIDTH = 0.08  # of what training takes off the log loss
MEMORY = 3.0
# By steps of an annealed run: what the edge is multiplied by, for a linear decay to be best at one
# (median of development tasks); and the octaves that evaluation tasks were off by (root mean
# square; one transformer under momentum is off by three, the others by 0.8 to 1.7).
MULTIPLIER = {20: 0.71, 40: 0.65, 80: 0.70}
OFF = {20: 1.8, 40: 1.2, 80: 1.05}


def weighted(values: Mapping[int, float], start: float, width: float = WIDTH) -> float:
    """Mean octave, each weighed by ``exp(-(value - least) / (width * (start - least)))``.

    It repeats better with other batches than the minimum of a parabola through three octaves.

    Args:
        values: Log loss by octave; infinite where runs diverged. At least one is under ``start``.
        start: Log loss without any training.
        width: As a share of what the best run took off.
    """
    least = min(values.values())
    scale = width * (start - least)
    weights = {k: math.exp(-(v - least) / scale) for k, v in values.items()}
    return sum(k * w for k, w in weights.items()) / sum(weights.values())


def memory(steps: int, momentum: float, factor: float = MEMORY) -> float:
    """Octaves by which a short run wants more than a long one, for momentum must build up first.

    ``log2(1 + factor / (steps (1 - momentum)))``: nothing once the run is long in units of the
    momentum's memory.
    """
    return math.log2(1.0 + factor / (steps * max(1.0 - momentum, 1e-3)))


def at_length(table: Mapping[int, float], steps: int) -> float:
    """A constant for any length of annealed runs: linear between lengths, in octaves of steps."""
    known = sorted(table)
    steps = min(max(steps, known[0]), known[-1])
    low = max(n for n in known if n <= steps)
    high = min(n for n in known if n >= steps)
    share = math.log2(steps / low) / math.log2(high / low) if high > low else 0.0
    return table[low] + share * (table[high] - table[low])
