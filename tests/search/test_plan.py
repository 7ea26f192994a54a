"""A plan: exact through JSON, and the schedule that it stands for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.exceptions import DocumentError
from lrsearch.search import Plan

finite = st.floats(allow_nan=False, allow_infinity=False)
PLAN = Plan(
    family="wsd",
    multiplier=2.0,
    alignment=0.79,
    edge=0.1,
    edge_method="given",
    peak=2.0 * 0.79 * 0.1,
    budget=100,
    warmup_steps=5,
    parameters={"cooldown": 0.3, "cooldown_shape": "linear"},
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.builds(
        Plan,
        family=st.text(),
        multiplier=finite,
        alignment=finite,
        edge=finite,
        edge_method=st.text(),
        peak=finite,
        budget=st.integers(1, 10**9),
        warmup_steps=st.integers(0, 10**9),
        parameters=st.dictionaries(st.text(), finite | st.text(), max_size=3),
    )
)
def test_round_trip_is_exact(plan: Plan) -> None:
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict(), allow_nan=False))) == plan


@pytest.mark.parametrize("version", [2, 99, None, "1"])
def test_another_version_is_refused(version: object) -> None:
    plain = PLAN.to_dict() | {"version": version}
    with pytest.raises(DocumentError, match=rf"a plan of version {version!r}.*upgrade lrsearch"):
        Plan.from_dict(plain)


def test_what_is_no_plan_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"not a plan: .*mood"):
        Plan.from_dict(PLAN.to_dict() | {"mood": 1})
    with pytest.raises(DocumentError, match=r"not a plan: .*missing"):
        Plan.from_dict({"version": 1})


def test_the_schedule_of_a_plan() -> None:
    schedule = PLAN.schedule(study="mine", trial=3)
    assert (schedule.family, schedule.peak, schedule.budget) == ("wsd", PLAN.peak, 100)
    assert schedule.warmup_steps == 5
    assert dict(schedule.parameters) == {**PLAN.parameters, "cooldown_ratio": 0.1}
    assert dict(schedule.provenance) == {
        "edge": 0.1,
        "edge_method": "given",
        "multiplier": 2.0,
        "alignment": 0.79,
        "peak": PLAN.peak,
        "study": "mine",
        "trial": 3,
    }
