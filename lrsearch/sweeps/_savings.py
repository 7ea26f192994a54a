"""What stopping saved: the trials that did not finish, by what ended them."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from lrsearch.integrations.optuna import plan_of, verdict_of
from lrsearch.schedules import get_family
from lrsearch.sweeps._leaderboard import row_of

# What a verdict is called here, where it is not its regime.
KINDS = {"below the edge": "far below the edge", "host": "the study's pruner"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What one kind of stop did in a study.

    Attributes:
        kind: "diverged", "dead", "far below the edge", "behind", "the study's pruner", ...
        trials: Trials that it ended.
        spent: What they cost, in full runs.
        saved: What the rest of them would have cost to train, in full runs; watching not counted.
    """

    kind: str
    trials: int
    spent: float
    saved: float


def kind_of_stop(trial: FrozenTrial) -> str | None:
    """What ended a trial before its end, or that it runs or failed; ``None`` if it finished."""
    if trial.state == TrialState.COMPLETE:
        return None
    if trial.state == TrialState.PRUNED:
        verdict = verdict_of(trial.user_attrs)
        regime = "host" if verdict is None else verdict.regime
        return KINDS.get(regime, regime)
    return "failed" if trial.state == TrialState.FAIL else "running"


def savings(study: optuna.Study) -> list[Saving]:
    """What each kind of stop saved, the most first; stops before the first reading count as well.

    A stopped trial saves the steps that it did not do, at what a step of its family costs.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)):
        plan = plan_of(trial.user_attrs)
        if plan is None:
            continue
        row, kind = row_of(trial), kind_of_stop(trial)
        left = max(0.0, 1.0 - row["steps"] / plan.budget)
        saved = left * get_family(plan.family).gradients
        found.setdefault(str(kind), []).append((row["cost"], saved))
    told = [
        Saving(
            kind=kind,
            trials=len(each),
            spent=sum(spent for spent, _ in each),
            saved=sum(saved for _, saved in each),
        )
        for kind, each in found.items()
    ]
    return sorted(told, key=lambda saving: (-saving.saved, saving.kind))
