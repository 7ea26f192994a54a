"""What is believed before the first trial: families, multipliers, shapes.

Multiplier: log2 m ~ Normal(CENTER, SPREAD), cut at the bounds of the space. Family: weights below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scipy.special import ndtri
from scipy.stats import norm

CENTER = 0.0  # octaves
# What the first edge is off by on its development tasks with one constant for all optimizers
# (1.18 octaves root mean square, median +0.18: studies/first_edge).
SPREAD = 1.2
# The convex bound (Schaipp et al. 2025) ranks linear < cosine < WSD with a constant rate 30-50 %
# behind, and has UBA at phi ~ 1 between linear and cosine: no clear winner, one clear loser. The
# others, which a space has only if it names them, in the same manner: up to 6 % behind linear at
# their defaults 0.2, up to 16 % 0.1, beyond 0.05.
FAMILY_WEIGHTS: Mapping[str, float] = {
    "linear": 0.25,
    "cosine": 0.25,
    "wsd": 0.25,
    "uba": 0.2,
    "constant": 0.05,
    "polynomial": 0.2,
    "rex": 0.2,
    "power": 0.2,
    "exponential": 0.1,
    "one_cycle": 0.1,
    "cosine_restarts": 0.1,
    "step": 0.05,
    "inverse_sqrt": 0.05,
    "cyclic": 0.05,
}
DEFAULT_WEIGHT = 0.2


def family_weights(families: Sequence[str]) -> dict[str, float]:
    """Prior probabilities of these families, summing to 1."""
    raw = {name: FAMILY_WEIGHTS.get(name, DEFAULT_WEIGHT) for name in families}
    total = sum(raw.values())
    return {name: weight / total for name, weight in raw.items()}


def apportioned(weights: Mapping[str, float], number: int) -> str:
    """The family of the ``number``-th trial when each family gets its share as early as it can."""
    counts = dict.fromkeys(weights, 0)
    name = next(iter(weights))
    for turn in range(1, number + 2):
        name = max(weights, key=lambda f: weights[f] * turn - counts[f])
        counts[name] += 1
    return name


def multiplier_quantile(q: float, low: float, high: float) -> float:
    """The multiplier below which the prior, cut to [low, high], has a share ``q``."""
    a = norm.cdf((math.log2(low) - CENTER) / SPREAD)
    b = norm.cdf((math.log2(high) - CENTER) / SPREAD)
    octaves = CENTER + SPREAD * float(ndtri(a + q * (b - a)))
    return float(min(max(2.0**octaves, low), high))


def van_der_corput(index: int) -> float:
    """The ``index``-th point (from 1) of the base-2 sequence: 1/2, 1/4, 3/4, 1/8, ..."""
    point, weight = 0.0, 0.5
    while index:
        point += weight * (index & 1)
        index >>= 1
        weight /= 2
    return point
