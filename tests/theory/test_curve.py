"""A curve is checked where it is made, and the message says what to do."""

from __future__ import annotations

import numpy as np
import pytest

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule
from lrsearch.theory import (
    AnnealingLaw,
    Curve,
    LawFit,
    MultiPowerLaw,
    fit_annealing_law,
    fit_multi_power_law,
    optimal_peak,
    optimal_schedule,
)


def test_a_curve_holds_read_only_copies() -> None:
    rates = np.full(4, 0.1)
    curve = Curve(rates, [1, 4], [3.0, 2.0])
    rates[:] = 5.0
    assert curve.peak == 0.1
    assert curve.steps.dtype == np.int64
    assert curve.losses.tolist() == [3.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        curve.losses[0] = 1.0


def test_failed_readings_may_be_nan() -> None:
    curve = Curve([0.1, 0.1], [1, 2], [3.0, float("nan")])
    assert np.isnan(curve.losses[1])


@pytest.mark.parametrize(
    ("rates", "steps", "losses", "message"),
    [
        ([], [1], [1.0], "one value an update, got none"),
        ([0.0, 0.0], [1], [1.0], "all 0"),
        ([0.1, -0.2], [1], [1.0], "got -0.2 at update 1"),
        ([0.1, float("nan")], [1], [1.0], "got nan at update 1"),
        ([[0.1]], [1], [1.0], r"shape \(1, 1\)"),
        (["a"], [1], [1.0], "must be numbers"),
        ([0.1, 0.1], [0, 1], [1.0, 1.0], r"\[1, 2\].*got 0; .*add 1 where"),
        ([0.1, 0.1], [1, 3], [1.0, 1.0], "got 3"),
        ([0.1, 0.1], [2, 1], [1.0, 1.0], "got 1 after 2"),
        ([0.1, 0.1], [1, 1], [1.0, 1.0], "got 1 after 1"),
        ([0.1, 0.1], [1.5], [1.0], "whole numbers"),
        ([0.1, 0.1], [], [], "whole numbers"),
        ([0.1, 0.1], [1, 2], [1.0], "1 losses for 2 steps"),
        ([0.1, 0.1], [1, 2], [1.0, 0.0], "got 0.0 at step 2; mark failed"),
    ],
)
def test_what_makes_no_sense_is_refused(
    rates: object, steps: object, losses: object, message: str
) -> None:
    with pytest.raises(InvalidScheduleError, match=message):
        Curve(rates, steps, losses)  # type: ignore[arg-type]


def test_steps_may_come_as_a_file_gives_them() -> None:
    curve = Curve([0.1, 0.1, 0.1], np.array([1.0, 3.0]), [2.0, 1.0])
    assert curve.steps.tolist() == [1, 3]
    assert curve.steps.dtype == np.int64


def test_a_schedule_is_its_learning_rates() -> None:
    schedule = Schedule("cosine", 3e-4, 500, warmup_steps=20)
    assert Curve(schedule, [500], [2.0]).learning_rates.tolist() == schedule.values().tolist()
    for law in (AnnealingLaw(2.0, 0.5, 0.5, 0.4), MultiPowerLaw(2.0, 0.5, 0.5, 400, 2, 0.6, 0.6)):
        losses = law.predict(schedule, [100, 500])
        assert losses.tolist() == law.predict(schedule.values(), [100, 500]).tolist()
        assert law.predict(schedule).tolist() == [pytest.approx(law.final_loss(schedule))]
        assert law.predict(schedule, 100).tolist() == losses[:1].tolist()


def test_a_single_curve_is_no_list_of_curves() -> None:
    curve = Curve(Schedule("linear", 0.1, 100), np.arange(1, 101), np.linspace(2, 1, 100))
    for fit in (fit_annealing_law, fit_multi_power_law):
        with pytest.raises(InvalidScheduleError, match="a list of Curve, got one"):
            fit(curve)  # type: ignore[operator]


def test_a_fit_is_as_good_as_its_law() -> None:
    law = MultiPowerLaw(2.0, 0.5, 0.5, 400.0, 2.0, 0.6, 0.6)
    fit = LawFit(law, (1.0,), 0.0, True, "")
    best = optimal_schedule(fit, 300, 3e-4, knots=9)
    assert best == optimal_schedule(law, 300, 3e-4, knots=9)
    assert best.provenance["predicted_loss"] == pytest.approx(law.final_loss(best))


def test_names_are_no_schedules() -> None:
    with pytest.raises(InvalidScheduleError, match="optimal_peak takes a Schedule, got 'cosine'"):
        optimal_peak("cosine")  # type: ignore[arg-type]


def test_unsigned_steps_must_increase_too() -> None:
    with pytest.raises(InvalidScheduleError, match="steps must increase, got 50 after 90"):
        Curve(np.ones(100), np.array([90, 50, 20], dtype=np.uint8), [1.0, 1.0, 1.0])
    for steps in ([1.0, np.inf], [[1], [2, 3]]):
        with pytest.raises(InvalidScheduleError, match="whole numbers"):
            Curve(np.ones(100), steps, [1.0, 1.0])  # type: ignore[arg-type]
