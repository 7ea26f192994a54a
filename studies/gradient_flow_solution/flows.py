"""Many scalar networks at once: gradient descent and the exact solution of the flow.

``L(w) = 1/2 (pi - 1)^2`` with ``pi = prod w``, as in `lrsearch.testing`; weights are (n, D).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ITERATIONS = 100
ENDED = 1e-13  # a loss that is gone
LOST = 1e6  # a loss that will not come back
RISE = 1e-11  # relative: more than rounding


def flow_sharpness(w: Array) -> Array:
    """``phi = sum_i 1 / (w_i^2 + s)`` (n,), with ``prod (w_i^2 + s) = 1``; NaN unless ``pi > 0``.

    Newton in ``u = log e``, ``s = e - min w^2``: ``sum log(w_i^2 + s)`` is convex and rises with u,
    and it is not below zero at ``u = 0``, so that the iteration falls to the root from above.
    """
    squares = w**2
    above = squares - squares.min(axis=1, keepdims=True)
    u = np.zeros((len(w), 1))
    with np.errstate(all="ignore"):
        for _ in range(ITERATIONS):
            terms = above + np.exp(u)
            value = np.log(terms).sum(axis=1, keepdims=True)
            step = value / (np.exp(u) / terms).sum(axis=1, keepdims=True)
            u = u - np.maximum(step, 0.0)
            if not np.nanmax(step) > 1e-14:
                break
        phi = (1.0 / (above + np.exp(u))).sum(axis=1)
        return np.where(w.prod(axis=1) > 0, phi, np.nan)


def loss_of(w: Array) -> Array:
    return 0.5 * (w.prod(axis=1) - 1.0) ** 2


def gradient(w: Array) -> Array:
    """``(pi - 1) pi / w_i``, by products of the others: a weight may be zero."""
    others = [np.delete(w, i, axis=1).prod(axis=1) for i in range(w.shape[1])]
    return (w.prod(axis=1) - 1.0)[:, None] * np.stack(others, axis=1)


def sharpness_of(w: Array) -> Array:
    """Largest eigenvalue of the Hessian (n,); no weight may be zero."""
    pi, inverse = w.prod(axis=1), 1.0 / w
    hessian = (pi * (2 * pi - 1))[:, None, None] * inverse[:, :, None] * inverse[:, None, :]
    i = np.arange(w.shape[1])
    hessian[:, i, i] = pi[:, None] ** 2 * inverse**2
    return np.asarray(np.linalg.eigvalsh(hessian)[:, -1])


def step(w: Array, rate: Array) -> Array:
    """One step of gradient descent; runs whose loss is lost stay where they are."""
    with np.errstate(all="ignore"):
        moved = w - rate[:, None] * gradient(w)
        return np.where((loss_of(w) < LOST)[:, None], moved, w)


def starts(depth: int, spread: float, count: int, rng: np.random.Generator) -> Array:
    """Log-normal weights with ``pi`` in (0.05, 2.5), redrawn until it is."""
    w = np.exp(spread * rng.standard_normal((count, depth)))
    while (outside := np.abs(w.prod(axis=1) - 1.275) >= 1.225).any():
        w[outside] = np.exp(spread * rng.standard_normal((int(outside.sum()), depth)))
    return w
