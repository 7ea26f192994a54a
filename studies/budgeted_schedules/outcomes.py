"""What came out of a task, an optimizer and a budget: losses of held-out seeds, and best peaks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from bracket import best, score, vertex
from contenders import SHAPES
from numpy.typing import NDArray
from problems import OPTIMIZERS, PROBLEMS
from run import BUDGETS, Cell, place, read, tuned

Array = NDArray[np.float64]
LABELS = tuple(SHAPES)
DRAWS = 1000


@dataclass(frozen=True)
class Outcome:
    """One task, optimizer and budget.

    Attributes:
        task: Its name.
        optimizer: "momentum" or "adamw".
        budget: Per cent.
        losses: Log test losses of the held-out seeds, each shape at its own peak (shapes, seeds).
        scores: Mean log validation loss of the tuning seeds at that peak (shapes,).
        tuning: Shape -> peak -> validation losses of the tuning seeds.
    """

    task: str
    optimizer: str
    budget: int
    losses: Array
    scores: Array
    tuning: dict[str, dict[int, list[float]]]

    @property
    def given_up(self) -> Array:
        """Log loss over the best shape's, mean over seeds (shapes,)."""
        mean = self.losses.mean(axis=1)
        return mean - mean.min()

    @property
    def interaction(self) -> float:
        """Deviation of a shape's loss on a seed from what the two say each."""
        centred = self.losses - self.losses.mean(axis=1, keepdims=True) - self.losses.mean(axis=0)
        rest = centred + self.losses.mean()
        shapes, seeds = rest.shape
        return math.sqrt(float((rest**2).sum()) / ((shapes - 1) * (seeds - 1)))

    @property
    def noise(self) -> float:
        """Standard error of the difference of two shapes' means, in log loss."""
        return self.interaction * math.sqrt(2 / self.losses.shape[1])

    def octaves(self, shape: str, seed: int | None = None) -> float:
        """log2 of a shape's best peak; of one tuning seed's, if it is said which."""
        found = self.tuning[shape]
        if seed is not None:
            found = {k: [losses[seed]] for k, losses in found.items()}
        return vertex(found) / 2


def outcome(cell: Cell) -> Outcome | None:
    """None while runs are missing."""
    losses, scores, tuning = [], [], {}
    for label in LABELS:
        runs = [r for r in cell["runs"] if r["shape"] == label and r["seed"] in cell["held"]]
        tuning[label] = tuned(cell, label)
        at = best(tuning[label]) if tuning[label] else None
        runs = sorted((r for r in runs if r["k"] == at), key=lambda r: r["seed"])
        if len(runs) < len(cell["held"]):
            return None
        losses.append([math.inf if r["test"] is None else math.log(r["test"]) for r in runs])
        scores.append(score(tuning[label][at]))
    made = np.array(losses), np.array(scores)
    return Outcome(cell["task"], cell["optimizer"], cell["budget"], *made, tuning)


def outcomes(raw: Path) -> list[Outcome]:
    """All that are complete, by budget, optimizer and task."""
    found = []
    for budget in BUDGETS:
        for optimizer in OPTIMIZERS:
            for task in PROBLEMS:
                path = place(raw, f"{task}/{optimizer}/{budget}")
                made = outcome(read(path)) if path.exists() else None
                if made is not None:
                    found.append(made)
    return found


def draws(found: list[Outcome]) -> list[Array]:
    """How often each held-out seed is drawn: of each outcome (draws, seeds).

    Tasks are drawn anew, with both optimizers and all budgets of theirs, then seeds; all shapes of
    an outcome keep the same ones. An outcome weighs as often as its task was drawn.
    """
    return _draws(tuple(o.task for o in found), tuple(o.losses.shape[1] for o in found))


@cache
def _draws(of: tuple[str, ...], seeds: tuple[int, ...]) -> list[Array]:
    rng, tasks = np.random.default_rng(0), sorted(set(of))
    times = rng.multinomial(len(tasks), [1 / len(tasks)] * len(tasks), DRAWS)
    return [
        rng.multinomial(times[:, tasks.index(task)] * n, [1 / n] * n) / n
        for task, n in zip(of, seeds, strict=True)
    ]


def drawn(weights: list[Array], values: list[Array]) -> Array:
    """Means over outcomes of values, each (seeds,), by draw (draws,)."""
    total = sum(w @ v for w, v in zip(weights, values, strict=True))
    return np.asarray(total / sum(w.sum(axis=1) for w in weights))


def mean(values: list[Array]) -> float:
    """The same of what was drawn in the first place."""
    return float(np.mean([v.mean() for v in values]))


def interval(values: Array) -> tuple[float, float]:
    """95 % of the draws."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def percent(log: float) -> float:
    """A difference of log losses, in per cent of loss."""
    return 100 * math.expm1(log)
