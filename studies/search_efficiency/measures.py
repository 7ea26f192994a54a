"""What is reported, as the project defines it: T50 and T90, wrong stops, edge transfer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2
from table import Table

RESAMPLES = 1_000
SHAPE = "linear"  # whose best rate a scale should say; the others follow by their alignment
Costs = Mapping[str, Sequence[float]]  # task -> cost of every sweep until it settled


def quantile(costs: Costs, q: float) -> float:
    """Quantile over sweeps in which every task weighs the same; sweeps that never settle count.

    The smallest cost by which a share ``q`` of the weight has settled.
    """
    values = np.concatenate([np.asarray(c, float) for c in costs.values()])
    weights = np.concatenate([np.full(len(c), 1 / len(c)) for c in costs.values()]) / len(costs)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    at = int(np.searchsorted(reached, q - 1e-9))
    return float(values[order][min(at, len(values) - 1)])


def intervals(
    costs: Costs, qs: Sequence[float], seed: int = 0, level: float = 0.95
) -> list[tuple[float, float]]:
    """Confidence intervals of quantiles: tasks are resampled, then sweeps within them."""
    return [_interval(each, level) for each in _resampled(costs, qs, seed)]


def ratio(
    costs: Costs, base: Costs, q: float, seed: int = 0, level: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """One quantile over another's, with its interval: the same tasks and seeds are drawn of both.

    Args:
        costs: Of as many sweeps of each task as ``base``, with the same seeds.
        base: What they are compared with.
        q: The quantile.
        seed: Of the resampling.
        level: Of the interval.
    """
    (above,), (below,) = (_resampled(each, [q], seed) for each in (costs, base))
    middle = _over(np.array([quantile(costs, q)]), np.array([quantile(base, q)]))
    return float(middle[0]), _interval(_over(above, below), level)


def _over(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ratio; one where neither settles."""
    neither = np.isinf(above) & np.isinf(below)
    return np.where(neither, 1.0, above / np.where(neither, 1.0, below))


def _interval(each: NDArray[np.float64], level: float) -> tuple[float, float]:
    ordered, tail = np.sort(each), (1 - level) / 2
    low, high = ordered[int(tail * RESAMPLES)], ordered[int((1 - tail) * RESAMPLES) - 1]
    return float(low), float(high)


def _resampled(costs: Costs, qs: Sequence[float], seed: int) -> list[NDArray[np.float64]]:
    """Quantiles of every resample, (RESAMPLES,) each."""
    rng = np.random.default_rng(seed)
    lengths = np.array([len(own) for own in costs.values()])
    tasks, most = len(lengths), int(lengths.max())
    padded = np.full((tasks, most), math.inf)
    for row, own in zip(padded, costs.values(), strict=True):
        row[: len(own)] = own
    drawn = rng.integers(0, tasks, (RESAMPLES, tasks))
    own_length = lengths[drawn][..., None]
    places = (rng.random((RESAMPLES, tasks, most)) * own_length).astype(int)
    values = padded[drawn[..., None], places].reshape(RESAMPLES, -1)
    weights = np.where(np.arange(most) < own_length, 1 / own_length, 0.0).reshape(RESAMPLES, -1)
    order = np.argsort(values, axis=1, kind="stable")
    reached = np.cumsum(np.take_along_axis(weights, order, 1), 1) / tasks
    found = []
    for q in qs:
        at = np.argmax(reached >= q - 1e-9, axis=1)
        found.append(np.take_along_axis(values, order, 1)[np.arange(RESAMPLES), at])
    return found


@dataclass(frozen=True)
class Stop:
    """How a rule fared on one stream of runs.

    Attributes:
        wrong: Whether the best survivor's truth is beyond the tolerance of the stream's best.
        saved: Share of the cost of training all of the stream that was saved.
    """

    wrong: bool
    saved: float


def judged(
    truths: Sequence[float], survivors: Sequence[int], spent: float, tolerance: float
) -> Stop:
    """A rule's outcome on a stream: which runs it let end, and what it spent in full runs."""
    kept = min((truths[i] for i in survivors), default=math.inf)
    return Stop(kept > min(truths) + math.log1p(tolerance), 1 - spent / len(truths))


@dataclass(frozen=True)
class Transfer:
    """How well a scale says the best rate of a task, for linear decay.

    Attributes:
        octaves: ``log2(best rate / scale)`` for each measurement.
        regret: Log loss given up by training at ``multiplier * scale``, mean over measurements.
    """

    octaves: tuple[float, ...]
    regret: float


def transfer(table: Table, rates: Sequence[float], multiplier: float) -> Transfer:
    """Zero-shot regret at a frozen multiplier of measured scales, and the octaves they are off by.

    Args:
        table: Of the task.
        rates: The scale as it was measured, once for each measurement.
        multiplier: What it is multiplied by.
    """
    own = {cell: mu for cell, mu in table.truth.items() if cell[0] == SHAPE}
    best = min(own, key=lambda cell: (own[cell], cell))
    regrets = [table.truth[table.snap(SHAPE, multiplier * rate)] - own[best] for rate in rates]
    return Transfer(
        octaves=tuple(float(best[1] / 4 - np.log2(rate)) for rate in rates),
        regret=float(np.mean(regrets)) if regrets else math.inf,
    )


def off(octaves: Mapping[str, Sequence[float]]) -> tuple[float, float, float]:
    """Root mean square over tasks of their mean octaves off, with its chi-square interval, 95 %.

    For multipliers that were frozen on other tasks; nothing is estimated here, so it is divided by
    the number of tasks less one all the same, as the project defines it.
    """
    means = np.array([np.mean(v) for v in octaves.values()])
    freedom = max(len(means) - 1, 1)
    rms = float(np.sqrt((means**2).sum() / freedom))
    low, high = (rms * math.sqrt(freedom / chi2.ppf(p, freedom)) for p in (0.975, 0.025))
    return rms, low, high


def floor(table: Table, tolerance: float, sweeps: int = 100) -> float:
    """Share of sweeps in which all that a sweep may see recommends beyond the tolerance.

    The recommendation is the cell of the least mean validation loss over every seed that the sweep
    may draw, as if it had trained them all; it is judged as any other, by seeds that are held out.
    """
    beyond = 0
    for sweep in range(sweeps):
        seen = {}
        for cell, runs in table.runs.items():
            finals = [runs[seed].final for seed in table.split(cell, sweep)[0]]
            lost = not all(map(math.isfinite, finals))
            seen[cell] = math.inf if lost else float(np.mean(np.log(finals)))
        chosen = min(seen, key=lambda cell: (seen[cell], cell))
        beyond += table.judged(chosen, sweep) - table.best > math.log1p(tolerance)
    return beyond / sweeps
