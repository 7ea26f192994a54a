"""Sorting a study once gives what sorting it anew gives."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.search import FAMILY, MULTIPLIER, TrialRecord
from lrsearch.search._kinds import Kinds

PLACE = {FAMILY: "linear", MULTIPLIER: 1.0}


@st.composite
def studies(draw: st.DrawFn) -> list[list[TrialRecord]]:
    """A study as it is seen again and again: trials begin, and end in any order."""
    running: dict[int, TrialRecord] = {}
    ended: dict[int, TrialRecord] = {}
    seen = []
    for number in range(draw(st.integers(1, 20))):
        place = PLACE if draw(st.booleans()) else {}
        running[number] = TrialRecord(number=number, state="running", parameters=place)
        for done in draw(st.lists(st.sampled_from(sorted(running)), unique=True, max_size=3)):
            state = draw(st.sampled_from(["complete", "stopped"]))
            values = (draw(st.sampled_from([0.5, math.nan])),) if state == "complete" else ()
            side = draw(st.sampled_from([None, "hot"]))
            old = running.pop(done)
            ended[done] = TrialRecord(
                number=done, state=state, parameters=old.parameters, values=values, side=side
            )
        seen.append([(running | ended)[i] for i in sorted(running | ended)])
    return seen


@settings(max_examples=100, deadline=None, derandomize=True)
@given(studies())
def test_what_was_sorted_before_changes_nothing(seen) -> None:
    past = Kinds()
    for records in seen:
        past = past.grown(records)
        assert past == Kinds().grown(records)
    assert all(r.number in {x.number for x in seen[-1]} for r in past.complete)


def test_a_shorter_or_another_study_is_sorted_anew() -> None:
    records = [
        TrialRecord(number=i, state="complete", parameters=PLACE, values=(1.0,)) for i in range(5)
    ]
    past = Kinds().grown(records)
    assert past.grown(records[:2]).complete == records[:2]
    other = [TrialRecord(number=0, state="stopped", parameters=PLACE)]
    assert past.grown(other) == Kinds().grown(other)
    assert past.complete == records
