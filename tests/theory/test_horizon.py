"""Transfer to a longer budget: the published factors, and what the schedules have in common."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Averaging, Schedule
from lrsearch.schedules._continuation import continues
from lrsearch.theory import (
    convex_bound,
    longer_cooldown,
    lower_second_stage,
    optimal_peak,
    second_stage_factor,
)

RATIOS = [1.5, 2.0, 2.5, 3.0, 3.5, 4.0]


def wsd(
    budget: int = 4000,
    cooldown_shape: str = "linear",
    peak: float = 0.3,
    cooldown: float = 0.2,
    **more: float,
) -> Schedule:
    parameters = {"cooldown": cooldown, "cooldown_shape": cooldown_shape}
    return Schedule("wsd", peak, budget, parameters, **more)  # type: ignore[arg-type]


def over_linear(schedule: Schedule, finished: Schedule) -> float:
    """The bound over that of a tuned linear decay, where the finished schedule was tuned."""
    scale = convex_bound(finished).optimal_scale
    linear = Schedule("linear", 1.0, schedule.budget)
    return convex_bound(schedule).at(scale) / convex_bound(linear).optimal_value


# The published numbers (T0 = 4000, linear cooldown of 20 %).


@pytest.mark.parametrize(
    ("ratio", "fraction"), list(zip(RATIOS, [0.45, 0.63, 0.77, 0.88, 0.96, 1.0], strict=True))
)
def test_published_cooldowns(ratio: float, fraction: float) -> None:
    finished = wsd()
    longer = longer_cooldown(finished, int(ratio * 4000))
    assert longer.parameters["cooldown"] == pytest.approx(fraction, abs=0.005)
    assert 1.0 <= over_linear(longer, finished) < 1.03


@pytest.mark.parametrize(
    ("ratio", "factor"), list(zip(RATIOS, [0.64, 0.53, 0.47, 0.43, 0.40, 0.38], strict=True))
)
def test_published_factors(ratio: float, factor: float) -> None:
    budget = int(ratio * 4000)
    assert second_stage_factor(wsd(), budget, "same-peak") == pytest.approx(factor, abs=0.005)


@pytest.mark.parametrize("ratio", RATIOS)
def test_transferred_bounds_are_near_those_of_tuned_linear_decay(ratio: float) -> None:
    finished, budget = wsd(), int(ratio * 4000)
    naive = over_linear(finished.rescale(budget), finished)
    assert naive == pytest.approx(1.10 + (ratio - 1.5) * 0.1, abs=0.015)  # 10 to 35 % worse
    same = over_linear(lower_second_stage(finished, budget, "same-peak"), finished)
    least = over_linear(lower_second_stage(finished, budget, "least-bound"), finished)
    assert least <= same < 1.053 < naive
    assert least > 1.0


# A longer cooldown.


@pytest.mark.parametrize("cooldown_shape", ["linear", "1-sqrt"])
@pytest.mark.parametrize("ratio", [1.01, 1.3, 2.7])
def test_the_old_peak_is_the_optimum_again(cooldown_shape: str, ratio: float) -> None:
    finished = wsd(2000, cooldown_shape, warmup_steps=50, end_value=0.003)
    longer = longer_cooldown(finished, int(2000 * ratio))
    assert optimal_peak(longer) == pytest.approx(optimal_peak(finished), rel=2e-3)
    # No other whole number of steps comes nearer.
    steps = longer.budget - longer.provenance["cooldown_step"]  # type: ignore[operator]
    apart = [
        abs(
            math.log(
                optimal_peak(
                    wsd(
                        longer.budget,
                        cooldown_shape,
                        cooldown=n / longer.budget,
                        warmup_steps=50,
                        end_value=0.003,
                    )
                )
                / optimal_peak(finished)
            )
        )
        for n in (steps - 1, steps, steps + 1)
    ]
    assert apart[1] == min(apart)


def test_all_but_the_cooldown_is_kept() -> None:
    finished = wsd(2000, "1-sqrt", warmup_steps=50, end_value=0.003).with_provenance(trial=7)
    longer = longer_cooldown(finished, 3000)
    assert (longer.family, longer.peak, longer.budget) == ("wsd", 0.3, 3000)
    assert (longer.warmup_steps, longer.end_value) == (50, 0.003)
    assert longer.parameters["cooldown_shape"] == "1-sqrt"
    step, shared = longer.provenance["cooldown_step"], longer.provenance["branch_off_step"]
    assert isinstance(step, int)
    assert longer(step) == 0.3 > longer(step + 1)
    assert shared == min(step, finished.stable_steps)
    assert isinstance(shared, int)
    assert continues(longer, finished, shared)
    assert longer.provenance["trial"] == 7
    assert longer.provenance["transferred_from_budget"] == 2000


def test_transfers_follow_one_another() -> None:
    at_once = longer_cooldown(wsd(), 9000)
    in_turns = longer_cooldown(longer_cooldown(wsd(), 6000), 9000)
    assert in_turns.parameters["cooldown"] == pytest.approx(
        at_once.parameters["cooldown"], abs=1e-3
    )


def test_a_longer_cooldown_has_an_end() -> None:
    # At 4 T0 a cooldown over everything wants 0.973 of the peak: 0.04 % of the bound.
    longer = longer_cooldown(wsd(), 16_000)
    assert longer.parameters["cooldown"] == 1.0
    assert optimal_peak(longer) / optimal_peak(wsd()) == pytest.approx(0.973, abs=5e-4)
    with pytest.raises(InvalidScheduleError) as caught:
        longer_cooldown(wsd(), 24_000)
    message = str(caught.value)
    assert "wants 0.795 times the peak of 0.3" in message
    assert "about 20118 steps" in message
    assert "use lower_second_stage" in message
    assert longer_cooldown(wsd(), 20_100).parameters["cooldown"] == 1.0
    with pytest.raises(InvalidScheduleError, match="beyond"):
        longer_cooldown(wsd(), 20_140)


# A lower second stage.


@pytest.mark.parametrize("cooldown_shape", ["linear", "1-sqrt"])
@pytest.mark.parametrize("ratio", [1.2, 2.0, 6.0])
def test_least_bound_is_the_least(cooldown_shape: str, ratio: float) -> None:
    finished = wsd(1000, cooldown_shape)
    budget = int(ratio * 1000)
    best = lower_second_stage(finished, budget, "least-bound")
    factor = best.provenance["factor"]
    assert isinstance(factor, float)
    least = over_linear(best, finished)
    shape = wsd(budget, cooldown_shape).values()
    scale = convex_bound(finished).optimal_scale
    for other in [*np.linspace(0.05, 1.0, 39), 0.99 * factor, 1.01 * factor]:
        rates = np.where(np.arange(budget) < 800, 1.0, other) * shape
        linear = convex_bound(Schedule("linear", 1.0, budget)).optimal_value
        assert convex_bound(rates).at(scale) / linear > least - 1e-9


@pytest.mark.parametrize("cooldown_shape", ["linear", "1-sqrt"])
@pytest.mark.parametrize("ratio", [1.01, 2.0, 6.0, 100.0])
def test_same_peak_makes_the_old_peak_the_optimum(cooldown_shape: str, ratio: float) -> None:
    finished = wsd(1000, cooldown_shape)
    joined = lower_second_stage(finished, int(1000 * ratio), "same-peak")
    assert optimal_peak(joined) == pytest.approx(optimal_peak(finished))


def test_same_peak_is_continuous_and_least_bound_is_not() -> None:
    assert second_stage_factor(wsd(), 4004, "same-peak") == pytest.approx(1.0, abs=0.01)
    assert second_stage_factor(wsd(), 4004, "least-bound") == pytest.approx(0.59, abs=0.05)


def test_a_second_stage_reaches_far() -> None:
    assert over_linear(lower_second_stage(wsd(1000), 100_000), wsd(1000)) < 1.18


@pytest.mark.parametrize("budget", range(13, 37))
def test_odd_budgets(budget: int) -> None:
    # Rounding to whole steps may lengthen the cooldown's share: the factor then stays at 1.
    finished = wsd(12, warmup_steps=2)
    assert 0.0 < second_stage_factor(finished, budget, "same-peak") <= 1.0
    assert lower_second_stage(finished, budget).budget == budget
    assert longer_cooldown(finished, budget).budget == budget


def test_the_first_stage_is_that_of_the_finished_run() -> None:
    finished = wsd(2000, "1-sqrt", warmup_steps=50, end_value=0.003).with_provenance(trial=7)
    joined = lower_second_stage(finished, 3000)
    factor, step = joined.provenance["factor"], joined.provenance["branch_off_step"]
    assert isinstance(factor, float)
    assert step == 1600
    assert joined.provenance["trial"] == 7
    assert joined.budget == 3000
    values = joined.values()
    np.testing.assert_allclose(values[:1600], finished.values()[:1600], rtol=1e-14)
    np.testing.assert_allclose(values[1600:2401], factor * 0.3, rtol=1e-14)
    assert values[2401] < factor * 0.3 * 0.999
    z = np.arange(600) / 600
    np.testing.assert_allclose(
        values[2400:], 0.003 + (factor * 0.3 - 0.003) * (1 - np.sqrt(z)), rtol=1e-12
    )


def test_the_peak_and_its_units_do_not_matter() -> None:
    assert second_stage_factor(wsd(500, peak=1e-4), 800) == pytest.approx(
        second_stage_factor(wsd(500, peak=1e3), 800)
    )


# Nonsense.


@pytest.mark.parametrize("transfer", [longer_cooldown, lower_second_stage])
def test_nonsense_is_refused_by_name(transfer: object) -> None:
    assert callable(transfer)
    with pytest.raises(InvalidScheduleError, match=r"'wsd' can be .* got family 'cosine'"):
        transfer(Schedule("cosine", 0.1, 100), 200)
    with pytest.raises(InvalidScheduleError, match=r"'wsd' can be .* got 0\.1"):
        transfer(0.1, 200)
    for budget in (400, 399):
        with pytest.raises(InvalidScheduleError, match=f"above the 400 steps .* got {budget}"):
            transfer(wsd(400), budget)
    for budget in (800.0, True, "800"):
        with pytest.raises(InvalidScheduleError, match="budget must be a whole number"):
            transfer(wsd(400), budget)


def test_a_second_stage_needs_a_first() -> None:
    with pytest.raises(
        InvalidScheduleError, match="never constant: cooldown or averaging begin at 0"
    ):
        lower_second_stage(wsd(100, cooldown=1.0), 200)
    with pytest.raises(InvalidScheduleError, match="begin at 80, right after a warm-up of 80"):
        lower_second_stage(wsd(100, warmup_steps=80), 200)


def test_unknown_criterion() -> None:
    with pytest.raises(InvalidScheduleError, match="'same-peak', 'least-bound', got 'best'"):
        second_stage_factor(wsd(), 8000, "best")


def test_an_end_value_above_the_second_stage() -> None:
    with pytest.raises(InvalidScheduleError, match=r"at or below end_value = 0\.25"):
        lower_second_stage(wsd(100, end_value=0.25), 10_000, "least-bound")
    with pytest.raises(
        InvalidScheduleError, match="no second stage makes the old peak the optimum"
    ):
        lower_second_stage(wsd(100, end_value=0.25), 10_000)


def test_averaging_moves_the_branch_off_and_nothing_else() -> None:
    late, early = Averaging(0.9), Averaging(0.5)
    plain = lower_second_stage(wsd(1000), 2000)
    assert replace(plain, averaging=late) == lower_second_stage(wsd(1000, averaging=late), 2000)
    averaged = wsd(1000, averaging=early)
    joined = lower_second_stage(averaged, 2000)
    first, second = joined.parameters["parts"]
    assert (first.budget, joined.averaging) == (500, early)  # weights are averaged from there on
    assert second.budget - second.stable_steps == 400  # the cooldown keeps its share of the whole
    assert continues(joined, averaged, 500)
    longer = longer_cooldown(averaged, 2000)
    assert longer.provenance["branch_off_step"] == 500
    assert continues(longer, averaged, 500)


def test_an_end_value_counts() -> None:
    finished = wsd(400, end_value=0.05)
    joined = lower_second_stage(finished, 900)
    assert optimal_peak(joined) == pytest.approx(optimal_peak(finished), rel=1e-6)


def test_extremes_of_length() -> None:
    assert 0.0 < second_stage_factor(wsd(40), 36_000, "least-bound") < 0.045
    assert second_stage_factor(wsd(17), 18) == 1.0
    with pytest.raises(InvalidScheduleError, match="above the 100 steps"):
        longer_cooldown(wsd(100, warmup_steps=60), 50)
    tiny = Schedule("wsd", 0.3, 8, {"cooldown": 0.3122, "cooldown_shape": "exponential"}, 1)
    longer = longer_cooldown(tiny, 10)
    assert longer.budget - longer.provenance["cooldown_step"] == 3  # type: ignore[operator]
