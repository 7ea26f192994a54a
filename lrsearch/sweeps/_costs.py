"""What a sweep has cost, and what it would have cost had nothing been stopped."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from lrsearch.integrations.optuna import EDGE_PREFIX, SPACE_KEY, plan_of, stored_edge, verdict_of
from lrsearch.schedules import get_family
from lrsearch.sweeps._confirm import confirmations
from lrsearch.sweeps._leaderboard import row_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Stops:
    """All trials that were stopped for one reason, in full-run equivalents.

    Attributes:
        kind: The regime of their verdicts; "host" where the study's own pruner stopped them.
        trials: How many.
        spent: What they have cost.
        saved: What the steps that they did not do would have cost; watching them is not counted.
    """

    kind: str
    trials: int
    spent: float
    saved: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a study has cost, in full-run equivalents.

    Attributes:
        trials: All trials, watching included.
        edge: Measuring the edges.
        confirmation: Retraining winners with fresh seeds.
        stops: What was stopped, by kind, the largest saving first.
    """

    trials: float
    edge: float
    confirmation: float
    stops: tuple[Stops, ...]

    @property
    def total(self) -> float:
        """Everything spent."""
        return self.trials + self.edge + self.confirmation

    @property
    def saved(self) -> float:
        """What the stops have saved."""
        return sum(stops.saved for stops in self.stops)

    @property
    def without_stops(self) -> float:
        """The same sweep with every stopped trial trained to its end."""
        return self.total + self.saved


def costs(study: optuna.Study) -> Costs:
    """What a study has cost so far, and what its stops have saved."""
    spent, budget = 0.0, (study.user_attrs.get(SPACE_KEY) or {}).get("budget")
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for trial in study.get_trials(deepcopy=False):
        row, plan = row_of(trial), plan_of(trial.user_attrs)
        spent += row["cost"]
        budget = plan.budget if budget is None and plan is not None else budget
        if trial.state == TrialState.PRUNED:
            verdict = verdict_of(trial.user_attrs)
            left = 0.0
            if plan is not None:
                share = max(0.0, 1.0 - row["steps"] / plan.budget)
                left = share * get_family(plan.family).gradients
            found["host" if verdict is None else verdict.regime].append((row["cost"], left))
    edges = [stored_edge(study, name) for name in study.user_attrs if name.startswith(EDGE_PREFIX)]
    gradients = sum(edge.cost for edge in edges if edge is not None)
    stops = [
        Stops(
            kind=kind,
            trials=len(pairs),
            spent=sum(cost for cost, _ in pairs),
            saved=sum(left for _, left in pairs),
        )
        for kind, pairs in found.items()
    ]
    return Costs(
        trials=spent,
        edge=gradients / budget if budget else 0.0,
        confirmation=float(confirmations(study)),
        stops=tuple(sorted(stops, key=lambda s: -s.saved)),
    )
