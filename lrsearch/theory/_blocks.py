"""The multi-power law on one curve with its decrements summed over blocks, for fitting.

Symbols, for one curve with k recorded losses and g blocks; `peak` is its largest learning rate:
    drop (g,)       decrement of the block over the peak; rises are negative
    log_rate (g,)   log of the block's learning rate over the peak
    gone (k, g)     S_k of the block over the peak, in full updates; 0 for blocks still to come
    log_sum (k,)    log of S_0 over a reference sum; shape of the power term
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrsearch.theory._curve import Curve, FloatArray, IntArray

# A rate of 0 has no logarithm; with this share of the peak instead, its gain is as good as whole at
# once, and no power in reach of a fit overflows.
LEAST_RATE = 1e-12


@dataclass(frozen=True)
class Blocks:
    """One curve, prepared: see the symbols above."""

    log_sum: FloatArray
    drop: FloatArray
    log_rate: FloatArray
    gone: FloatArray

    def annealed(self, C: float, beta: float, gamma: float) -> tuple[FloatArray, FloatArray]:
        """Return the annealing sum `(k,)` and its derivatives by log C, log beta, log gamma.

        In units of the peak: rates over it, `C` times `peak^(1 - gamma)`. The second array is
        `(k, 3)`. Cost: O(k g).
        """
        x = C * np.exp(-gamma * self.log_rate) * self.gone
        logs = np.log1p(x)
        kept = np.exp(-beta * logs)
        sums = (1.0 - kept) @ self.drop
        slope = beta * kept * (x / (1.0 + x))
        by_gamma = slope @ (-gamma * self.log_rate * self.drop)
        by_beta = (beta * logs * kept) @ self.drop
        return sums, np.stack([slope @ self.drop, by_beta, by_gamma], axis=1)


def blocks_of(curve: Curve, steps: IntArray, peak: float, reference: float, block: int) -> Blocks:
    """Return a curve with its decrements summed over at most `block` updates.

    Blocks never reach over a recorded step, nor over a change of sign, and shrink towards the step
    ahead (..., 4, 2, 1, 1 updates), since the gain of a decrement is steep at first. The learning
    rate and the sum of a block are means weighted by the decrements in it, so that a single drop is
    exact.

    Args:
        curve: The curve.
        steps: Steps to predict, `(k,)`.
        peak: Learning rate that is the unit.
        reference: Summed learning rate that is the unit of the power term.
        block: Updates in a block at most.
    """
    rates = curve.learning_rates[: steps[-1]] / peak
    sums = np.concatenate([[0.0], np.cumsum(rates)])
    drops = -np.diff(rates, prepend=rates[0])
    changed = np.flatnonzero(drops)
    widths = 2 ** np.arange(int(block).bit_length())
    fine = (steps[:, None] - widths[widths < block][None, :]).ravel()
    edges = np.unique(np.concatenate([steps, fine, np.arange(0, steps[-1], block)]))
    place = 2 * np.searchsorted(edges, changed, side="right") + (drops[changed] > 0)
    _, group = np.unique(place, return_inverse=True)

    weight = np.abs(drops[changed])
    whole = np.bincount(group, weight)

    def mean(values: FloatArray) -> FloatArray:
        found: FloatArray = np.bincount(group, weight * values[changed]) / whole
        return found

    gone = sums[steps][:, None] - mean(sums[:-1])[None, :]
    return Blocks(
        log_sum=np.log(sums[steps] * peak / reference),
        drop=np.bincount(group, drops[changed]).astype(np.float64),
        log_rate=np.log(np.maximum(mean(rates), LEAST_RATE)),
        gone=np.maximum(gone, 0.0),  # below 0 where the decrements are still to come
    )
