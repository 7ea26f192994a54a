"""How a Tune trial ended, as a study says it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState

from lrsearch.integrations.optuna._attributes import ERROR_KEY, plan_of, readings_of, verdict_of
from lrsearch.integrations.ray._record import step_of
from lrsearch.stability import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """State, value, and why.

    Attributes:
        state: Complete, pruned or failed.
        value: The metric of a complete trial.
        verdict: Why a pruned one was stopped.
        failure: Why a failed one failed.
    """

    state: TrialState
    value: float | None = None
    verdict: Verdict | None = None
    failure: str | None = None


def outcome_of(
    result: Mapping[str, Any] | None,
    attributes: Mapping[str, Any],
    *,
    metric: str,
    error: bool,
    by_itself: bool,
    verdict: Verdict | None = None,
    failure: str | None = None,
) -> Outcome:
    """Judge the end of a trial.

    Args:
        result: Its last result.
        attributes: What the study has recorded of it.
        metric: Name of the metric.
        error: Whether Tune calls it failed.
        by_itself: Whether the training function came to its end.
        verdict: Our trial scheduler's, if it stopped the trial.
        failure: What our trial scheduler knows of a failure.
    """
    stated = attributes.get(ERROR_KEY)
    if error or stated is not None:
        reason = stated or failure or "failed in Ray; Tune's error.txt of this trial tells why"
        return Outcome(state=TrialState.FAIL, failure=reason)
    # Tune gives no result at all where a trial scheduler stops a trial that is paused.
    if verdict is None and result is not None and "training_iteration" not in result:
        reason = f"ended without a result: report {metric!r} with trial.report"
        return Outcome(state=TrialState.FAIL, failure=reason)
    verdict = verdict or verdict_of(attributes)
    step = _last_step(result, attributes)
    if verdict is not None:
        return Outcome(state=TrialState.PRUNED, verdict=verdict)
    plan = plan_of(attributes)
    whole = by_itself or (plan is not None and step >= plan.budget)
    if not whole:
        return _pruned("host", step, f"stopped by Tune's trial scheduler at step {step}")
    value = (result or {}).get(metric)
    if value is None or not math.isfinite(value):
        return _pruned("diverged", step, f"diverged: {metric} is not finite, or was not reported")
    return Outcome(state=TrialState.COMPLETE, value=float(value))


def by_itself(result: Mapping[str, Any] | None, seen: Any) -> bool:
    """Whether a trial's function came to its end; ``seen`` is the last iteration told as a result.

    Tune tells of the last result twice then, and marks it as done; of one on which it stops a trial
    it tells once, and of one after which somebody stops it later it does not say that it is done.
    """
    if result is None or seen is None or not result.get("done"):
        return False
    return bool(seen == result.get("training_iteration"))


def _last_step(result: Mapping[str, Any] | None, attributes: Mapping[str, Any]) -> int:
    step = step_of(result)
    if step is not None:
        return step
    readings = readings_of(attributes)
    return readings[-1].step if readings else 0


def _pruned(regime: Any, step: int, reason: str) -> Outcome:
    side = "hot" if regime == "diverged" else None
    verdict = Verdict(stop=True, regime=regime, side=side, step=step, reason=reason)  # type: ignore[arg-type]
    return Outcome(state=TrialState.PRUNED, verdict=verdict)
