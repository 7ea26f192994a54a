"""The search on octaves: lands at the bottom of any basin, in few evaluations."""

from __future__ import annotations

import math

import pytest

from lrsearch.curvature._bracket import REACH, bottom, vertex


def basin(at: int, *, start: float = 10.0, wall: int = 3) -> dict[int, float]:
    """Falls to 1 at octave ``at``; a rate far under it improves little, one over it diverges."""
    values = {}
    for octave in range(-REACH - 2, REACH + 3):
        if octave > at + wall:
            values[octave] = math.inf
        elif octave > at:
            values[octave] = 1.0 + (octave - at)
        else:
            values[octave] = start - (start - 1.0) * 2.0 ** (octave - at)
    return values


@pytest.mark.parametrize("at", range(-20, 21))
def test_finds_the_bottom_from_wherever_it_starts(at: int) -> None:
    values = basin(at)
    calls: list[int] = []

    def value(octave: int) -> float:
        calls.append(octave)
        return values[octave]

    best, seen = bottom(value, 10.0)
    assert best == at
    assert {at - 1, at, at + 1} <= set(seen)
    assert len(calls) == len(set(calls)) <= 5 + abs(at)  # none twice
    if abs(at) >= 12:  # a first guess off by 10^4
        assert len(calls) <= 8 + abs(at) // 2


def test_where_nothing_trains_it_ends() -> None:
    for value in (10.0, 11.0, math.inf):
        best, seen = bottom(lambda octave, v=value: v, 10.0)
        assert len(seen) <= REACH
        assert not seen[best] < 10.0


def test_stops_at_its_reach() -> None:
    best, seen = bottom(lambda octave: -float(octave), 10.0)
    assert best == REACH
    assert seen[REACH + 1] == math.inf


@pytest.mark.parametrize(
    ("values", "offset"),
    [
        ((1.0, 0.0, 1.0), 0.0),
        ((2.0, 1.0, 1.0), 0.5),
        ((1.0, 1.0, 2.0), -0.5),
        ((4.0, 1.0, 2.0), 0.25),
        ((1.0, 1.0, 1.0), 0.0),
        ((0.0, 1.0, 0.0), 0.0),  # no minimum
        ((math.inf, 1.0, math.inf), 0.0),
        ((2.0, 1.0, math.inf), -1 / 6),  # the wall counts as 3: one more than the other side
        ((math.inf, 1.0, 2.0), 1 / 6),
    ],
)
def test_vertex(values: tuple[float, float, float], offset: float) -> None:
    assert vertex(*values) == pytest.approx(offset)


@pytest.mark.parametrize("true", [-0.45, -0.1, 0.0, 0.3, 0.49])
def test_vertex_is_exact_on_a_parabola(true: float) -> None:
    assert vertex(*(3 * (x - true) ** 2 - 5 for x in (-1, 0, 1))) == pytest.approx(true)
