"""What lrsearch stores in Optuna's studies and trials, and how it is read back."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from heapq import nsmallest
from typing import Any

from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lrsearch.exceptions import DocumentError
from lrsearch.search import PLAN_KEY, Plan, TrialRecord
from lrsearch.stability import Reading, Verdict, looks_in

READING_PREFIX = "lrsearch:reading:"
VERDICT_KEY = "lrsearch:verdict"
SPACE_KEY = "lrsearch:space"
ERROR_KEY = "lrsearch:error"
SEED_KEY = "lrsearch:seed"
COST_KEY = "lrsearch:cost"
ATTEMPTS_KEY = "lrsearch:attempts"
TUNE_KEY = "lrsearch:ray"  # which trial of Ray Tune it is
EDGE_PREFIX = "lrsearch:edge:"
PEERS = 20  # finished trials that others are compared with

logger = logging.getLogger("lrsearch")

_STATES: Mapping[TrialState, Any] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.RUNNING: "running",
}


def reading_key(step: int) -> str:
    """Attribute name of the reading at a step; sorts by step."""
    return f"{READING_PREFIX}{step:010d}"


def cost_of(
    steps: float, watch: float, tuner: float = 0.0, result: float = 0.0
) -> dict[str, float]:
    """What a trial has cost, as it is stored, in gradients.

    Args:
        steps: One for each step.
        watch: For watching.
        tuner: What a tuner's steps cost beyond that.
        result: What came after the last step.
    """
    further = {"tuner": float(tuner), "result": float(result)}
    return {
        "steps": float(steps),
        "watch": float(watch),
        **{name: cost for name, cost in further.items() if cost},
    }


def readings_of(attributes: Mapping[str, Any]) -> list[Reading]:
    """All readings among a trial's attributes, by step; one that cannot be read is left out."""
    found = []
    for key in sorted(k for k in attributes if k.startswith(READING_PREFIX)):
        try:
            found.append(Reading.from_dict(attributes[key]))
        except DocumentError as error:
            logger.warning("reading %s left out: %s", key, error)
    return found


def plan_of(attributes: Mapping[str, Any]) -> Plan | None:
    """The plan among a trial's attributes, if it has one."""
    plain = attributes.get(PLAN_KEY)
    return None if plain is None else Plan.from_dict(plain)


def verdict_of(attributes: Mapping[str, Any]) -> Verdict | None:
    """The verdict among a trial's attributes, if it was stopped by one."""
    plain = attributes.get(VERDICT_KEY)
    return None if plain is None else Verdict.from_dict(plain)


def records_of(
    trials: Iterable[FrozenTrial], directions: Iterable[StudyDirection], names: Iterable[str]
) -> list[TrialRecord]:
    """Trials as the engine sees them: parameters by these names, objectives to be minimised."""
    signs = [-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in directions]
    wanted = set(names)
    return [
        TrialRecord(
            number=trial.number,
            state=_STATES[trial.state],
            parameters={n: v for n, v in trial.params.items() if n in wanted},
            values=tuple(s * v for s, v in zip(signs, trial.values, strict=True))
            if trial.state == TrialState.COMPLETE
            else (),
            side=verdict.side if verdict and trial.state == TrialState.PRUNED else None,
            lag=_lag_of(verdict),
        )
        for trial in trials
        if trial.state in _STATES
        for verdict in [verdict_of(trial.user_attrs)]
    ]


def peers_of(study: Study) -> list[TrialRecord]:
    """The best finished trials that were looked at, and those stopped as behind since the last.

    Several objectives have no best ones.
    """
    if len(study.directions) > 1:
        return []
    sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    done = [t for t in ended if t.state == TrialState.COMPLETE and math.isfinite(t.values[0])]
    found = []
    for trial in nsmallest(PEERS, done, key=lambda t: sign * t.values[0]):
        if looks := looks_in(readings_of(trial.user_attrs)):
            value = (sign * trial.values[0],)
            found.append(
                TrialRecord(number=trial.number, state="complete", values=value, looks=looks)
            )
    if not found:
        return []
    last = max(_ended_at(t) for t in done)
    since = [t for t in ended if t.state == TrialState.PRUNED and _ended_at(t) > last]
    behind = [t for t in since if _lag_of(verdict_of(t.user_attrs)) is not None]
    return found + [TrialRecord(number=t.number, state="stopped") for t in behind]


def _ended_at(trial: FrozenTrial) -> float:
    return trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0


def _lag_of(verdict: Verdict | None) -> tuple[float, float] | None:
    """What was expected of a run that was stopped for being behind."""
    if verdict is None or verdict.regime != "behind":
        return None
    return verdict.trend["lag"], verdict.trend["deviation"]
