"""Recorded ladders, read back: the truth of a task, and what a calibration saw."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import archive
import numpy as np
import rates
from ladder import labels
from specs import BY_NAME, Spec

Runs = Mapping[int, list[dict[str, Any]]]  # place of the rate -> runs by seed


@dataclass(frozen=True)
class Ladder:
    """The recorded runs of a task.

    Attributes:
        spec: The task.
        usual: The usual rate of its optimizer.
        lengths: "quick 20", ..., "full 500" -> runs.
        scales: What `alternatives.py` measured: way -> rates by seed, cost.
    """

    spec: Spec
    usual: float
    lengths: Mapping[str, Runs]
    scales: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, spec: Spec) -> "Ladder":
        plain = archive.load(archive.path_of(spec.name))
        lengths = {
            label: {int(k): runs for k, runs in places.items()}
            for label, places in plain["lengths"].items()
        }
        other = archive.alternatives_of(spec.name)
        scales = archive.load(other)["scales"] if other.exists() else {}
        return cls(BY_NAME[plain["task"]], plain["usual_rate"], lengths, scales)

    @cached_property
    def truth(self) -> dict[int, float]:
        """Mean log test loss by place, at the task's budget; infinite where a seed diverged."""
        runs = self.lengths[f"full {self.spec.budget}"]
        return {k: float(np.mean([log_loss(r) for r in found])) for k, found in runs.items()}

    @cached_property
    def best(self) -> float:
        """Octaves (log2) of the best rate at the task's budget."""
        return rates.lowest(self.truth) / rates.OCTAVE

    def regret(self, octave: float) -> float:
        """Log loss given up at a rate, snapped to the nearest recorded place.

        Beyond the recorded places the outermost one counts: they reach four octaves to either side.
        A diverged run gives up `rates.WORST`.
        """
        place = octave * rates.OCTAVE
        nearest = min(self.truth, key=lambda k: abs(k - place))
        return min(self.truth[nearest] - min(self.truth.values()), rates.WORST)

    def curve(self, label: str, seed: int) -> dict[int, float]:
        """What a seed's runs reached at whole octaves; infinite where they diverged."""
        start = rates.place(self.usual)
        return {
            k // rates.OCTAVE: reached(runs[seed]) if seed < len(runs) else math.inf
            for k, runs in self.lengths[label].items()
            if (k - start) % rates.OCTAVE == 0
        }

    def untrained(self, label: str, seed: int) -> float:
        """Log training loss at the start of the run with the lowest rate."""
        runs = self.lengths[label]
        return float(np.log(runs[min(runs)][seed]["course"][0]))

    def reading(self, label: str, seed: int, name: str) -> float:
        """Median of a reading over the middle of a seed's best run; nan if there is none."""
        live = [
            runs[seed]
            for runs in self.lengths[label].values()
            if seed < len(runs) and runs[seed]["loss"] is not None
        ]
        best = min(live, key=lambda run: float(run["loss"]))
        values = [r[name] for r in best["readings"] if r.get(name) is not None]
        return float(np.median(values)) if values else math.nan


def log_loss(run: dict[str, Any]) -> float:
    return math.inf if run["loss"] is None else float(np.log(run["loss"]))


def reached(run: dict[str, Any]) -> float:
    """Log loss of a short run as a calibration judges it; infinite if it diverged.

    Half by batches that were not trained on, half by the last tenth of those that were: they were
    trained on once, and their losses are there already.
    """
    if run["loss"] is None:
        return math.inf
    return math.log((run["loss"] + run["course"][-1]) / 2)


def recorded(specs: Iterable[Spec]) -> list[Ladder]:
    """The complete ladders among these tasks."""
    found = [Ladder.read(spec) for spec in specs if archive.path_of(spec.name).exists()]
    return [ladder for ladder in found if set(labels(ladder.spec)) <= set(ladder.lengths)]
