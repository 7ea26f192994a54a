"""Where shapes meet whole steps: rounding, room, and the last step of every part."""

from __future__ import annotations

from typing import Any

import pytest

from lrsearch.exceptions import DocumentError, InvalidScheduleError
from lrsearch.schedules import Averaging, Schedule, get_family, join
from lrsearch.schedules.shapes import cooldown_steps


def peaks(schedule: Schedule) -> list[int]:
    """The steps at which the learning rate is the peak."""
    return [step for step in range(schedule.budget) if schedule(step) == schedule.peak]


@pytest.mark.parametrize(
    ("budget", "parameters", "starts"),
    [
        (11, {"cycles": 4}, [0, 3, 6, 8]),
        (10, {"cycles": 2, "growth": 1.7}, [0, 4]),
        (9, {"cycles": 1}, [0]),
        (7, {"cycles": 3, "growth": 2}, [0, 1, 3]),
    ],
)
def test_restarts_fall_on_whole_steps(
    budget: int, parameters: dict[str, Any], starts: list[int]
) -> None:
    assert peaks(Schedule("cosine_restarts", 0.3, budget, parameters)) == starts
    if "growth" not in parameters:
        assert peaks(Schedule("uba", 0.3, budget, parameters)) == starts


@pytest.mark.parametrize(
    ("family", "parameters", "room"),
    [
        ("cosine_restarts", {"cycles": 2, "growth": 1.5}, 3),
        ("cosine_restarts", {"cycles": 3, "growth": 100}, 10101),
        ("cyclic", {"cycles": 3}, 6),
        ("uba", {"cycles": 5}, 5),
        ("step", {"drops": 2}, 3),
        ("step", {"drops": 2, "spacing": "halving"}, 4),
    ],
)
def test_a_shape_has_the_steps_that_it_needs(
    family: str, parameters: dict[str, Any], room: int
) -> None:
    values = Schedule(family, 0.3, room, parameters).values()
    assert values.max() == 0.3
    with pytest.raises(InvalidScheduleError, match=rf"needs {room} of {room - 1} steps"):
        Schedule(family, 0.3, room - 1, parameters)
    declared = get_family(family)
    assert declared.room(1, declared.complete(parameters)) == room


def test_cycles_beyond_every_budget() -> None:
    with pytest.raises(InvalidScheduleError, match=r"needs \d+ of 1000 steps .* fewer steps"):
        Schedule("cosine_restarts", 0.3, 1000, {"cycles": 1e6, "growth": 2})


@pytest.mark.parametrize("rise", [0.0, 0.01, 0.3, 0.99, 1.0])
def test_a_triangle_has_a_step_up_and_a_step_down(rise: float) -> None:
    schedule = Schedule("cyclic", 0.3, 10, {"cycles": 1, "rise": rise})
    (top,) = peaks(schedule)
    assert top == min(max(round(10 * rise), 1), 9)
    assert schedule(10) == 0.0


@pytest.mark.parametrize(("rise", "top"), [(0.3, 3), (0.0, 0), (1.0, 8), (0.06, 1)])
def test_one_cycle_peaks_on_a_whole_step(rise: float, top: int) -> None:
    assert peaks(Schedule("one_cycle", 0.3, 9, {"rise": rise})) == [top]


@pytest.mark.parametrize(
    ("parameters", "budget", "drops"),
    [
        ({"drops": 2, "spacing": "halving"}, 7, [4, 5]),
        ({"drops": 1, "spacing": "halving"}, 7, [4]),
        ({"drops": 2}, 7, [2, 5]),
    ],
)
def test_drops_fall_on_whole_steps(
    parameters: dict[str, Any], budget: int, drops: list[int]
) -> None:
    values = Schedule("step", 1.0, budget, parameters).values()
    assert [s for s in range(1, budget) if values[s] < values[s - 1]] == drops


def test_halves_are_rounded_to_even() -> None:
    assert cooldown_steps(5, {"cooldown": 0.5}) == 2
    assert cooldown_steps(7, {"cooldown": 0.5}) == 4
    assert Averaging(0.29).first_step(100) == 29
    assert Averaging(0.5).first_step(5) == 2


def test_parts_of_a_join_keep_their_shares_rounded() -> None:
    run = join(Schedule("linear", 0.3, 1), Schedule("linear", 0.3, 2))
    assert [part.budget for part in run.rescale(5).parameters["parts"]] == [2, 3]
    alone = join(Schedule("linear", 1.0, 1)).parameters["parts"]
    warm = Schedule("join", 0.3, 100, {"parts": alone}, warmup_steps=99)
    assert warm.rescale(2).warmup_steps == 1


def test_a_piecewise_peak_may_fall_between_steps() -> None:
    assert not get_family("piecewise").reaches_peak
    assert Schedule("piecewise", 1.0, 5, {"levels": (0, 1, 0)}).values().max() == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("family", "parameters", "mean"),
    [
        ("rex", {"alpha": 1e-5}, 0.5 + 1e-5 / 6),
        ("exponential", {"ratio": 1 - 1e-8}, 0.5),
        ("power", {"exponent": 1 - 1e-16}, None),
        ("power", {"exponent": 1 + 2**-52}, None),
    ],
)
def test_means_where_closed_forms_cancel(
    family: str, parameters: dict[str, float], mean: float | None
) -> None:
    schedule = Schedule(family, 1.0, 10_000, parameters)
    summed = float(schedule.values().mean())
    assert schedule.mean_factor == pytest.approx(summed, abs=1e-3)
    if mean is not None:
        assert schedule.mean_factor == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize(
    ("family", "parameters", "said"),
    [
        ("cosine_restarts", {"growth": 101}, "growth must be >= 1 and <= 100, got 101"),
        ("exponential", {"ratio": 1.0}, "ratio must be >= 1e-300 and < 1, got 1.0"),
        ("piecewise", {"levels": b"\x01\x00"}, "must be a list of two numbers or more"),
    ],
)
def test_limits_are_refused_by_name(family: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidScheduleError, match=said):
        Schedule(family, 0.3, 100, parameters)


def test_the_range_is_kept_to_the_last_bit() -> None:
    end = 0.29999999999999993
    for name in ("exponential", "cyclic", "power", "rex", "uba"):
        values = Schedule(name, 0.3, 999, end_value=end).values()
        assert values.min() >= end
        assert values.max() <= 0.3


def test_close_and_distant_parts() -> None:
    part = Schedule("linear", 0.1, 10, end_value=0.09999999999999999)
    assert join(Schedule("linear", 3.0, 10), part)(15) == pytest.approx(0.1)
    with pytest.raises(InvalidScheduleError, match="part 1 has a peak of 1e-308, too far below"):
        join(Schedule("linear", 1e308, 5), Schedule("linear", 1e-308, 5))


def test_joins_in_joins_have_a_limit() -> None:
    run = Schedule("linear", 0.1, 4)
    for _ in range(8):
        run = join(run)
    with pytest.raises(InvalidScheduleError, match="joins in joins, more than 8 deep"):
        join(run)


def test_equal_schedules_have_equal_documents() -> None:
    assert Schedule("linear", 0.1, 9, end_value=-0.0).to_dict()["end_value"] == 0.0
    assert str(Schedule("linear", 0.1, 9, end_value=-0.0).to_dict()["end_value"]) == "0.0"


def test_giant_numbers_are_refused_in_a_sentence() -> None:
    for fields in ((10**5000, 10), (0.1, 10**5000)):
        with pytest.raises(InvalidScheduleError, match="thousands of digits"):
            Schedule("linear", *fields)
    with pytest.raises(DocumentError, match=r"provenance.edge cannot be stored as JSON: a value"):
        Schedule("linear", 0.1, 9, provenance={"edge": 10**5000}).to_dict()
