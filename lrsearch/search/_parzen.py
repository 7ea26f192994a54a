"""Parzen densities for the engine: a prior and one kernel for every observation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_mixture(
    x: Array,
    centers: Sequence[float] | Array,
    width: float,
    prior: tuple[float, float],
    weight: float,
) -> Array:
    """Log density at ``x`` (n,) of ``weight * Normal(prior) + sum_i Normal(centers_i, width)``."""
    z = (x - prior[0]) / prior[1]
    density = math.log(weight / prior[1]) - z * z / 2
    if len(centers):
        z = (x[:, None] - np.asarray(centers)) / width
        parts = -z * z / 2
        peak = parts.max(axis=1)
        kernels = peak + np.log(np.exp(parts - peak[:, None]).sum(axis=1))
        density = np.logaddexp(density, kernels - math.log(width))
    return np.asarray(density - math.log((weight + len(centers)) * math.sqrt(2 * math.pi)))


def draw_mixture(
    rng: np.random.Generator,
    n: int,
    centers: Sequence[float] | Array,
    width: float,
    prior: tuple[float, float],
    weight: float,
    bounds: tuple[float, float],
) -> Array:
    """``n`` draws from the same mixture, reflected at the bounds (none piles up on them)."""
    locations = np.array([prior[0], *centers])
    scales = np.array([prior[1], *([width] * len(centers))])
    weights = np.array([weight, *([1.0] * len(centers))])
    which = rng.choice(len(locations), size=n, p=weights / weights.sum())
    drawn = rng.normal(locations[which], scales[which])
    low, high = bounds
    drawn = np.where(drawn < low, 2 * low - drawn, drawn)
    drawn = np.where(drawn > high, 2 * high - drawn, drawn)
    return np.clip(drawn, low, high)


def category_weights(
    prior: Mapping[str, float], observed: Sequence[str], weight: float
) -> dict[str, float]:
    """Probabilities: the prior counted as ``weight`` observations, and the observed ones."""
    seen = Counter(observed)
    total = weight + sum(seen[name] for name in prior)
    return {name: (weight * share + seen[name]) / total for name, share in prior.items()}


def kernel_width(spread: float, n: int, floor: float) -> float:
    """Scott's rule ``spread * n ** -0.2``, not under ``floor``."""
    return max(spread * max(n, 1) ** -0.2, floor) if math.isfinite(spread) else floor
