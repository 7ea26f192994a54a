"""Can one run alone be judged by a rule that is learnt? Its answer on other tasks is in raw/.

    python learned.py              # raw/learned.json

A logistic regression on dimensionless readings of one run at a rung (each and its square) tells
hopeless runs from good ones (as `alone.py` has them); runs that diverged before do not count. It is
learnt on the development tables, with the threshold that stops 2 % of their good runs, each table
judged by the others. The negative control takes its curvature from other runs.
"""

import math
from dataclasses import dataclass
from typing import Any

import alone
import numpy as np
import raw
import tasks
from scipy.optimize import minimize
from table import Run, Table

RUNGS = {"0.1": 2, "0.25": 5}  # share of the run -> rung
WRONG = 0.02  # of the good runs of development tables
RIDGE, FAR = 0.03, 4.0
PATH = raw.RAW / "learned.json"
CURVATURE = ("rho", "sharpness over its first")


@dataclass
class Runs:
    """Runs of a table: readings (n, d), whether each is hopeless, weights that sum to 1 by kind."""

    seen: np.ndarray
    hopeless: np.ndarray
    weights: np.ndarray

    def stopped(self, which: np.ndarray) -> tuple[float, float]:
        """Shares of hopeless and of good runs that are stopped."""
        kinds = (self.hopeless, ~self.hopeless)
        return tuple(float(self.weights[kind & which].sum()) for kind in kinds)  # type: ignore[return-value]


def runs_of(table: Table, rung: int, curvature: str) -> Runs:
    """Those of the good and the hopeless cells; curvature is "none", "own" or "of others"."""
    rows, hopeless, weights = [], [], []
    for cell, runs in table.runs.items():
        kind = alone.hopeless(table, cell)
        if kind is None:
            continue
        for run in runs.values():
            if not 0 < run.diverged_at <= table.marks[rung - 1]:
                rows.append(_readings(run, rung))
                hopeless.append(kind)
                weights.append(1 / len(runs))
    seen, which, weight = np.array(rows), np.array(hopeless), np.array(weights)
    for own in (which, ~which):
        weight[own] /= weight[own].sum()
    last = len(CURVATURE)
    if curvature == "none":
        seen = seen[:, :-last]
    elif curvature == "of others":
        seen[:, -last:] = np.random.default_rng(0).permutation(seen[:, -last:])
    return Runs(seen, which, weight)


def _readings(run: Run, rung: int) -> list[float]:
    def value(name: str, at: int = rung) -> float:
        return float(run.rungs[name][at - 1])

    def log(x: float) -> float:
        return math.log(max(x, 1e-12)) if math.isfinite(x) else 0.0

    start, spread = run.start
    loss, half = value("train_loss"), value("train_loss", max(1, rung // 2))
    rho = value("learning_rate") * value("forward_sharpness") / value("threshold")
    sharpness, first = value("forward_sharpness"), value("forward_sharpness", 1)
    growing = sharpness > 0 and first > 0
    found = [
        log(loss / start),
        log(value("averaged_batch_loss") / start),
        log(value("averaged_batch_loss") / value("batch_loss")),
        log(loss / half),
        log(value("gradient_norm") / value("gradient_norm", 1)),
        log(value("update_norm") / value("weight_norm")),
        log(value("displacement") / value("weight_norm")),
        float(np.clip(value("decrease_ratio"), -2, 2)),
        log(start / max(spread, 1e-9)),
        float(np.clip(log(rho), -FAR, 2)),
        float(np.clip(log(sharpness / first), -FAR, FAR)) if growing else 0.0,
    ]
    return [x if math.isfinite(x) else 0.0 for x in found]


class Rule:
    """A score of runs, the higher the more hopeless."""

    def __init__(self, tables: list[Runs]) -> None:
        seen = np.concatenate([t.seen for t in tables])
        self._mean, self._scale = seen.mean(axis=0), seen.std(axis=0) + 1e-6
        x = self._columns(seen)
        sign = np.where(np.concatenate([t.hopeless for t in tables]), 1.0, -1.0)
        weight = np.concatenate([t.weights for t in tables]) / len(tables)

        def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
            margin = sign * (x @ b)
            wrong = weight * sign / (1 + np.exp(margin))
            ridge = RIDGE * np.append(b[:-1], 0.0)
            return float(weight @ np.logaddexp(0, -margin) + ridge @ b / 2), ridge - x.T @ wrong

        self._b = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x

    def score(self, seen: np.ndarray) -> np.ndarray:
        """One number a run."""
        return np.asarray(self._columns(seen) @ self._b)

    def _columns(self, seen: np.ndarray) -> np.ndarray:
        z = np.clip((seen - self._mean) / self._scale, -FAR, FAR)
        return np.concatenate([z, z**2, np.ones((len(z), 1))], axis=1)


def measured() -> dict[str, Any]:
    """Shares of hopeless and of good runs that are stopped: by share of the run, sight, table."""
    known = raw.recorded(tasks.DEVELOPMENT), raw.recorded(tasks.EVALUATION)
    found: dict[str, Any] = {}
    for share, rung in RUNGS.items():
        for sight in ("none", "own", "of others"):
            half = {t.name: runs_of(t, rung, sight) for t in known[0].values()}
            scores = {
                name: Rule([r for n, r in half.items() if n != name]).score(own.seen)
                for name, own in half.items()
            }
            limit = _limit(half, scores)
            rule, stopped = Rule(list(half.values())), {}
            for name, own in half.items():
                stopped[name] = own.stopped(scores[name] > limit)
            for table in known[1].values():
                runs = runs_of(table, rung, sight)
                stopped[table.name] = runs.stopped(rule.score(runs.seen) > limit)
            rounded = {name: [round(x, 3) for x in pair] for name, pair in stopped.items()}
            found.setdefault(share, {})[f"curvature {sight}"] = rounded
    return found


def _limit(half: dict[str, Runs], scores: dict[str, np.ndarray]) -> float:
    """The score that this share of the good runs exceeds, tables weighing the same."""
    score = np.concatenate([scores[n][~r.hopeless] for n, r in half.items()])
    weight = np.concatenate([r.weights[~r.hopeless] for r in half.values()]) / len(half)
    order = np.argsort(-score)
    return float(score[order][np.searchsorted(np.cumsum(weight[order]), WRONG)])


def main() -> None:
    raw.save(PATH, measured())


if __name__ == "__main__":
    main()
