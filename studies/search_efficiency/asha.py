"""ASHA as Ray Tune has it: its own trial scheduler, told what a run reports."""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import optuna
from peers import FOURS, Peer, random
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from simulate import Choice
from table import Run, Table


@dataclass
class RayAsha(Peer):
    """Random suggestions under `ray.tune.schedulers.ASHAScheduler`, with rungs at 1, 4 and 16."""

    sampler: Any = random
    signal: str | None = "loss"
    rungs: tuple[int, ...] = FOURS
    _scheduler: Any = field(default=None, init=False)
    _known: dict[int, Any] = field(default_factory=dict, init=False)

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        self._known = {}
        self._scheduler = ASHAScheduler(
            time_attr="rung",
            metric="loss",
            mode="min",
            max_t=len(table.marks),
            grace_period=FOURS[0],
            reduction_factor=4,
        )
        return super().begin(table, seed)

    def choose(self, trial: optuna.Trial) -> Choice:
        known = SimpleNamespace(trial_id=f"{trial.number:08d}")
        self._known[trial.number] = known
        self._scheduler.on_trial_add(None, known)
        return super().choose(trial)

    def look(self, trial: optuna.Trial, run: Run, rung: int) -> tuple[bool, float]:
        value = float(run.rungs["loss"][rung - 1])
        result = {"rung": rung, "loss": value if math.isfinite(value) else math.inf}
        decision = self._scheduler.on_trial_result(None, self._known[trial.number], result)
        return decision == TrialScheduler.STOP, self.price
