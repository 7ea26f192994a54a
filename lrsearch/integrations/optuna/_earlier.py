"""Earlier studies as what they tell a new one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lrsearch.exceptions import StudyMismatchError
from lrsearch.integrations.optuna._attributes import plan_of
from lrsearch.search import FinishedRun


@dataclass(frozen=True)
class RawStudy:
    """An earlier study that searched absolute learning rates.

    Attributes:
        study: The study.
        edge: Edge learning rate of its model (`lrsearch.edge`, `lrsearch edge`), for its rates to
            have the unit of this study's.
        rate: Name of its parameter that is the peak learning rate.
        family: Schedule family of its runs.
        parameters: Its shape parameters.
        warmup: Share of the budget that its runs warmed up for.
    """

    study: optuna.Study
    edge: float
    rate: str = "lr"
    family: str = "linear"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    warmup: float = 0.0


def runs_of(prior: optuna.Study | RawStudy) -> list[FinishedRun]:
    """Finished runs of an earlier study, in units of its own edge.

    Raises:
        StudyMismatchError: If none of its trials tells one.
    """
    study = prior.study if isinstance(prior, RawStudy) else prior
    signs = [-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions]
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        values = tuple(s * v for s, v in zip(signs, trial.values, strict=True))
        run = _raw(prior, trial, values) if isinstance(prior, RawStudy) else _ours(trial, values)
        if run is not None:
            found.append(run)
    if not found:
        raise StudyMismatchError(
            f"study {study.study_name!r} has no finished trial with a schedule of lrsearch: give a "
            "study whose trials used ScheduleSpace.suggest, or lrsearch.RawStudy(study, edge=..., "
            "rate='lr') for one of absolute learning rates."
        )
    return found


def _ours(trial: FrozenTrial, values: tuple[float, ...]) -> FinishedRun | None:
    plan = plan_of(trial.user_attrs)
    return None if plan is None else FinishedRun.of_plan(plan, values)


def _raw(prior: RawStudy, trial: FrozenTrial, values: tuple[float, ...]) -> FinishedRun | None:
    rate = trial.params.get(prior.rate)
    if not isinstance(rate, float | int) or not (0 < rate < math.inf):
        return None
    return FinishedRun.at_rate(
        rate,
        prior.edge,
        values,
        family=prior.family,
        parameters=prior.parameters,
        warmup=prior.warmup,
    )
