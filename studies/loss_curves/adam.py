"""The authors' fit as they describe it, on our derivatives: a simple start, 200 steps of AdamW.

Start: least Huber loss of `L0 + A S^-alpha - B (peak - eta)`, then C = 1, beta = gamma = 1/2.
Descent: AdamW with rate 5e-2 (L0, A, B, C) and 5e-3 (alpha, beta, gamma), at most 200 steps, ended
by 20 without a better loss; the best coefficients are kept.
"""

import numpy as np
from published import PEAK

from lrsearch.theory import Curve, MultiPowerLaw
from lrsearch.theory._blocks import blocks_of
from lrsearch.theory._solve import HUBER, best_of

RATES = np.array([5e-2, 5e-2, 5e-3, 5e-2, 5e-2, 5e-3, 5e-3])  # L0, A, alpha, B, C, beta, gamma
STEPS, PATIENCE, DECAY = 200, 20, 0.01


def start(curves: list[Curve]) -> np.ndarray:
    """L0, A, alpha, B of the simple law."""
    losses = np.concatenate([c.losses for c in curves])
    sums = np.concatenate([np.cumsum(c.learning_rates)[c.steps - 1] for c in curves])
    fall = np.concatenate([PEAK - c.learning_rates[c.steps - 1] for c in curves])

    def model(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        L0, A, alpha, B = np.exp(logs)
        power = A * sums**-alpha
        columns = [np.full_like(power, L0), power, -alpha * np.log(sums) * power, -B * fall]
        return L0 + power - B * fall, np.stack(columns, axis=1)

    starts = [(0.0, np.log([losses.min(), 0.5, alpha, 300.0])) for alpha in (0.3, 0.5, 0.8)]
    best = best_of(model, losses, starts, ("L0", "A", "alpha", "B"), {}, {}, 3)
    return np.exp(best.logs)


def fit(curves: list[Curve]) -> tuple[MultiPowerLaw, np.ndarray, int]:
    """The law, the start, and the steps taken."""
    first = start(curves)
    losses = np.concatenate([c.losses for c in curves])
    parts = [blocks_of(c, c.steps, 1.0, 1.0, 64) for c in curves]
    log_sum = np.concatenate([p.log_sum for p in parts])

    def descent(x: np.ndarray) -> tuple[float, np.ndarray]:
        L0, A, alpha, B, C, beta, gamma = x
        pairs = [p.annealed(C, beta, gamma) for p in parts]
        sums, slopes = (np.concatenate([p[i] for p in pairs]) for i in (0, 1))
        power = A * np.exp(-alpha * log_sum)
        predicted = L0 + power - B * sums
        columns = [np.ones_like(power), power / A, -log_sum * power, -sums]
        columns += [-B * slopes[:, i] / x[4 + i] for i in range(3)]
        r = np.log(losses / predicted)
        far = np.abs(r) >= HUBER
        cost = np.where(far, HUBER * (np.abs(r) - HUBER / 2), r**2 / 2).sum()
        pull = -np.clip(r, -HUBER, HUBER) / predicted
        return float(cost), np.stack(columns) @ pull

    x = np.array([*first, 1.0, 0.5, 0.5])
    best, least, idle = x, np.inf, 0
    m = v = np.zeros(7)
    for step in range(1, STEPS + 1):
        cost, g = descent(x)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        move = (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        x = x * (1 - RATES * DECAY) - RATES * move
        idle = 0 if cost < least else idle + 1
        if cost < least:
            best, least = x, cost  # as the authors do: the coefficients after the step
        if step > PATIENCE and idle >= PATIENCE:
            break
    return MultiPowerLaw(*map(float, best)), first, step
