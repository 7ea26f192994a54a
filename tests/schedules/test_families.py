"""Closed forms of the shapes, and what every family promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule, families, get_family


def test_families_are_known_by_name() -> None:
    assert families() == (
        *("constant", "linear", "cosine", "wsd", "uba"),
        *("polynomial", "exponential", "rex", "step", "inverse_sqrt", "power"),
        *("one_cycle", "cosine_restarts", "cyclic"),
        *("two_phase", "swa", "ema"),
    )
    for name in (*families(), "piecewise", "join"):
        assert get_family(name).name == name
        assert get_family(name).summary


@pytest.mark.parametrize("name", ["cosin", "", None, ["linear"]])
def test_unknown_family_names_the_known_ones(name: object) -> None:
    with pytest.raises(InvalidScheduleError, match="known: constant, linear, cosine, wsd, uba"):
        get_family(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", families())
def test_declared_parameters_are_consistent(name: str) -> None:
    for declared in get_family(name).parameters:
        assert declared.doc
        assert declared.check(declared.default) == declared.default
        assert declared.default in declared.searched or not declared.searched
        assert all(declared.check(value) == value for value in declared.searched)
        if declared.choices:
            assert declared.default in declared.choices
        elif not declared.searched:
            assert declared.minimum <= declared.low <= declared.default <= declared.high
            assert declared.check(declared.low) == declared.low
            assert declared.check(declared.high) == declared.high
            assert declared.low > 0 or not declared.log


def test_searched_ranges_and_defaults() -> None:
    cooldown, shape, ratio = get_family("wsd").parameters
    phi, cycles = get_family("uba").parameters
    assert (cooldown.name, cooldown.default, cooldown.low, cooldown.high) == (
        "cooldown",
        0.2,
        0.1,
        0.5,
    )
    assert (shape.name, shape.default, shape.searched) == (
        "cooldown_shape",
        "1-sqrt",
        ("linear", "1-sqrt"),
    )
    assert shape.choices == ("linear", "1-sqrt", "cosine", "square", "exponential")
    assert (ratio.name, ratio.default, ratio.matters, ratio.since) == (
        "cooldown_ratio",
        0.1,
        False,
        2,
    )
    assert (cycles.name, cycles.default, cycles.matters, cycles.since) == ("cycles", 1.0, False, 2)
    assert (phi.name, phi.default, phi.low, phi.high, phi.log) == ("phi", 1.0, 0.25, 10.0, True)


@pytest.mark.parametrize(
    ("family", "parameters", "said"),
    [
        ("wsd", {"cooldown": 0.0}, "cooldown must be > 0 and <= 1, got 0.0"),
        ("wsd", {"cooldown": 1.5}, "cooldown must be > 0 and <= 1, got 1.5"),
        ("wsd", {"cooldown": "0.2"}, "cooldown must be a finite number, got '0.2'"),
        ("wsd", {"cooldown_shape": "exp"}, "one of 'linear', '1-sqrt', .* got 'exp'"),
        ("wsd", {"cooldown_shape": 1.0}, "one of 'linear', '1-sqrt', .* got 1.0"),
        ("uba", {"cycles": 1.5}, "cycles must be a whole number >= 1 and <= 1e.06, got 1.5"),
        ("uba", {"cycles": 0}, "cycles must be a whole number >= 1 .* got 0"),
        ("rex", {"alpha": 1.0}, "alpha must be >= 0 and < 1, got 1.0"),
        ("step", {"factor": 1.0}, "factor must be > 0 and < 1, got 1.0"),
        ("step", {"drops": 2.5}, "drops must be a whole number >= 1 and <= 50, got 2.5"),
        ("two_phase", {"ratio": 1.0}, "ratio must be > 0 and < 1, got 1.0"),
        ("two_phase", {"share": 0.0}, "share must be > 0 and < 1, got 0.0"),
        ("swa", {"start": 1.0}, "start must be >= 0 and < 1, got 1.0"),
        ("ema", {"window": 0.0}, "window must be >= 1e-06 and <= 1, got 0.0"),
        ("piecewise", {}, "'piecewise' needs its parameter 'levels': two numbers or more"),
        ("piecewise", {"levels": 1.0}, "levels must be a list of two numbers or more, got 1.0"),
        ("piecewise", {"levels": [1.0]}, r"list of two numbers or more, got \[1.0\]"),
        ("piecewise", {"levels": "11"}, "list of two numbers or more, got '11'"),
        ("piecewise", {"levels": [0.1, math.nan]}, r"levels\[1\] must be a finite number, got nan"),
        ("piecewise", {"levels": [1.0, -0.1]}, r"levels\[1\] must be >= 0 and <= 1, got -0.1"),
        ("piecewise", {"levels": [0.1, 0.9]}, "the largest of levels must be 1, got 0.9; divide"),
        ("join", {}, "'join' needs its parameter 'parts': a list of schedules; build it with"),
        ("join", {"parts": []}, r"parts must be a list of schedules, got \[\]"),
        ("uba", {"phi": -1.0}, "phi must be >= 0, got -1.0"),
        ("uba", {"phi": math.nan}, "phi must be a finite number, got nan"),
        ("uba", {"phi": True}, "phi must be a finite number, got True"),
        ("uba", {"cooldown": 0.2}, "'uba' has no parameter 'cooldown'; it has 'phi', 'cycles'"),
        ("linear", {"phi": 1.0}, "'linear' has no parameter 'phi'; it has none"),
    ],
)
def test_illegal_shape_parameter_is_named(
    family: str, parameters: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidScheduleError, match=said):
        Schedule(family, 0.1, 100, parameters=parameters)  # type: ignore[arg-type]


def test_constant_never_leaves_the_peak() -> None:
    schedule = Schedule("constant", 0.3, 7, end_value=0.1)
    assert schedule.values().tolist() == [0.3] * 7
    assert schedule(7) == schedule(100) == 0.3


def test_linear_by_hand() -> None:
    schedule = Schedule("linear", 2.0, 4, end_value=1.0)
    assert schedule.values().tolist() == [2.0, 1.75, 1.5, 1.25]
    assert schedule(4) == schedule(9) == 1.0


def test_cosine_by_hand() -> None:
    t = np.arange(50)
    expected = 0.01 + (0.5 - 0.01) * (1 + np.cos(np.pi * t / 50)) / 2
    actual = Schedule("cosine", 0.5, 50, end_value=0.01).values()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-15)


def test_cosine_keeps_its_relative_accuracy_at_the_end() -> None:
    budget = 10**8
    last = Schedule("cosine", 1.0, budget)(budget - 1)
    assert last == pytest.approx((math.pi / 2 / budget) ** 2, rel=1e-12)


def test_wsd_linear_by_hand() -> None:
    schedule = Schedule("wsd", 1.0, 10, {"cooldown": 0.4, "cooldown_shape": "linear"})
    assert schedule.values().tolist() == [1.0] * 7 + [0.75, 0.5, 0.25]
    assert schedule(10) == 0.0


def test_wsd_one_minus_sqrt_by_hand() -> None:
    schedule = Schedule("wsd", 1.0, 20, {"cooldown": 0.2})
    expected = [1.0] * 17 + [1 - math.sqrt(x) for x in (0.25, 0.5, 0.75)]
    assert schedule.values().tolist() == expected
    assert schedule(17) == 0.5


def test_wsd_cooldown_is_a_share_of_the_whole_budget() -> None:
    schedule = Schedule("wsd", 1.0, 100, {"cooldown": 0.5}, warmup_steps=50)
    assert schedule(49) < schedule(50) == 1.0 > schedule(51)


def test_wsd_cooldown_has_whole_steps() -> None:
    # 0.29 * 100 = 28.999999999999996: cutting it would lose a step.
    schedule = Schedule("wsd", 1.0, 100, {"cooldown": 0.29})
    assert schedule(71) == 1.0 > schedule(72) == 1.0 - math.sqrt(1 / 29)
    least = Schedule("wsd", 1.0, 10, {"cooldown": 1e-9})
    assert least(9) == 1.0
    assert least(10) == 0.0


def test_wsd_cooldown_of_the_whole_budget() -> None:
    wsd = Schedule("wsd", 1.0, 10, {"cooldown": 1.0, "cooldown_shape": "linear"})
    np.testing.assert_allclose(wsd.values(), Schedule("linear", 1.0, 10).values(), atol=1e-15)


def test_wsd_cooldown_must_fit_after_the_warmup() -> None:
    Schedule("wsd", 1.0, 100, {"cooldown": 0.4}, warmup_steps=60)
    with pytest.raises(InvalidScheduleError, match=r"needs 40 of 100 steps .* leaves 39"):
        Schedule("wsd", 1.0, 100, {"cooldown": 0.4}, warmup_steps=61)


MEANS = [
    ("constant", {}, 1.0),
    ("linear", {}, 0.5),
    ("cosine", {}, 0.5),
    ("wsd", {"cooldown": 0.2, "cooldown_shape": "linear"}, 0.875),
    ("wsd", {"cooldown": 0.2, "cooldown_shape": "1-sqrt"}, 1 - 2 / 3 / 4),
    ("uba", {"phi": 0.0}, 1.0),
    ("uba", {"phi": 0.5}, 2 / 3),
    ("uba", {"phi": 2.0}, 0.5),
    ("uba", {"phi": 5.0}, 0.387426),
    ("uba", {"phi": 5.0, "cycles": 4}, 0.387426),
    ("wsd", {"cooldown": 0.2, "cooldown_shape": "cosine"}, 0.875),
    ("wsd", {"cooldown": 0.2, "cooldown_shape": "square"}, 1 - 1 / 3 / 4),
    (
        "wsd",
        {"cooldown": 0.2, "cooldown_shape": "exponential"},
        1 - (1 - 1 / math.log(10) + 1 / 9) / 4,
    ),
    ("polynomial", {"power": 3.0}, 0.25),
    ("exponential", {"ratio": 0.1}, 1 / math.log(10) - 1 / 9),
    ("exponential", {"ratio": 0.9999}, 0.5 - 1e-4 / 12),
    ("rex", {"alpha": 0.5}, 2 - 2 * math.log(2)),
    ("rex", {"alpha": 0.01}, 0.5 + 0.01 / 6 + 0.01**2 / 12 + 0.01**3 / 20),
    ("step", {"drops": 3, "factor": 0.1, "spacing": "halving"}, 0.5 + 0.025 + 0.00125 + 0.000125),
    ("inverse_sqrt", {"timescale": 0.8 / 3}, 2 / 3),
    (
        "power",
        {"cap": 0.5, "cooldown": 0.1, "exponent": 0.0},
        1 - (1 - 1 / math.log(10) + 1 / 9) / 8,
    ),
    ("one_cycle", {"rise": 0.25, "start": 0.04}, 0.25 * 0.52 + 0.75 * 0.5),
    ("cosine_restarts", {"cycles": 3, "growth": 2}, 0.5),
    ("cyclic", {"cycles": 1, "low": 0.2}, (0.6 + 0.5) / 2),
    ("cyclic", {"cycles": 2, "low": 0.0, "decay": 0.5, "rise": 0.25}, 0.375),
    ("two_phase", {"ratio": 0.1}, 0.55),
    ("two_phase", {"ratio": 0.02, "share": 0.25}, 0.25 + 0.75 * 0.02),
    ("swa", {"start": 0.3}, 1.0),
    ("ema", {"window": 0.1}, 1.0),
]


@pytest.mark.parametrize(("family", "parameters", "mean"), MEANS)
def test_mean_factor(family: str, parameters: dict[str, float | str], mean: float) -> None:
    # One fifth of the budget warms up: the mean is over the other four, and knows no end.
    budget = 20_000
    schedule = Schedule(family, 3.0, budget, parameters, warmup_steps=budget // 5)
    cycles = float(parameters.get("cycles", 1))
    summed = schedule.values()[budget // 5 :].mean() / schedule.peak
    assert schedule.mean_factor == pytest.approx(mean, abs=1e-6)
    assert schedule.mean_factor == pytest.approx(summed, abs=cycles / (0.8 * budget))
    ended = Schedule(family, 3.0, budget, parameters, budget // 5, end_value=1.0)
    assert ended.mean_factor == schedule.mean_factor


def test_two_phases_by_hand() -> None:
    schedule = Schedule("two_phase", 1.0, 10, {"ratio": 0.25, "share": 0.4})
    assert schedule.values().tolist() == [1.0] * 4 + [0.25] * 6
    assert schedule(10) == schedule(11) == 0.25
    # The first phase is a share of the steps after the warm-up, and the end is a floor.
    warm = Schedule("two_phase", 1.0, 10, {"ratio": 0.25}, 4, 0.2)
    assert warm.values().tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 0.4, 0.4, 0.4])


def test_two_phases_have_a_step_each() -> None:
    for share, high in ((1e-9, 1), (0.5, 2), (1 - 1e-9, 3)):
        values = Schedule("two_phase", 1.0, 4, {"ratio": 0.5, "share": share}).values()
        assert values.tolist() == [1.0] * high + [0.5] * (4 - high)
