"""The schedule of a Tune result, without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("ray")

from ray.tune.result_grid import Result

from lrsearch.exceptions import StudyMismatchError
from lrsearch.integrations.ray import best_schedule
from lrsearch.integrations.ray._record import RECORD_KEY
from lrsearch.search import FAMILY, MULTIPLIER, PLAN_KEY, ScheduleSpace

SPACE = ScheduleSpace(100, families=("linear", "clara", "cdat"))


def result_of(family: str) -> Result:
    plan = SPACE.plan({FAMILY: family, MULTIPLIER: 1.0}, 0.2)
    metrics: dict[str, Any] = {RECORD_KEY: [(PLAN_KEY, plan.to_dict())], "trial_id": "x"}
    return Result(metrics=metrics, checkpoint=None, error=None, path="/nowhere")


def test_the_plan_of_a_result_is_its_schedule() -> None:
    schedule = best_schedule(result_of("linear"))
    assert (schedule.family, schedule.budget) == ("linear", 100)
    assert schedule.provenance["trial"] == "x"


@pytest.mark.parametrize("family", ["clara", "cdat"])
def test_what_a_tuner_did_is_in_the_searchers_study(family: str) -> None:
    with pytest.raises(StudyMismatchError, match=rf"'{family}' .*searcher\.study"):
        best_schedule(result_of(family))
