"""Runs that are behind: the forecast, whom they are compared with, and what is said."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from lrsearch.search import Engine, ScheduleSpace, TrialRecord, decide
from lrsearch.search._behind import CERTAIN, FEWEST, MOST, behind
from lrsearch.search._forecast import MEASURED, WEIGHT, forecast, remaining
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


def peer(number: int, value: float, looks: dict[int, float]) -> TrialRecord:
    return TrialRecord(number=number, state="complete", values=(value,), looks=looks)


def alike(value: float = 0.3, then: float = 0.5, count: int = FEWEST) -> list[TrialRecord]:
    """Runs that all gave and ended the same."""
    looks = dict.fromkeys((50, 100, 200, 400), then)
    return [peer(n, value, looks) for n in range(count)]


# The forecast


def test_between_the_measured_shares_it_goes_steadily() -> None:
    for progress, measured in MEASURED.items():
        assert remaining(progress) == pytest.approx(measured)
    grid = [remaining(p / 100) for p in range(1, 101)]
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in pairwise(grid))
    assert all(0 < share < 1 for share, _ in grid)


@pytest.mark.parametrize("progress", list(MEASURED))
def test_of_a_lag_behind_runs_that_are_alike_the_measured_share_is_left(progress: float) -> None:
    share, deviation = MEASURED[progress]
    said = forecast(progress, 0.5 * math.exp(0.3), [(0.2, 0.5)] * 5)
    assert said.lag == pytest.approx(0.3 * share)
    assert said.deviation == pytest.approx(deviation * math.sqrt(WEIGHT / (WEIGHT + 4)))
    assert forecast(progress, 0.5, [(0.2, 0.5)]).lag == pytest.approx(0)


@pytest.mark.parametrize("count", [2, 3, 300])
def test_the_deviation_becomes_the_studys_own(count: int) -> None:
    """Ends that scatter about the forecast by 0.15 in the log: many of them outweigh what ships."""
    logs = np.sort(0.15 * np.random.default_rng(0).standard_normal(count))
    said = forecast(0.2, 0.6, [(float(np.exp(log)), 0.5) for log in logs])
    both = WEIGHT * MEASURED[0.2][1] ** 2 + (count - 1) * float(np.var(logs, ddof=1))
    assert said.deviation == pytest.approx(math.sqrt(both / (WEIGHT + count - 1)))
    if count == 300:
        assert said.deviation == pytest.approx(0.15, rel=0.1)


def test_one_that_was_lucky_in_its_end_or_in_its_look_counts_for_what_was_to_be_expected() -> None:
    others = [(0.40, 0.5)] * 9
    in_its_end = forecast(0.2, 0.5, [(0.25, 0.5), *others])
    assert in_its_end.lag == pytest.approx(0, abs=1e-12)  # it had looked no better
    in_its_look = forecast(0.2, 0.5, [(0.39, 0.2), *others])
    assert in_its_look.lag < 0.1 < 0.54 * math.log(0.5 / 0.2)  # it ended hardly better


def test_runs_far_above_the_best_do_not_count() -> None:
    near, far = [(0.3, 0.5), (0.35, 0.6)], [(2.0, 0.4), (math.inf, 0.1)]
    assert forecast(0.1, 0.7, near + far) == forecast(0.1, 0.7, near)


@pytest.mark.parametrize("objective", [-0.9, 0.0, -math.inf])
def test_objectives_that_are_no_losses_leave_the_looks(objective: float) -> None:
    share, deviation = MEASURED[0.1]
    said = forecast(0.1, 1.0, [(objective, 0.5), (0.1, 0.9)])
    assert (said.lag, said.deviation) == pytest.approx((share * math.log(2), deviation))


# The rule


@pytest.mark.parametrize("progress", [0.05, 0.1, 0.2, 0.4])
def test_it_stops_where_the_expected_end_is_so_many_deviations_behind(progress: float) -> None:
    share, step = MEASURED[progress][0], int(progress * BUDGET)
    limit = CERTAIN * forecast(progress, 0.5, [(0.3, 0.5)] * FEWEST).deviation / share
    for lag, stops in ((0.99 * limit, False), (1.01 * limit, True), (-1.0, False)):
        said = behind([reading(step, 0.5 * math.exp(lag))], alike())
        assert (said is not None) is stops


def test_it_says_why_with_numbers() -> None:
    said = decide([reading(200, 1.0)], [peer(7, 0.29, {200: 0.5}), *alike()])
    assert (said.stop, said.regime, said.side, said.step) == (True, "behind", None, 200)
    for words in ("step 200", "20%", "give 1 ", "trial 7", "0.5", "4 finished trials"):
        assert words in said.reason
    assert said.trend["lag"] == pytest.approx(0.54 * math.log(2), abs=0.01)


def test_without_a_look_or_enough_that_were_seen_there_nothing_is_said() -> None:
    late = [reading(100, 9.0)]
    assert behind(late, alike()) is not None
    assert behind([], alike()) is None
    assert behind([reading(100, None)], alike()) is None
    assert behind(late, ()) is None
    assert behind(late, alike(count=FEWEST - 1)) is None
    assert behind(late, [*alike(count=FEWEST - 1), peer(9, 0.1, {50: 0.1})]) is None
    unknown = Reading(step=100, learning_rate=0.1, annealed_validation=9.0)
    assert behind([unknown], alike()) is None


def test_it_is_said_at_a_look_alone() -> None:
    assert decide([reading(100, 1.0)], alike()).step == 100
    assert not decide([reading(100, 1.0), reading(150, None)], alike()).stop
    assert not decide([reading(100, 1.0), reading(200, 0.4)], alike()).stop


def test_after_so_many_in_a_row_one_goes_to_its_end() -> None:
    stopped = [TrialRecord(number=n, state="stopped", lag=(0.2, 0.1)) for n in range(10, 10 + MOST)]
    late = [reading(100, 9.0)]
    assert behind(late, [*alike(), *stopped[1:]]) is not None
    assert behind(late, [*alike(), *stopped]) is None


def test_the_sampler_takes_the_lag_for_what_it_tells() -> None:
    """A run that was said to be far behind tells it to keep away more than one hardly behind."""
    engine = Engine(ScheduleSpace(BUDGET, families=("linear",)), seed=0)

    def proposed(lag: float) -> float:
        done = TrialRecord(
            number=0,
            state="complete",
            parameters={"schedule_family": "linear", "edge_multiplier": 1.0},
            values=(0.5,),
        )
        point = {"schedule_family": "linear", "edge_multiplier": 2.0}
        stopped = TrialRecord(number=1, state="stopped", parameters=point, lag=(lag, 0.08))
        return float(engine.ask(2, [done, stopped])["edge_multiplier"])

    assert proposed(1.0) < proposed(0.06)
