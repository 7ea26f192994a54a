"""Our own sampler and pruner, unmodified, with the readings that its share could pay for."""

import math
from dataclasses import dataclass, field
from typing import Any

import optuna
from rungs import RUNGS
from simulate import Choice, shape_of
from table import Run, Table

from lrsearch import EdgeSampler, ScheduleSpace, StabilityPruner
from lrsearch.curvature._cadence import moved
from lrsearch.integrations.optuna._attributes import reading_key
from lrsearch.stability import LOOKS, Reading

SHARE = 0.02  # of a run's cost, for readings
FEWEST = 12  # readings that the watch takes of a short run all the same
LOOK_RUNGS = tuple(round(share * RUNGS) for share in LOOKS)
# The recorded shapes, as a space says them. No warm-up: the tables have none.
PARAMETERS: dict[str, Any] = {
    "wsd.cooldown": 0.2,
    "cooldown_shape": "1-sqrt",
    "uba.phi": (0.5, 5.0),
    "uba.cycles": 1,
}


@dataclass
class Ours:
    """EdgeSampler and StabilityPruner.

    Attributes:
        name: What tables call it.
        pruner: Whether runs are stopped; without, nothing is read and nothing paid for it.
        families: To search.
        share: Of a run's cost that may go into readings.
        hidden: Fields of readings to leave out, such as all that is curvature.
        compared: Whether averaged weights are evaluated at the looks, by which runs are compared.
    """

    name: str = "lrsearch"
    pruner: bool = True
    families: tuple[str, ...] = ("constant", "linear", "cosine", "wsd", "uba")
    share: float = SHARE
    values_lost: bool = False
    hidden: frozenset[str] = frozenset()
    compared: bool = False
    _rungs: frozenset[int] = field(default=frozenset(), init=False)

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        wanted = {name: v for name, v in PARAMETERS.items() if _belongs(name, self.families)}
        self.space = ScheduleSpace(
            table.budget, families=self.families, warmup=0.0, parameters=wanted
        )
        measured = table.edge(seed)
        self.edge, self.table = measured["learning_rate"], table
        self._rungs = looks(table, self.share, compared=self.compared)
        study = optuna.create_study(
            study_name=self.name,
            sampler=EdgeSampler(self.space, seed=seed),
            pruner=StabilityPruner() if self.pruner else optuna.pruners.NopPruner(),
        )
        return study, float(measured["cost"])

    def choose(self, trial: optuna.Trial) -> Choice:
        schedule = self.space.suggest(trial, self.edge)
        return shape_of(schedule.family, dict(schedule.parameters)), schedule.peak

    def looks_at(self, rung: int) -> bool:
        return self.pruner and rung in self._rungs

    def look(self, trial: optuna.Trial, run: Run, rung: int) -> tuple[bool, float]:
        reading = reading_at(run, rung, self.table.budget, self.hidden, compared=self.compared)
        return pruned(trial, reading), price_of(self.table, reading)


def pruned(trial: optuna.Trial, reading: Reading) -> bool:
    """Whether the study's pruner stops a trial at a reading of the watch."""
    trial.set_user_attr(reading_key(reading.step), reading.to_dict())
    return trial.should_prune()


def looks(table: Table, share: float = SHARE, *, compared: bool = False) -> frozenset[int]:
    """Rungs at which a run is read, as evenly as the share of its cost allows."""
    rungs = len(table.marks)
    count = min(rungs, max(FEWEST, int(share * table.budget / table.price("forward"))))
    planned = sorted({round(rungs * (i + 1) / count) for i in range(count)})
    return frozenset(moved(planned, LOOK_RUNGS) if compared else planned)


def price_of(table: Table, reading: Reading) -> float:
    """What a reading has cost, in gradients."""
    looked = reading.annealed_validation is not None
    return table.price("forward") + looked * table.price("evaluate")


def _belongs(name: str, families: tuple[str, ...]) -> bool:
    owner = {"cooldown_shape": "wsd"}.get(name, name.split(".")[0])
    return owner in families


def reading_at(
    run: Run, rung: int, budget: int, hidden: frozenset[str], *, compared: bool = False
) -> Reading:
    """What the watch would have read at a rung."""
    columns = {
        "loss": "train_loss",
        "batch_loss": "batch_loss",
        "annealed_loss": "averaged_batch_loss",
        "gradient_norm": "gradient_norm",
        "update_norm": "update_norm",
        "weight_norm": "weight_norm",
        "displacement": "displacement",
        "decrease_ratio": "decrease_ratio",
        "sharpness": "forward_sharpness",
        "slope": "forward_slope",
        "threshold": "threshold",
    }
    if compared and rung in LOOK_RUNGS:
        columns["annealed_validation"] = "averaged_loss"
    seen = {
        name: float(run.rungs[column][rung - 1])
        for name, column in columns.items()
        if name not in hidden
    }
    known: dict[str, Any] = {name: v for name, v in seen.items() if math.isfinite(v)}
    return Reading(
        step=int(run.rungs["step"][rung - 1]),
        learning_rate=float(run.rungs["learning_rate"][rung - 1]),
        budget=budget,
        initial_loss=run.start[0],
        initial_spread=run.start[1],
        **known,
    )
