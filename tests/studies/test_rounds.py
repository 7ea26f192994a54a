"""A few rungs for everyone, then the best in full: costs by hand."""

from __future__ import annotations

import math
from functools import partial

import pytest


@pytest.mark.parametrize(("rungs", "kept"), [(1, 3), (5, 5)])
def test_a_round_pays_for_its_pool_and_for_the_kept(study, table, rungs: int, kept: int) -> None:
    make = partial(study.peers.Stream, "prior", 2.0**-3, ("linear",))
    trace = study.rounds.Rounds(make, rungs, kept)(table, seed=0, cost=0.1)
    assert trace.trials == 16
    assert trace.stopped == 16 - kept
    short, rest = 5 * rungs + 4.0, 100 - 5 * rungs + 4.0  # no rate of this stream diverges
    assert trace.cost == pytest.approx((16 * short + kept * rest) / 104)
    assert len(trace.recommendations) == kept
    first = trace.recommendations[0]
    assert first.cost == pytest.approx((16 * short + rest) / 104)


def test_rounds_go_on_until_the_cost_is_spent_and_repeat(study, table) -> None:
    rounds = study.rounds.Rounds(partial(study.peers.Stream, "wide"), 1, 3)
    trace = rounds(table, seed=3, cost=12.0)
    assert trace == rounds(table, seed=3, cost=12.0)
    assert trace != rounds(table, seed=4, cost=12.0)
    assert trace.trials % 32 == 0
    assert trace.trials >= 64
    assert trace.cost >= 12.0
    regrets = [one.regret for one in trace.recommendations]
    assert math.isfinite(regrets[-1])
