"""From short runs to the edge: closed forms."""

from __future__ import annotations

import math

import pytest

from lrsearch.curvature._shift import OFF, at_length, memory, weighted


def test_the_weighted_mean_of_a_parabola_on_whole_octaves_is_its_minimum() -> None:
    """A Gaussian sum over a lattice that is fine against its width."""
    for best in (-3.4, 0.0, 0.5):
        values = {k: 0.03 * (k - best) ** 2 - 1.0 for k in range(-20, 20)}
        assert weighted(values, start=0.0) == pytest.approx(best, abs=1e-3)


def test_the_weighted_mean_leaves_out_what_diverged_and_has_no_unit() -> None:
    values = {0: -1.0, 1: -1.2, 2: math.inf}
    by_hand = 1.0 / (1.0 + math.exp(-0.2 / (0.1 * 2.2)))
    assert weighted(values, 1.0, 0.1) == pytest.approx(by_hand)
    for shift, scale in ((7.0, 1.0), (-3.0, 40.0)):
        moved = {k: scale * v + shift for k, v in values.items()}
        assert weighted(moved, scale * 1.0 + shift, 0.1) == pytest.approx(by_hand)
    assert weighted({3: 0.5}, 1.0) == 3.0
    assert weighted(values, 1.0, 1e-3) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("steps", "momentum", "octaves"),
    [
        (60, 0.0, math.log2(1.05)),
        (30, 0.9, 1.0),
        (80, 0.95, math.log2(1.75)),
        (10**9, 0.9, 0.0),
        (3, 1.0, math.log2(1001.0)),
    ],
)
def test_memory(steps: int, momentum: float, octaves: float) -> None:
    assert memory(steps, momentum) == pytest.approx(octaves, abs=1e-6)


@pytest.mark.parametrize(
    ("steps", "value"), [(1, 1.0), (20, 1.0), (28.284271, 0.8), (40, 0.6), (80, 0.2), (10**4, 0.2)]
)
def test_constants_between_lengths(steps: float, value: float) -> None:
    assert at_length({20: 1.0, 40: 0.6, 80: 0.2}, steps) == pytest.approx(value, abs=1e-6)


def test_longer_calibrations_are_surer() -> None:
    found = [at_length(OFF, steps) for steps in (20, 30, 40, 60, 80)]
    assert found == sorted(found, reverse=True)
