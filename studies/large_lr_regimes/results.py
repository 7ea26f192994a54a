"""What the raw files of one task say, as arrays over seeds and rates, and its regimes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from files import read
from regimes import Threshold, convergence_threshold, last_while, regime

JOINED = 0.005  # training error barrier that counts as none
CHANCE = {"tick": 0.5, "image": 0.1}


@dataclass
class Results:
    """All cells of ``tick`` or ``image``; a seed is a cell's, with a data set of its own each."""

    kind: str
    cells: list[dict[str, Any]]

    @classmethod
    def load(cls, raw: Path, kind: str) -> Results:
        return cls(kind, [read(path) for path in sorted(raw.glob(f"{kind}_*.json.gz"))])

    @cached_property
    def rates(self) -> np.ndarray:
        return np.array(self.cells[0]["rates"])

    @property
    def seeds(self) -> int:
        return len(self.points("pretrained", "test_loss"))

    @property
    def tuned(self) -> list[str]:
        """Names of the fine-tuned points, the rate ascending."""
        return [f"finetuned {i}" for i in self.cells[0]["plan"]["finetune"]]

    @property
    def averages(self) -> list[str]:
        return [f"average {k}" for k in self.cells[0]["plan"]["averages"]]

    @property
    def second(self) -> list[float]:
        return self.cells[0]["finetune_rates"]

    def stacked(self, lists: list[Any]) -> np.ndarray:
        """Lists over data sets and rates, one a cell, to (seeds, rates, ...)."""
        parts = []
        for found in lists:
            array = np.array(found, dtype=float)  # None becomes nan
            parts.append(array.reshape(-1, len(self.rates), *array.shape[1:]))
        return np.concatenate(parts)

    def points(self, point: str, field: str) -> np.ndarray:
        return self.stacked([cell["points"][point][field] for cell in self.cells])

    def pair(self, which: int, field: str) -> np.ndarray:
        """Between low and high second rate (0), low and average (1), high and average (2)."""
        return self.stacked([list(cell["pairs"].values())[which][field] for cell in self.cells])

    @cached_property
    def converged(self) -> np.ndarray:
        return self.stacked([cell["converged_at"]["pretrained"] for cell in self.cells])

    @property
    def epochs(self) -> float:
        """Of pre-training."""
        plan = self.cells[0]["plan"]
        return plan.get("pretrain_epochs") or plan["pretrain_steps"] / 32

    @cached_property
    def threshold(self) -> Threshold:
        found = {
            rate: [None if np.isnan(e) else e for e in column]
            for rate, column in zip(self.rates, self.converged.T, strict=True)
        }
        return convergence_threshold(found, self.epochs)

    @cached_property
    def regimes(self) -> list[int]:
        accuracy = self.points("pretrained", "train_accuracy").mean(axis=0)
        chance = CHANCE[self.kind]
        return [
            regime(rate, self.threshold, a, chance)
            for rate, a in zip(self.rates, accuracy, strict=True)
        ]

    @cached_property
    def tuned_accuracy(self) -> np.ndarray:
        """Test accuracy (second rates, seeds, rates)."""
        return np.stack([self.points(point, "test_accuracy") for point in self.tuned])

    @cached_property
    def alone_of_1(self) -> np.ndarray:
        """Test accuracy (seeds,) of the converging rate that is best by the mean, alone."""
        values = self.points("pretrained", "test_accuracy")[:, self.rates <= self.threshold.last]
        return np.asarray(values[:, values.mean(axis=0).argmax()])

    @property
    def best_of_1(self) -> float:
        """Best mean test accuracy of a run at one converging rate."""
        return float(self.alone_of_1.mean())

    @cached_property
    def spread(self) -> np.ndarray:
        """Range over second rates of the mean test accuracy (rates,)."""
        return np.ptp(self.tuned_accuracy.mean(axis=1), axis=0)

    @cached_property
    def end_of_2a(self) -> float | None:
        """By the definition: the worst second rate at least as good as regime 1, and no barrier."""
        worst = self.tuned_accuracy.mean(axis=1).min(axis=0)
        joined = self.pair(0, "train_barrier").mean(axis=0) <= JOINED
        good = [bool(g) for g in (worst >= self.best_of_1) & joined]
        return last_while(self.rates, good, self.threshold)

    @cached_property
    def labels(self) -> list[str]:
        """1, 2A, 2B or 3 of every rate."""
        end = self.end_of_2a or 0.0
        halves = {True: "2A", False: "2B"}
        return [
            halves[bool(rate <= end)] if which == 2 else str(which)
            for rate, which in zip(self.rates, self.regimes, strict=True)
        ]

    def after(self, rate: float) -> float:
        """The next rate of the grid."""
        return float(self.rates[self.rates > rate][0])


def error(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over seeds, the first axis; nan for one seed."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))
