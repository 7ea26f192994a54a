"""What a sweep has cost, and what it would have cost had nothing been stopped."""

from __future__ import annotations

from dataclasses import dataclass

import optuna

from lrsearch.integrations.optuna import SPACE_KEY, plan_of, stored_edges
from lrsearch.sweeps._confirm import confirmations
from lrsearch.sweeps._leaderboard import row_of
from lrsearch.sweeps._savings import Saving, savings


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
    stops: tuple[Saving, ...]

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
    for trial in study.get_trials(deepcopy=False):
        plan = plan_of(trial.user_attrs)
        budget = plan.budget if budget is None and plan is not None else budget
        spent += row_of(trial)["cost"]
    gradients = sum(edge.cost for _, _, edge in stored_edges(study))
    return Costs(
        trials=spent,
        edge=gradients / budget if budget else 0.0,
        confirmation=float(confirmations(study)),
        stops=tuple(savings(study)),
    )
