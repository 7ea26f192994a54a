"""The optimal schedule: its gradient, what it cannot beat, and the published one it reproduces."""

from __future__ import annotations

import numpy as np
import pytest

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule
from lrsearch.theory import (
    AnnealingLaw,
    LossLaw,
    MultiPowerLaw,
    optimal_levels,
    optimal_schedule,
)
from lrsearch.theory._optimal import _gather, _spread

LAW = MultiPowerLaw(L0=2.4, A=0.65, alpha=0.43, B=500.0, C=2.0, beta=0.6, gamma=0.63)
ANNEALING = AnnealingLaw(L0=2.5, A=0.6, alpha=0.5, C=0.4)
PEAK = 3e-4


@pytest.mark.parametrize("law", [LAW, ANNEALING])
@pytest.mark.parametrize("warmup", [0, 200])
def test_it_beats_the_usual_schedules(law: LossLaw, warmup: int) -> None:
    best = optimal_schedule(law, 4000, PEAK, warmup_steps=warmup)
    loss = law.final_loss(best.values())
    for family in ("linear", "cosine", "constant", "wsd"):
        usual = Schedule(family, PEAK, 4000, warmup_steps=warmup)
        assert loss < law.final_loss(usual.values()) - 1e-4


def test_it_is_a_monotone_piecewise_schedule() -> None:
    best = optimal_schedule(LAW, 4000, PEAK, end_value=1e-5, warmup_steps=200, knots=40)
    assert best.family == "piecewise"
    assert len(best.parameters["levels"]) == 40
    assert best.parameters["levels"][0] == 1.0
    values = best.values()[200:]
    assert values[0] == PEAK
    assert (np.diff(values) <= 0.0).all()
    assert values[-1] >= 1e-5
    assert best.provenance["law"] == LAW.to_dict()
    assert Schedule.from_dict(best.to_dict()) == best


def test_it_holds_then_decays() -> None:
    """The published finding: a long hold, then a decay to nearly nothing."""
    levels = optimal_levels(LAW, 20_000, PEAK)
    assert levels[len(levels) // 2] > 0.999
    assert levels[-1] < 0.02


def test_no_small_change_of_a_level_lowers_the_loss() -> None:
    levels = optimal_levels(LAW, 2000, PEAK, knots=33)
    frame = Schedule("linear", PEAK, 2000)
    least = LAW.final_loss(_spread(frame, levels))
    rng = np.random.default_rng(0)
    for _ in range(200):
        changed = levels * np.exp(rng.choice([1e-3, 1e-2]) * rng.standard_normal(33))
        changed = np.minimum.accumulate(np.minimum(changed, 1.0))
        changed[0] = 1.0
        assert LAW.final_loss(_spread(frame, changed)) > least - 1e-7


def test_without_a_gain_there_is_nothing_to_anneal() -> None:
    law = MultiPowerLaw(2.4, 0.65, 0.43, 0.0, 2.0, 0.6, 0.63)
    assert optimal_levels(law, 500, PEAK) == pytest.approx(np.ones(129), abs=1e-6)


def test_the_same_law_gives_the_same_schedule() -> None:
    assert optimal_schedule(LAW, 700, PEAK) == optimal_schedule(LAW, 700, PEAK)


def test_knots_are_spread_as_the_family_does() -> None:
    levels = np.r_[1.0, np.sort(np.random.default_rng(0).uniform(0, 1, 10))[::-1]]
    schedule = Schedule(
        "piecewise", PEAK, 357, {"levels": tuple(levels)}, warmup_steps=30, end_value=1e-5
    )
    assert _spread(schedule, levels) == pytest.approx(schedule.values(), rel=1e-12)


def test_gather_is_the_transpose_of_spread() -> None:
    frame = Schedule("linear", 1.0, 57, warmup_steps=7)
    rng = np.random.default_rng(0)
    slopes, levels = rng.standard_normal(57), rng.uniform(0, 1, 9)
    there = np.dot(slopes[7:], _spread(frame, levels)[7:])
    assert np.dot(_gather(frame, slopes, 9), levels) == pytest.approx(there, rel=1e-12)


@pytest.mark.parametrize(("budget", "knots", "count"), [(1, 129, 2), (5, 129, 6), (300, 2, 2)])
def test_small_budgets_and_few_knots(budget: int, knots: int, count: int) -> None:
    levels = optimal_levels(LAW, budget, PEAK, knots=knots)
    assert len(levels) == count
    assert np.isfinite(levels).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 0}, "budget"),
        ({"peak": -1.0}, "peak"),
        ({"end_value": 1.0}, "end_value"),
        ({"warmup_steps": 100}, "warmup_steps"),
        ({"knots": 1}, "knots must be a whole number >= 2, got 1"),
        ({"knots": 2.5}, "knots"),
        ({"knots": True}, "knots"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidScheduleError, match=message):
        optimal_schedule(LAW, **{"budget": 100, "peak": PEAK, **arguments})  # type: ignore[arg-type]


def test_the_usual_number_of_levels() -> None:
    law = MultiPowerLaw(L0=2.4, A=0.65, alpha=0.43, B=500.0, C=2.0, beta=0.6, gamma=0.63)
    assert len(optimal_schedule(law, 500, 3e-4).parameters["levels"]) == 129
    with pytest.raises(InvalidScheduleError, match=r"a law or the fit of one, got .*from_dict"):
        optimal_schedule(law.to_dict(), 500, 3e-4)  # type: ignore[arg-type]
