"""When probes stand, and that they cost what was promised."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lrsearch.curvature._cadence import FIRST, FLOOR, next_probe, probe_steps
from lrsearch.curvature._probe import PROBE_COST


def test_a_probe_costs_five_forward_passes() -> None:
    assert pytest.approx(5 * 0.35) == PROBE_COST == pytest.approx(1.75)


@pytest.mark.parametrize("budget", [1050, 1051, 1500, 2000, 5000, 8750, 100_000, 3_000_000])
@pytest.mark.parametrize("share", [0.02, 0.05])
def test_the_share_is_kept_from_1050_steps_on(budget: int, share: float) -> None:
    steps = probe_steps(budget, share, PROBE_COST)
    assert len(steps) * PROBE_COST <= share * budget
    assert 8 <= len(steps) <= 100


def test_1050_steps_pay_for_just_twelve_probes() -> None:
    """The arithmetic of the docstring: 12 probes of 1.75 gradients are 2 % of 1,050 steps."""
    assert pytest.approx(0.02 * 1050) == FLOOR * PROBE_COST
    steps = probe_steps(1050, 0.02, PROBE_COST)
    assert steps == [29, 66, 117, 182, 262, 357, 467, 591, 729, 882, 1050]  # the first is too early
    squares = [round(1050 * (i / 12) ** 2) for i in range(1, 13)]
    assert steps == [s for s in squares if s >= FIRST]


@pytest.mark.parametrize("budget", [*range(1, 40), 100, 599, 600, 1049])
def test_short_runs_get_their_floor_and_no_more(budget: int) -> None:
    steps = probe_steps(budget, 0.02, PROBE_COST)
    assert 1 <= len(steps) <= FLOOR
    assert steps[-1] == budget
    assert steps == sorted(set(steps))
    assert steps[0] >= min(FIRST, budget)
    if budget >= 100:
        assert len(steps) >= FLOOR - 3


def test_half_of_the_probes_fall_into_the_first_quarter() -> None:
    steps = probe_steps(10_000, 0.02, PROBE_COST)
    assert len(steps) == pytest.approx(100, abs=3)
    assert sum(s <= 2500 for s in steps) == pytest.approx(len(steps) / 2, abs=3)
    gaps = [b - a for a, b in pairwise(steps)]
    assert gaps[0] < gaps[len(gaps) // 2] < gaps[-1]


@pytest.mark.parametrize("share", [0.005, 0.02, 0.1, 1.0])
def test_without_a_budget_probes_double_and_then_keep_the_share(share: float) -> None:
    steps = [1]
    while steps[-1] < 20_000:
        steps.append(next_probe(steps[-1], share, PROBE_COST))
    apart = [b - a for a, b in pairwise(steps)]
    assert steps[:2] == [1, 2]
    assert all(b <= 2 * a for a, b in pairwise(steps))
    assert apart == sorted(apart)
    assert PROBE_COST / apart[-1] <= share
    assert PROBE_COST / (apart[-1] - 1 or 0.5) > share  # no sparser than it must be
