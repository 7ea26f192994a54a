"""When probes stand, and that they cost what was promised."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import pytest

from lrsearch.curvature._cadence import CEILING, FEWEST, FIRST, FLOOR, Cadence, moved, next_probe
from lrsearch.curvature._probe import PROBE_COST
from lrsearch.curvature._top import FIRST_TOP_COST, TOP_COST

COLD = FIRST_TOP_COST - TOP_COST


def probe_steps(budget: int, share: float, cost: float) -> list[int]:
    """The regular plan without eigenvalue readings."""
    return Cadence(budget, share, cost, 0.0).planned


def follow(cadence: Cadence, events: Collection[int] = ()) -> tuple[list[int], list[int], float]:
    """Steps probed, those with an eigenvalue reading, and what it all cost; events by step."""
    probed, tops, cost, cap = [], [], 0.0, cadence.budget or 50_000
    while 0 < cadence.next <= cap:
        step = cadence.next
        probed.append(step)
        if cadence.wants_top(cost):
            cost += cadence.top + (0.0 if tops else COLD)
            tops.append(step)
        cost += cadence.probe
        cadence.done(step, any(step - 100 < e <= step for e in events))
    return probed, tops, cost


def test_a_probe_costs_five_forward_passes() -> None:
    assert pytest.approx(5 * 0.4) == PROBE_COST == pytest.approx(2.0)


@pytest.mark.parametrize("budget", [1200, 1201, 1500, 2000, 5000, 8750, 100_000, 3_000_000])
@pytest.mark.parametrize("share", [0.02, 0.05])
def test_the_share_is_kept_from_1200_steps_on(budget: int, share: float) -> None:
    steps = probe_steps(budget, share, PROBE_COST)
    assert len(steps) * PROBE_COST <= share * budget
    assert 8 <= len(steps) <= 100


def test_1200_steps_pay_for_just_twelve_probes() -> None:
    """The arithmetic of the docstring: 12 probes of 2 gradients are 2 % of 1,200 steps."""
    assert pytest.approx(0.02 * 1200) == FLOOR * PROBE_COST
    steps = probe_steps(1200, 0.02, PROBE_COST)
    assert steps == [8, 33, 75, 133, 208, 300, 408, 533, 675, 833, 1008, 1200]
    squares = [round(1200 * (i / 12) ** 2) for i in range(1, 13)]
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
    assert len(steps) == pytest.approx(0.75 * CEILING, abs=3)  # a quarter waits for events
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


@pytest.mark.parametrize("budget", [3_600, 5_000, 20_000, 200_000])
@pytest.mark.parametrize("share", [0.02, 0.1])
@pytest.mark.parametrize("eventful", [False, True])
def test_with_eigenvalues_and_events_the_share_is_still_kept(
    budget: int, share: float, eventful: bool
) -> None:
    events = set(range(0, budget, 50)) if eventful else set()
    probed, tops, cost = follow(Cadence(budget, share, PROBE_COST, TOP_COST, COLD), events)
    assert cost <= share * budget
    assert probed == sorted(set(probed))
    assert probed[-1] == budget
    assert set(tops) <= set(probed)
    assert len(tops) >= FEWEST - 1
    assert len(probed) <= CEILING
    if not eventful:
        assert sum(t <= budget / 4 for t in tops) >= len(tops) / 2 - 2


def test_eigenvalues_are_read_from_3500_steps_on() -> None:
    """12 probes and 6 eigenvalue readings, the first from cold, are 2 % of 3,500 steps."""
    assert pytest.approx(0.02 * 3500) == FLOOR * PROBE_COST + FEWEST * TOP_COST + COLD
    assert Cadence(3_501, 0.02, PROBE_COST, TOP_COST, COLD).every > 0
    short = Cadence(3_499, 0.02, PROBE_COST, TOP_COST, COLD)
    assert short.every == 0
    assert not short.wants_top(0.0)
    assert follow(short)[1] == []


def test_an_event_asks_for_a_probe_halfway_while_the_reserve_lasts() -> None:
    calm, _, _ = follow(Cadence(10_000, 0.02, PROBE_COST, 0.0))
    cadence = Cadence(10_000, 0.02, PROBE_COST, 0.0)
    reserve = cadence.reserve
    assert reserve == CEILING // 4
    step, regular = cadence.planned[20], cadence.planned[21]
    while cadence.next < step:
        cadence.done(cadence.next, False)
    cadence.done(step, True)
    assert cadence.next == (step + regular) // 2
    assert cadence.reserve == reserve - 1
    cadence.done(cadence.next, False)
    assert cadence.next == regular  # and back to the plan
    busy, _, _ = follow(Cadence(10_000, 0.02, PROBE_COST, 0.0), set(range(0, 10_000, 50)))
    assert len(busy) == len(calm) + reserve
    assert set(calm) <= set(busy)


def test_a_plan_goes_on_where_it_was_stored() -> None:
    whole = Cadence(10_000, 0.02, PROBE_COST, TOP_COST, COLD)
    for n in range(30):
        whole.done(whole.next, n % 3 == 0)
    resumed = Cadence(10_000, 0.02, PROBE_COST, TOP_COST, COLD)
    resumed.load_state_dict(whole.state_dict())
    assert follow(resumed) == follow(whole)


def test_without_a_budget_every_fourth_probe_reads_the_eigenvalue() -> None:
    probed, tops, cost = follow(Cadence(None, 0.02, PROBE_COST, TOP_COST, COLD))
    assert tops == probed[::4]
    late = [s for s in probed if s > 1_000]
    spent = len(late) * PROBE_COST + sum(t > 1_000 for t in tops) * TOP_COST
    assert spent <= 1.05 * 0.02 * (50_000 - 1_000)
    assert cost > spent


def test_the_probes_nearest_to_the_looks_are_moved_there() -> None:
    assert moved([10, 40, 90, 160, 250], [42, 100]) == [10, 42, 100, 160, 250]
    assert moved([10, 40], [12, 13, 14]) == [12, 13, 14]  # a look takes place in any case
    assert moved([10, 40], []) == [10, 40]
    planned = Cadence(1000, 0.02, PROBE_COST, 0.0, looks=(50, 100, 200, 400)).planned
    assert len(planned) == len(Cadence(1000, 0.02, PROBE_COST, 0.0).planned)
    assert {50, 100, 200, 400} <= set(planned)
