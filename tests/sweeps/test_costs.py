"""What a study cost, and what it would have cost without stops."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from lrsearch.integrations.optuna import COST_KEY, VERDICT_KEY, edge_key
from lrsearch.search import PLAN_KEY, ScheduleSpace
from lrsearch.stability import Edge, Verdict
from lrsearch.sweeps import costs

SPACE = ScheduleSpace(100, families=("linear",))


def begin(study: optuna.Study, steps: float) -> optuna.Trial:
    trial = study.ask()
    values = {"schedule_family": "linear", "edge_multiplier": 1.0}
    trial.set_user_attr(PLAN_KEY, SPACE.plan(values, 0.1).to_dict())
    trial.set_user_attr(COST_KEY, {"steps": steps, "watch": 2.0})
    return trial


def test_everything_is_counted_once() -> None:
    study = optuna.create_study()
    edge = Edge(learning_rate=0.1, uncertainty=1.0, method="measured", optimizer="SGD", cost=50.0)
    study.set_user_attr(edge_key("t", ""), edge.to_dict())
    study.set_user_attr("lrsearch:confirmation:0:123", 0.5)
    study.set_user_attr("lrsearch:confirmation:0:124", None)
    study.tell(begin(study, 100.0), 0.5)
    for steps in (10, 30):
        trial = begin(study, steps)
        verdict = Verdict(stop=True, regime="diverged", step=steps, reason="diverged")
        trial.set_user_attr(VERDICT_KEY, verdict.to_dict())
        study.tell(trial, state=TrialState.PRUNED)
    study.tell(begin(study, 20.0), state=TrialState.FAIL)
    found = costs(study)
    assert found.trials == pytest.approx(1.02 + 0.12 + 0.32 + 0.22)
    assert found.edge == 0.5
    assert found.confirmation == 2
    assert found.total == pytest.approx(found.trials + 2.5)
    (stops,) = found.stops
    assert (stops.kind, stops.trials) == ("diverged", 2)
    assert found.saved == pytest.approx(0.9 + 0.7)  # a failed trial was not stopped
    assert found.without_stops == pytest.approx(found.total + 1.6)


def test_a_study_of_others_cost_nothing_that_is_known() -> None:
    assert costs(optuna.create_study()).total == 0.0
