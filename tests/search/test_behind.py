"""Runs that are behind: the forecast, whom they are compared with, and what is said."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from lrsearch.search import Engine, ScheduleSpace, TrialRecord, decide
from lrsearch.search._behind import CERTAIN, behind
from lrsearch.search._forecast import MEASURED, lag_left
from lrsearch.stability import Reading

BUDGET = 1000


def reading(step: int, loss: float | None) -> Reading:
    return Reading(
        step=step,
        budget=BUDGET,
        learning_rate=0.1,
        loss=1.0,
        initial_loss=2.0,
        annealed_validation=loss,
    )


def peer(number: int, value: float, **looks: float) -> TrialRecord:
    seen = {int(step.removeprefix("at")): loss for step, loss in looks.items()}
    return TrialRecord(number=number, state="complete", values=(value,), looks=seen)


def test_of_a_lag_the_measured_share_is_left() -> None:
    for progress, (share, deviation) in MEASURED.items():
        assert lag_left(progress, 0.3) == pytest.approx((0.3 * share, deviation))
        assert lag_left(progress, 0.0) == pytest.approx((0.0, deviation))


def test_the_later_the_more_is_left_and_the_surer_it_is() -> None:
    grid = [lag_left(p / 100, 1.0) for p in range(1, 101)]
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in pairwise(grid))
    assert all(0 < share < 1 for share, _ in grid)


@pytest.mark.parametrize("progress", [0.05, 0.1, 0.2, 0.4])
def test_it_stops_where_the_expected_end_is_so_many_deviations_behind(progress: float) -> None:
    share, deviation = MEASURED[progress]
    step, limit = int(progress * BUDGET), CERTAIN * deviation / share
    best = TrialRecord(number=3, state="complete", values=(0.2,), looks={step: 0.5})
    for lag, stops in ((0.99 * limit, False), (1.01 * limit, True), (-1.0, False)):
        said = behind([reading(step, 0.5 * math.exp(lag))], [best])
        assert (said is not None) is stops


def test_it_says_why_with_numbers() -> None:
    said = decide([reading(200, 1.0)], [peer(7, 0.3, at200=0.5)])
    assert (said.stop, said.regime, said.side, said.step) == (True, "behind", None, 200)
    for words in ("step 200", "20%", "1,", "trial 7", "0.5", "45% worse"):
        assert words in said.reason
    assert said.trend["lag_left"] == pytest.approx(0.54 * math.log(2))


def test_it_is_compared_with_the_one_that_ended_best_and_was_looked_at() -> None:
    """Not with the one that was ahead at that step, nor with one that was not seen there."""
    best, ahead, unseen = peer(0, 0.3, at100=0.6), peer(1, 0.5, at100=0.2), peer(2, 0.1, at50=0.1)
    assert behind([reading(100, 0.6)], [ahead, unseen, best]) is None
    assert behind([reading(100, 0.6)], [ahead, unseen]) is not None


def test_without_a_look_or_a_peer_nothing_is_said() -> None:
    assert behind([], [peer(0, 0.3, at100=0.1)]) is None
    assert behind([reading(100, None)], [peer(0, 0.3, at100=0.1)]) is None
    assert behind([reading(100, 9.0)], []) is None
    assert behind([reading(100, 9.0)], [peer(0, 0.3)]) is None
    assert behind([reading(100, 9.0)], [peer(0, math.nan, at100=0.1)]) is not None
    unknown = Reading(step=100, learning_rate=0.1, annealed_validation=9.0)
    assert behind([unknown], [peer(0, 0.3, at100=0.1)]) is None


def test_the_last_look_counts_until_the_next_one() -> None:
    """Its peer may have ended since."""
    readings = [reading(100, 1.0), reading(150, None)]
    assert decide(readings, [peer(0, 0.3, at100=0.5)]).step == 150
    caught_up = [reading(100, 1.0), reading(200, 0.4)]
    assert not decide(caught_up, [peer(0, 0.3, at100=0.5, at200=0.4)]).stop


def test_the_sampler_takes_the_lag_for_what_it_tells() -> None:
    """A run that was said to be far behind tells it to keep away more than one hardly behind."""
    engine = Engine(ScheduleSpace(BUDGET, families=("linear",)), seed=0)

    def proposed(lag: float) -> float:
        point = {"schedule_family": "linear", "edge_multiplier": 2.0}
        done = TrialRecord(
            number=0,
            state="complete",
            parameters={"schedule_family": "linear", "edge_multiplier": 1.0},
            values=(0.5,),
        )
        stopped = TrialRecord(number=1, state="stopped", parameters=point, lag=(lag, 0.08))
        found = engine.ask(2, [done, stopped])
        return float(found["edge_multiplier"])

    assert proposed(1.0) < proposed(0.06)
