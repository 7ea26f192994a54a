"""A run's end by the multi-power law of its own losses so far, beside its averaged weights.

    python laws.py             # raw/laws.json

    L(t) = L0 + A (S(t)^-alpha - b D(t))
    D(t) = sum of decrements * (1 - (1 + C eta^-gamma S_k(t))^-beta)

(Luo et al. 2025, 2503.12811) with rates over the peak and steps over the budget. Seven numbers are
too many for the few losses that a run has shown: L0 and A are its own, by least squares over its
rungs so far; alpha, b and C are shared, chosen on the development tables (on one of these, on the
other four) from a grid; beta and gamma are those that the authors report as typical, 0.5. The rest
is as in `features.py`: contenders, log final loss, a level for every table.
"""

import math
from functools import cache
from itertools import product
from typing import Any

import families
import numpy as np
import raw
import tasks
from features import RUNGS
from forecasts import contenders
from table import Run, Table

ALPHAS, GAINS, SPEEDS = (0.1, 0.25, 0.5, 1.0), (0.0, 0.1, 0.3, 1.0, 3.0), (1.0, 10.0, 100.0)
BETA = GAMMA = 0.5
FIRST = 1  # rungs before it are left out: the loss falls from its start there
LEAST = 0.5  # of the last loss: no run ends below that by this forecast
PATH = raw.RAW / "laws.json"
Law = tuple[float, float, float]  # alpha, b, C


@cache
def basis(label: str, budget: int, law: Law) -> np.ndarray:
    """``S^-alpha - b D`` at every rung, (20,)."""
    alpha, gain, speed = law
    rates = np.array(families.SHAPES[label].schedule(1.0, budget).values())
    total = np.concatenate([[0.0], np.cumsum(rates)]) / budget
    drops = -np.diff(rates, prepend=rates[0])
    where = np.flatnonzero(drops)
    found = []
    for mark in np.linspace(budget / 20, budget, 20).round().astype(int):
        before = where[where < mark]
        since = total[mark] - total[before]
        eased = np.where(rates[before] > 0, speed * since * rates[before].clip(1e-9) ** -GAMMA, 0.0)
        annealed = float(drops[before] @ (1.0 - (1.0 + eased) ** -BETA))
        found.append(total[mark] ** -alpha - gain * annealed)
    return np.array(found)


def forecast(run: Run, label: str, budget: int, rung: int, law: Law) -> float:
    """Log of the end, from the losses at rungs up to this one."""
    x = basis(label, budget, law)
    losses = run.rungs["loss"][FIRST:rung].astype(float)
    seen = x[FIRST:rung]
    known = np.isfinite(losses)
    losses, seen = losses[known], seen[known]
    if not len(losses):
        return math.nan
    spread = seen - seen.mean()
    amplitude = 0.0
    if len(losses) > 1 and spread.any():
        amplitude = max(float(spread @ losses / (spread @ spread)), 0.0)
    end = losses.mean() + amplitude * (x[-1] - seen.mean())
    return math.log(max(end, LEAST * losses[-1]))


def left(table: Table, rung: int, law: Law) -> float:
    """Deviation of what the law leaves of contenders' ends, log loss."""
    cells = {id(run): cell for cell, runs in table.runs.items() for run in runs.values()}
    rest = []
    for run in contenders(table):
        said = forecast(run, cells[id(run)][0], table.budget, rung, law)
        if math.isfinite(said) and run.final > 0:
            rest.append(math.log(run.final) - said)
    return float(np.std(rest))


def measured() -> dict[str, Any]:
    """The law chosen, and deviations left, by split, rung and table."""
    development = raw.recorded(tasks.DEVELOPMENT)
    evaluation = raw.recorded(tasks.EVALUATION)
    found: dict[str, Any] = {"development": {}, "evaluation": {}, "laws": {}}
    for rung in RUNGS:
        each = {
            law: {t.name: left(t, rung, law) for t in development.values()}
            for law in product(ALPHAS, GAINS, SPEEDS)
        }
        found["laws"][str(rung)] = law = best(each)
        found["development"][str(rung)] = {
            t.name: round(each[best(each, t.name)][t.name], 4) for t in development.values()
        }
        found["evaluation"][str(rung)] = {
            t.name: round(left(t, rung, law), 4) for t in evaluation.values()
        }
    return found


def best(each: dict[Law, dict[str, float]], but: str = "") -> Law:
    """The law of the least mean over tables, one left out."""
    return min(each, key=lambda law: np.mean([v for n, v in each[law].items() if n != but]))


def main() -> None:
    raw.save(PATH, measured())


if __name__ == "__main__":
    main()
