"""A study as a table: every trial with its peak rate, its cost, and why it ended."""

from __future__ import annotations

from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from lrsearch.integrations.optuna import (
    COST_KEY,
    ERROR_KEY,
    cost_of,
    plan_of,
    readings_of,
    verdict_of,
)
from lrsearch.schedules import get_family
from lrsearch.search import Plan
from lrsearch.sweeps._attempts import restarts
from lrsearch.sweeps._masked import masked
from lrsearch.sweeps._trial import full_runs

COLUMNS = [
    "trial",
    "state",
    "metric",
    "family",
    "shape",
    "multiplier",
    "alignment",
    "edge",
    "peak",
    "steps",
    "cost",
    "reason",
]


def leaderboard(study: optuna.Study) -> pd.DataFrame:
    """All trials that have begun, best first, then stopped, running and failed ones.

    Columns: trial, state, metric, family, shape, multiplier, alignment, edge and peak (learning
    rates), steps done, cost (full-run equivalents), reason (why it ended).
    """
    trials = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
    table = pd.DataFrame([row_of(t) for t in trials], columns=COLUMNS)
    maximize = len(study.directions) == 1 and study.direction.name == "MAXIMIZE"
    order = {"complete": 0, "pruned": 1, "running": 2, "fail": 3}
    keys = table["metric"].astype(float) * (-1.0 if maximize else 1.0)
    table = table.assign(_state=table["state"].map(order), _key=keys)
    table = table.sort_values(["_state", "_key", "trial"], na_position="last", ignore_index=True)
    return table[COLUMNS]


def total_cost(study: optuna.Study) -> float:
    """Full-run equivalents of all trials; the edge and retrainings not included."""
    return float(leaderboard(study)["cost"].sum())


def row_of(trial: FrozenTrial) -> dict[str, Any]:
    """One trial as a row: values by column name."""
    plan = plan_of(trial.user_attrs)
    verdict = verdict_of(trial.user_attrs)
    cost = trial.user_attrs.get(COST_KEY) or _cost_seen(trial, plan)
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "metric": trial.values[0] if trial.values else None,
        "reason": "",
        "cost": 0.0,
        "steps": 0,
    }
    if plan is not None:
        row |= {
            "family": plan.family,
            "shape": " ".join(f"{n}={_short(v)}" for n, v in plan.parameters.items()),
            "multiplier": plan.multiplier,
            "alignment": plan.alignment,
            "edge": plan.edge,
            "peak": plan.peak,
            "cost": full_runs(cost, plan.budget),
        }
    if cost:
        row["steps"] = int(cost["steps"])
    if trial.state == TrialState.COMPLETE:
        row["reason"] = "finished"
    elif trial.state == TrialState.PRUNED:
        row["reason"] = verdict.reason if verdict else "stopped by the study's pruner"
    elif trial.state == TrialState.FAIL:
        error = str(trial.user_attrs.get(ERROR_KEY, "failed without a stored reason"))
        row["reason"] = masked(error)  # an error may name the storage that it came from
    else:
        readings = readings_of(trial.user_attrs)
        row["steps"] = readings[-1].step if readings else 0
        row["reason"] = f"running, or interrupted; last reading at step {row['steps']}"
    again = restarts(trial.user_attrs)
    if again and trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        row["reason"] += f" (after {again} restart{'s' if again > 1 else ''})"
    return row


def _cost_seen(trial: FrozenTrial, plan: Plan | None) -> dict[str, float] | None:
    """Cost of a trial of a user's own loop, as far as its readings tell."""
    readings = readings_of(trial.user_attrs)
    if plan is None or not readings:
        return None
    done = plan.budget if trial.state == TrialState.COMPLETE else readings[-1].step
    tuner = done * (get_family(plan.family).gradients - 1.0)
    return cost_of(done, readings[-1].cost, tuner)


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
