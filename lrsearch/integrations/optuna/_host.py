"""An Optuna trial as the watch's host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna

from lrsearch.integrations.optuna._attributes import VERDICT_KEY, plan_of, reading_key
from lrsearch.integrations.optuna._pruner import StabilityPruner, reported_finite
from lrsearch.schedules import get_family
from lrsearch.search import decide
from lrsearch.stability import CONTINUE, Reading, Verdict, diverged


class OptunaHost:
    """Keeps readings in a trial's attributes and stops it with ``TrialPruned`` and a reason.

    The trial's reported values are the user's: nothing is ever reported here. Who decides:

    - study with a `StabilityPruner`: its rules, then its wrapped pruner
    - multi-objective study (where Optuna refuses to prune): the same rules, by the watch itself
    - study with any other pruner: only a run that is no longer finite is stopped, so that NaN never
      reaches the study; all else is left to that pruner
    - a trial without a study (`optuna.trial.FixedTrial`): nothing is stopped
    """

    def __init__(self, trial: Any) -> None:
        self.trial = trial
        self.study: optuna.Study | None = getattr(trial, "study", None)
        self.plan = plan_of(trial.user_attrs)

    @property
    def budget(self) -> int | None:
        """Budget of the trial's schedule."""
        return self.plan.budget if self.plan else None

    @property
    def peak(self) -> float | None:
        """Peak learning rate of the trial's schedule."""
        return self.plan.peak if self.plan else None

    @property
    def tuned(self) -> bool:
        """Whether a tuner sets the trial's learning rate, and its peak is nominal."""
        return self.plan is not None and get_family(self.plan.family).tuned

    def emit(self, reading: Reading) -> None:
        """Store a reading as one attribute of the trial."""
        self.trial.set_user_attr(reading_key(reading.step), reading.to_dict())

    def decide(self, readings: Sequence[Reading]) -> Verdict:
        """Ask whoever decides in this study."""
        if self.study is None:
            return CONTINUE
        if len(self.study.directions) > 1:
            return decide(readings, plan=self.plan)
        pruner = self.study.pruner
        if not isinstance(pruner, StabilityPruner):
            finite = not readings or readings[-1].finite
            return CONTINUE if finite else diverged(readings) or CONTINUE
        verdict = pruner.judge(readings, self.plan, self.study)
        if verdict.stop:
            return verdict
        # Not trial.should_prune(): it would judge by all readings in the storage, among them those
        # of an attempt that died further on than this one has come.
        frozen = self.study._storage.get_trial(self.trial._trial_id)
        step = readings[-1].step
        if not reported_finite(frozen):
            reason = f"the value reported last is not finite (seen at step {step})"
        elif pruner.wrapped is not None and pruner.wrapped.prune(self.study, frozen):
            reason = f"stopped by {type(pruner.wrapped).__name__} at step {step}"
        else:
            return verdict
        return Verdict(stop=True, regime="host", step=step, reason=reason)

    def stop(self, verdict: Verdict) -> None:
        """Store the verdict, then end the trial.

        Raises:
            optuna.TrialPruned: Always.
        """
        self.trial.set_user_attr(VERDICT_KEY, verdict.to_dict())
        raise optuna.TrialPruned(verdict.reason)
