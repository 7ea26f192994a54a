"""Optuna's samplers and pruners as users run them, on three streams of suggestions.

Streams:

- wide: learning rate 1e-5 to 10 (log), all recorded shapes: a user who does not know
- prior: usual rate of the optimizer +- 1.5 octaves, the shapes that won on development tasks
- edge: the same in units of the measured edge, with the alignment divided out

A run whose loss is no longer finite is pruned (as a NaN it would fail, and samplers would learn
nothing from it); GP and CMA-ES learn from values alone and get the loss that runs begin with.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import families
import optuna
from simulate import Choice
from table import Run, Table

from lrsearch.search._alignment import alignment

LOW, HIGH = 1e-5, 10.0
HALF = 1.5  # octaves to either side
FREE = "train_loss"  # the one signal that no evaluation is paid for
FOURS, THREES = (1, 4, 16), (1, 3, 9)  # rungs at which halving by four, and by three, decides


class Stream:
    """Where suggestions come from; asks a trial, gives shape and peak.

    Args:
        name: "wide", "prior" or "edge".
        centre: Usual rate (prior); frozen multiplier of the edge (edge); not used by "wide".
        shapes: Labels to choose from; all of the table's by default.
    """

    def __init__(self, name: str, centre: float = 1.0, shapes: tuple[str, ...] = ()) -> None:
        self.name, self.centre, self.shapes = name, centre, shapes

    def begin(self, table: Table, seed: int) -> float:
        """Choose the edge that this sweep measures; what it costs, in gradients."""
        self.labels = list(self.shapes or table.shapes)
        self.edge = 1.0
        if self.name != "edge":
            return 0.0
        measured = table.edge(seed)
        self.edge = measured["learning_rate"]
        return float(measured["cost"])

    def choose(self, trial: optuna.Trial) -> Choice:
        label = trial.suggest_categorical("shape", self.labels)
        if self.name == "wide":
            return label, trial.suggest_float("learning_rate", LOW, HIGH, log=True)
        factor = trial.suggest_float("factor", 2.0**-HALF, 2.0**HALF, log=True)
        if self.name == "prior":
            return label, self.centre * factor
        shape = families.SHAPES[label]
        return label, self.centre * self.edge * alignment(shape.family, shape.parameters) * factor


@dataclass
class Peer:
    """A sampler and a pruner on a stream.

    Attributes:
        name: What tables call it.
        stream: Where suggestions come from.
        sampler: Makes one from a seed.
        pruner: Makes one from the number of rungs.
        signal: Column reported at rungs; "loss" is the validation loss, "averaged_loss" that of
            averaged weights, "train_loss" the mean training loss since the last rung, for free.
        values_lost: Whether a diverged run is given a value, or pruned.
        rungs: Where it looks; everywhere by default. Halving decides at few rungs, and in between
            an evaluation would be paid for nothing.
    """

    name: str
    stream: Stream
    sampler: Callable[[int], optuna.samplers.BaseSampler]
    pruner: Callable[[int], optuna.pruners.BasePruner] | None = None
    signal: str | None = None
    rungs: tuple[int, ...] = ()
    values_lost: bool = False

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        self.price = 0.0 if self.signal == FREE else table.price("evaluate")
        spent = self.stream.begin(table, seed)
        pruner = self.pruner(len(table.marks)) if self.pruner else optuna.pruners.NopPruner()
        study = optuna.create_study(
            study_name=f"{self.name}-{self.stream.name}",  # Hyperband's brackets depend on it
            sampler=self.sampler(seed),
            pruner=pruner,
        )
        return study, spent

    def choose(self, trial: optuna.Trial) -> Choice:
        return self.stream.choose(trial)

    def looks_at(self, rung: int) -> bool:
        return self.signal is not None and (not self.rungs or rung in self.rungs)

    def look(self, trial: optuna.Trial, run: Run, rung: int) -> tuple[bool, float]:
        assert self.signal is not None
        value = float(run.rungs[self.signal][rung - 1])
        trial.report(value if math.isfinite(value) else math.inf, rung)
        return trial.should_prune(), self.price


def halving(rungs: int) -> optuna.pruners.BasePruner:
    """ASHA as Optuna has it; the first rung is the first report."""
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4)


def hyperband(rungs: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=rungs, reduction_factor=3)


def median(rungs: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner()


def random(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def tpe(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed)


def gp(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.GPSampler(seed=seed)


def cmaes(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)


SAMPLERS_AND_PRUNERS: dict[str, dict[str, Any]] = {
    "random": {"sampler": random},
    "tpe": {"sampler": tpe},
    "gp": {"sampler": gp, "values_lost": True},
    "cmaes": {"sampler": cmaes, "values_lost": True},
    "tpe + median": {"sampler": tpe, "pruner": median, "signal": "loss"},
    "tpe + halving": {"sampler": tpe, "pruner": halving, "signal": "loss", "rungs": FOURS},
    "tpe + hyperband": {"sampler": tpe, "pruner": hyperband, "signal": "loss", "rungs": THREES},
    "tpe + median, training loss": {"sampler": tpe, "pruner": median, "signal": FREE},
    "tpe + hyperband, training loss": {"sampler": tpe, "pruner": hyperband, "signal": FREE},
    "random + halving, training loss": {
        "sampler": random,
        "pruner": halving,
        "signal": FREE,
        "rungs": FOURS,
    },
    "random + halving": {"sampler": random, "pruner": halving, "signal": "loss", "rungs": FOURS},
    "random + halving, averaged": {
        "sampler": random,
        "pruner": halving,
        "signal": "averaged_loss",
        "rungs": FOURS,
    },
}
