"""A study as figures see it: its trials with what the leaderboard and the verdicts say of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lrsearch.exceptions import StudyMismatchError
from lrsearch.integrations.optuna import readings_of, recommended
from lrsearch.stability import Reading
from lrsearch.sweeps import kind_of_stop, row_of
from lrsearch.visualization._axes import number
from lrsearch.visualization._figure import plain


@dataclass(frozen=True, slots=True)
class Shown:
    """One trial.

    Attributes:
        trial: As Optuna has it.
        row: As the leaderboard has it.
        value: Its objective, where it finished with a finite one.
        ended: "finished", or what ended it in a word or two ("diverged", "failed", "running", ...).
    """

    trial: FrozenTrial
    row: Mapping[str, Any]
    value: float | None
    ended: str

    @property
    def number(self) -> int:
        """Its number."""
        return self.trial.number

    @property
    def readings(self) -> list[Reading]:
        """Its readings."""
        return readings_of(self.trial.user_attrs)

    def hover(self, metric: str) -> str:
        """What is said of it when a reader points at it, as plotly's markup."""
        row = self.row
        lines = [f"trial {self.number}: {self.ended}"]
        if self.value is not None:
            lines.append(f"{metric}: {number(self.value)}")
        if row["peak"] is not None:
            shape = f" ({row['shape']})" if row["shape"] else ""
            lines.append(f"{row['family']}{shape}")
            lines.append(
                f"peak {number(row['peak'])} = {row['multiplier']:.3g} x alignment "
                f"{row['alignment']:.3g} x edge {row['edge']:.4g}"
            )
            lines.append(f"{row['steps']} steps, {row['cost']:.2f} full runs")
        if self.trial.state != TrialState.COMPLETE:
            lines.append(str(row["reason"])[:160])
        return "<br>".join(map(plain, lines))


@dataclass(frozen=True, slots=True)
class Seen:
    """A study.

    Attributes:
        name: Its name.
        metric: Name of the objective that is drawn.
        maximize: Whether large values are good.
        trials: All trials that have begun, in order of their numbers.
        best: The number of the recommended trial; of several objectives, of the best one.
    """

    name: str
    metric: str
    maximize: bool
    trials: tuple[Shown, ...]
    best: int | None

    @property
    def finished(self) -> list[Shown]:
        """Trials with a value, best first."""
        sign = -1.0 if self.maximize else 1.0
        done = [t for t in self.trials if t.value is not None]
        return sorted(done, key=lambda t: (sign * (t.value or 0.0), t.number))

    @property
    def axis(self) -> str:
        """Title of the objective's axis."""
        return plain(f"{self.metric} ({'larger' if self.maximize else 'smaller'} is better)")

    @property
    def families(self) -> list[str]:
        """Schedule families of its trials."""
        return [t.row["family"] for t in self.trials if t.row["family"] is not None]


def seen(study: optuna.Study, objective: int | None = None) -> Seen:
    """What figures draw of a study.

    Args:
        study: The study.
        objective: Which objective, of several.

    Raises:
        StudyMismatchError: If it has several objectives and none is named, or no such one.
    """
    count = len(study.directions)
    if objective is None and count > 1:
        raise StudyMismatchError(
            f"study {study.study_name!r} has {count} objectives, and this figure shows one: pass "
            f"objective=0 to {count - 1}."
        )
    which = objective or 0
    if not 0 <= which < count:
        raise StudyMismatchError(
            f"study {study.study_name!r} has no objective {which}: they are 0 to {count - 1}."
        )
    begun = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
    found = tuple(_shown(trial, which) for trial in begun)
    maximize = study.directions[which] == StudyDirection.MAXIMIZE
    told = Seen(study.study_name, metric_of(study, which), maximize, found, None)
    if not told.finished:
        return told
    single = count == 1 and all(t.value is not None for t in found if t.ended == "finished")
    best = recommended(study).number if single else told.finished[0].number
    return Seen(told.name, told.metric, maximize, found, best)


def metric_of(study: optuna.Study, objective: int = 0) -> str:
    """Name of an objective: the task's metric, what Optuna was told, or "objective"."""
    if study.metric_names:
        return study.metric_names[objective]
    task: Mapping[str, Any] = study.user_attrs.get("lrsearch:task", {})
    plural = len(study.directions) > 1
    return str(task.get("metric", f"objective {objective}" if plural else "objective"))


def _shown(trial: FrozenTrial, objective: int) -> Shown:
    value = trial.values[objective] if trial.state == TrialState.COMPLETE else None
    if value is not None and not math.isfinite(value):
        return Shown(trial, row_of(trial), None, "not finite")
    return Shown(trial, row_of(trial), value, kind_of_stop(trial) or "finished")
