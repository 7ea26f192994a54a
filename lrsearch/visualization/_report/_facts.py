"""What a report tells of a study, read once; no markup here."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from lrsearch.exceptions import LrsearchError, UnsupportedError
from lrsearch.integrations.optuna import (
    SPACE_KEY,
    best_schedule,
    plan_of,
    recommended,
    stored_edges,
    study_outlook,
    study_standings,
)
from lrsearch.schedules import Schedule
from lrsearch.search import Outlook, ScheduleSpace, Standing, space_of
from lrsearch.stability import Edge
from lrsearch.sweeps import Confirmation, Costs, costs, leaderboard, recorded_confirmation, story


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A study as its report tells it.

    Attributes:
        study: The study.
        metric: Name of its metric.
        task: Name of its task; ``None`` where it is a user's own loop.
        rows: The leaderboard, best first.
        stories: `lrsearch.sweeps.story` of every trial in it.
        trials: The trials by number.
        winner: The trial that is recommended; ``None`` where there is no single best one.
        lowest: The trial of the best metric seen.
        schedule: The winner's schedule.
        trouble: Why there is no schedule.
        outlook: What may still be gained.
        standings: How far the families are behind.
        confirmation: What retraining the winner has shown.
        costs: What it has cost.
        edges: The edges that were measured.
        space: What was searched.
        storage: Where the study lives, as it may be shown.
    """

    study: optuna.Study
    metric: str
    task: str | None
    rows: list[dict[str, Any]]
    stories: dict[int, dict[str, Any]]
    trials: dict[int, FrozenTrial]
    winner: FrozenTrial | None
    lowest: FrozenTrial | None
    schedule: Schedule | None
    trouble: str
    outlook: Outlook | None
    standings: list[Standing]
    confirmation: Confirmation | None
    costs: Costs
    edges: list[Edge]
    space: ScheduleSpace | None
    storage: str | None

    @property
    def several(self) -> bool:
        """Whether there are several objectives."""
        return len(self.study.directions) > 1

    @property
    def maximize(self) -> bool:
        """Whether a larger metric is better."""
        return not self.several and self.study.direction.name == "MAXIMIZE"

    @property
    def finished(self) -> list[dict[str, Any]]:
        """Rows of the trials that ended with a metric, best first."""
        return [row for row in self.rows if row["state"] == "complete"]

    @property
    def ours(self) -> bool:
        """Whether any trial has a schedule of lrsearch."""
        return any(row["family"] is not None for row in self.rows)

    @property
    def best_row(self) -> dict[str, Any] | None:
        """The winner's row."""
        if self.winner is None:
            return None
        return self.stories[self.winner.number]["row"]  # type: ignore[no-any-return]

    @property
    def period(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """When the first trial began, and when the last one ended."""
        begun = [t.datetime_start for t in self.trials.values() if t.datetime_start]
        ended = [t.datetime_complete for t in self.trials.values() if t.datetime_complete]
        return min(begun, default=None), max(ended, default=None)

    def over(self, value: float) -> float | None:
        """By what share a metric is worse than the winner's; ``None`` where that says nothing."""
        own = float(self.winner.values[0]) if self.winner is not None else 0.0
        if not own:
            return None
        return (own - value if self.maximize else value - own) / abs(own)


def facts_of(study: optuna.Study, storage: str | None = None) -> Facts:
    """Read what there is to tell.

    Args:
        study: Any study, also one without a trial of ours.
        storage: Where it lives, as it may be shown.
    """
    rows: list[dict[str, Any]] = [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in leaderboard(study).astype(object).to_dict("records")
    ]
    trials = {t.number: t for t in study.get_trials(deepcopy=False)}
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    single = len(study.directions) == 1 and bool(done)
    winner = recommended(study) if single else None
    schedule, trouble = _schedule(study)
    task = study.user_attrs.get("lrsearch:task") or {}
    space = study.user_attrs.get(SPACE_KEY)
    return Facts(
        study=study,
        metric=str(task.get("metric", "value")),
        task=task.get("name"),
        rows=rows,
        stories={int(row["trial"]): story(study, int(row["trial"])) for row in rows},
        trials=trials,
        winner=winner,
        lowest=study.best_trial if single else None,
        schedule=schedule,
        trouble=trouble,
        outlook=_foretold(study) if single else None,
        standings=_standings(study) if single else [],
        confirmation=_confirmation(study, schedule),
        costs=costs(study),
        edges=[edge for _, _, edge in stored_edges(study)],
        space=None if space is None else space_of(space),
        storage=storage,
    )


def _schedule(study: optuna.Study) -> tuple[Schedule | None, str]:
    try:
        return best_schedule(study), ""
    except LrsearchError as error:
        return None, str(error)


def _foretold(study: optuna.Study) -> Outlook | None:
    try:
        return study_outlook(study)
    except UnsupportedError:  # not begun under our sampler: nothing is foretold
        return None


def _standings(study: optuna.Study) -> list[Standing]:
    try:
        return study_standings(study)
    except UnsupportedError:
        return []


def _confirmation(study: optuna.Study, schedule: Schedule | None) -> Confirmation | None:
    return None if schedule is None else recorded_confirmation(study, schedule)


def budget_of(facts: Facts) -> int | None:
    """Optimizer steps of a run, where all trials agree."""
    plans = [plan_of(t.user_attrs) for t in facts.trials.values()]
    known = {plan.budget for plan in plans if plan is not None}
    return known.pop() if len(known) == 1 else None
