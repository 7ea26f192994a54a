"""Retrain a study's best schedule with fresh seeds: what it is worth without the winner's luck."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, stdev

import optuna
from scipy.stats import t as student

from lrsearch.exceptions import StudyMismatchError
from lrsearch.schedules import Schedule
from lrsearch.search import confirmation_seed
from lrsearch.sweeps._prepare import SEED_KEY
from lrsearch.training import Task, train

CONFIRM_PREFIX = "lrsearch:confirmation:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The winner's metric in the sweep, and of retrainings with fresh seeds.

    Attributes:
        trial: The winning trial.
        metric: Its metric in the sweep.
        values: The metric of every retraining; NaN where it diverged.
        tuner: What set the rate in the sweep, where the schedule is what it did.
    """

    trial: int
    metric: float
    values: tuple[float, ...]
    tuner: str | None = None

    @property
    def diverged(self) -> int:
        """Number of retrainings without a finite metric."""
        return sum(not math.isfinite(v) for v in self.values)

    @property
    def mean(self) -> float:
        """Mean of the retrainings."""
        return mean(self.values)

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds (n - 1)."""
        return stdev(self.values) if len(self.values) > 1 and not self.diverged else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Where one more run is expected with 95 %, from the retrainings alone.

        Student's t; on the logarithm where all values are positive, as losses are. NaN where a
        retraining diverged.
        """
        n = len(self.values)
        if self.diverged:
            return math.nan, math.nan
        if n < 2:
            return -math.inf, math.inf
        log = min(self.values) > 0
        seen = [math.log(v) for v in self.values] if log else list(self.values)
        half = float(student.ppf(0.975, n - 1)) * stdev(seen) * math.sqrt(1 + 1 / n)
        low, high = mean(seen) - half, mean(seen) + half
        return (math.exp(low), math.exp(high)) if log else (low, high)

    @property
    def reproduced(self) -> bool:
        """Whether the metric of the sweep lies in that interval."""
        low, high = self.interval
        return low <= self.metric <= high

    def sentence(self, metric: str) -> str:
        """The outcome in one sentence."""
        low, high = self.interval
        if self.diverged:
            return (
                f"winner (trial {self.trial}): {metric} {self.metric:.4g} in the sweep; "
                f"NOT reproduced: {self.diverged} of {len(self.values)} retrainings with fresh "
                "seeds diverged"
            )
        retrained = (
            f"winner (trial {self.trial}): {metric} {self.metric:.4g} in the sweep; retrained with "
            f"{len(self.values)} fresh seeds {self.mean:.4g}"
        )
        if self.tuner is not None:
            spread = "" if len(self.values) < 2 else f" +- {self.deviation:.2g}"
            return f"{retrained}{spread}, by what {self.tuner} did and without it"
        if len(self.values) < 2:
            return f"{retrained} (one seed tells nothing of the noise)"
        return (
            f"{retrained} +- {self.deviation:.2g}: "
            f"{'within' if self.reproduced else 'OUTSIDE'} seed noise "
            f"(95 % of single runs expected in {low:.3g} to {high:.3g})"
        )


def confirm(
    study: optuna.Study,
    task: Task,
    schedule: Schedule,
    *,
    seeds: int = 3,
    note: Callable[[str], None] = lambda line: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Confirmation:
    """Retrain the winner's exported schedule with seeds that no trial has used.

    What has been retrained is remembered in the study.

    Raises:
        StudyMismatchError: If the schedule does not say which trial it comes from.
        KeyboardInterrupt: If ``interrupted`` said so; retrainings done are kept.

    Cost: ``seeds`` full runs, none that has been done before.
    """
    trial = _trial_of(schedule)
    for turn in range(seeds):
        seed = confirmation_seed(int(study.user_attrs.get(SEED_KEY, 0)), trial, turn)
        name = f"{CONFIRM_PREFIX}{trial}:{seed}"
        if name not in study.user_attrs:
            found = train(task, schedule, seed=seed, share=None, interrupted=interrupted).metric
            study.set_user_attr(name, found if math.isfinite(found) else None)
            note(f"retrained with seed {seed}: {task.metric} {found:.4g}")
    return _recorded(study, schedule, trial, seeds)


def recorded_confirmation(study: optuna.Study, schedule: Schedule) -> Confirmation | None:
    """What retraining a study's schedule has shown so far; ``None`` where nobody has.

    Raises:
        StudyMismatchError: If the schedule does not say which trial it comes from.
    """
    trial = _trial_of(schedule)
    prefix = f"{CONFIRM_PREFIX}{trial}:"
    seeds = sum(name.startswith(prefix) for name in study.user_attrs)
    return _recorded(study, schedule, trial, seeds) if seeds else None


def confirmations(study: optuna.Study) -> int:
    """How many retrainings a study has paid for, of whichever trial."""
    return sum(name.startswith(CONFIRM_PREFIX) for name in study.user_attrs)


def _trial_of(schedule: Schedule) -> int:
    try:
        return int(schedule.provenance["trial"])  # type: ignore[arg-type]
    except (KeyError, TypeError) as error:
        raise StudyMismatchError(
            "the schedule does not say which trial it comes from: use best_schedule(study)."
        ) from error


def _recorded(study: optuna.Study, schedule: Schedule, trial: int, seeds: int) -> Confirmation:
    tuner = schedule.provenance.get("tuner")
    metric = float(schedule.provenance["tuner_metric" if tuner else "metric"])  # type: ignore[arg-type]
    own = int(study.user_attrs.get(SEED_KEY, 0))
    names = [
        f"{CONFIRM_PREFIX}{trial}:{confirmation_seed(own, trial, turn)}" for turn in range(seeds)
    ]
    known = [study.user_attrs[name] for name in names]
    values = tuple(math.nan if value is None else float(value) for value in known)
    by = None if tuner is None else str(tuner)
    return Confirmation(trial=trial, metric=metric, values=values, tuner=by)
