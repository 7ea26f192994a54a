"""Ranking of records, for one objective and for several."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.search import TrialRecord, ranked


def complete(number: int, *values: float) -> TrialRecord:
    return TrialRecord(number=number, state="complete", values=values)


def order(*records: TrialRecord) -> list[int]:
    return [r.number for r in ranked(records)]


def test_one_objective_by_value_then_number() -> None:
    assert order(complete(3, 1.0), complete(0, 2.0), complete(1, 1.0), complete(2, -5.0)) == [
        2,
        1,
        3,
        0,
    ]


def test_only_complete_ones_count() -> None:
    stopped = TrialRecord(number=0, state="stopped")
    running = TrialRecord(number=1, state="running")
    empty = TrialRecord(number=2, state="complete")
    assert order(stopped, running, empty, complete(3, 1.0)) == [3]
    assert order() == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_finite_comes_last(value: float) -> None:
    assert order(complete(0, value), complete(1, 1e300), complete(2, -1.0)) == [2, 1, 0]
    assert order(complete(0, value), complete(1, value)) == [0, 1]
    assert order(complete(0, value, -9.0), complete(1, 5.0, 5.0), complete(2, 4.0, 4.0)) == [
        2,
        1,
        0,
    ]


def test_several_objectives_by_dominance() -> None:
    front = [complete(5, 0.0, 3.0), complete(1, 1.0, 1.0), complete(4, 3.0, 0.0)]
    behind_one = complete(0, 2.0, 1.5)  # of the front only (1, 1) is better in both
    behind_three = complete(2, 3.0, 3.0)
    behind_all = complete(3, 9.0, 9.0)
    assert order(behind_all, behind_three, behind_one, *front) == [1, 4, 5, 0, 2, 3]


def test_equals_do_not_dominate_each_other() -> None:
    twins = complete(0, 1.0, 2.0), complete(1, 1.0, 2.0)
    assert order(*twins, complete(2, 2.0, 1.0)) == [0, 1, 2]
    assert order(complete(1, 1.0, 2.0), complete(0, 1.0, 2.0), complete(2, 1.0, 1.0)) == [2, 0, 1]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(1, 3).flatmap(
        lambda k: st.lists(
            st.tuples(*[st.integers(0, 4).map(float) | st.just(math.nan)] * k), max_size=12
        )
    )
)
def test_as_counted_by_hand(points: list[tuple[float, ...]]) -> None:
    def beaten(mine: tuple[float, ...]) -> int:
        return sum(
            all(a <= b for a, b in zip(other, mine, strict=True)) and other != mine
            for other in points
            if not any(map(math.isnan, other))
        )

    def key(number: int) -> tuple[float, int]:
        mine = points[number]
        if any(map(math.isnan, mine)):
            return math.inf, number
        return float(mine[0] if len(mine) == 1 else beaten(mine)), number

    found = order(*(complete(i, *p) for i, p in enumerate(points)))
    assert found == sorted(range(len(points)), key=key)
