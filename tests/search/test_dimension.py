"""One searched parameter: positions in its range, and what a user's setting makes of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.schedules import Parameter, get_family
from lrsearch.search import Dimension
from lrsearch.search._dimension import as_setting, shape_dimension

PHI, CYCLES = get_family("uba").parameters
COOLDOWN, SHAPE, RATIO = get_family("wsd").parameters


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(0.0, 1.0), st.booleans())
def test_positions_and_values_are_inverse(low: float, width: float, at: float, log: bool) -> None:
    dimension = Dimension("x", low, low + width, log)
    value = dimension.from_unit(at)
    assert low <= value <= low + width
    assert dimension.from_unit(dimension.to_unit(value)) == pytest.approx(value, rel=1e-9)


def test_log_and_linear_middles() -> None:
    assert Dimension("x", 1.0, 100.0, True).from_unit(0.5) == pytest.approx(10.0)
    assert Dimension("x", 1.0, 100.0).from_unit(0.5) == pytest.approx(50.5)
    assert Dimension("x", 1.0, 100.0, True).to_unit(10.0) == pytest.approx(0.5)
    assert Dimension("x", 1.0, 100.0).to_unit(10.0) == pytest.approx(1 / 11)


@pytest.mark.parametrize("log", [True, False])
def test_a_range_of_one_point(log: bool) -> None:
    dimension = Dimension("x", 0.1, 0.1, log)
    assert dimension.to_unit(0.1) == 0.5
    assert dimension.from_unit(0.7) == 0.1


@pytest.mark.parametrize("beyond", [-1.0, 2.0])
def test_beyond_the_range_is_cut(beyond: float) -> None:
    assert 1.0 <= Dimension("x", 1.0, 2.0, True).from_unit(beyond) <= 2.0
    assert 1.0 <= Dimension("x", 1.0, 2.0).from_unit(beyond) <= 2.0


def test_plain_forms() -> None:
    ranged = Dimension("x", 1.0, 2.0, True, family="uba", default=1.5)
    assert ranged.to_dict() == {"name": "x", "low": 1.0, "high": 2.0, "log": True}
    chosen = Dimension("y", choices=("a", 2.0))
    assert json.loads(json.dumps(chosen.to_dict())) == {"name": "y", "choices": ["a", 2.0]}


def test_settings_are_numbers_as_floats() -> None:
    assert isinstance(as_setting(2), float)
    assert as_setting(True) is True
    assert as_setting("linear") == "linear"
    assert as_setting((1, 2)) == (1, 2)


@pytest.mark.parametrize(
    ("declared", "setting", "expected"),
    [
        (PHI, None, Dimension("f_phi", 0.25, 10.0, True, family="f", default=1.0)),
        (PHI, (2, 5), Dimension("f_phi", 2.0, 5.0, True, family="f", default=None)),
        (PHI, (0.5, 5.0), Dimension("f_phi", 0.5, 5.0, True, family="f", default=1.0)),
        (PHI, [4, 1], Dimension("f_phi", choices=(4.0, 1.0), family="f", default=4.0)),
        (PHI, 2.0, None),
        (CYCLES, None, None),
        (CYCLES, 3.0, None),
        (CYCLES, (2, 4), Dimension("f_cycles", choices=(2.0, 3.0, 4.0), family="f", default=2.0)),
        (CYCLES, [1, 5], Dimension("f_cycles", choices=(1.0, 5.0), family="f", default=1.0)),
        (RATIO, None, None),
        (
            RATIO,
            (0.05, 0.2),
            Dimension("f_cooldown_ratio", 0.05, 0.2, True, family="f", default=0.1),
        ),
        (COOLDOWN, None, Dimension("f_cooldown", 0.1, 0.5, family="f", default=0.2)),
        (
            SHAPE,
            None,
            Dimension(
                "f_cooldown_shape", choices=("linear", "1-sqrt"), family="f", default="1-sqrt"
            ),
        ),
        (
            SHAPE,
            ("1-sqrt", "linear"),
            Dimension(
                "f_cooldown_shape", choices=("1-sqrt", "linear"), family="f", default="1-sqrt"
            ),
        ),
        (SHAPE, "linear", None),
    ],
)
def test_what_a_setting_makes(
    declared: Parameter, setting: object, expected: Dimension | None
) -> None:
    assert shape_dimension("f", declared, setting) == expected  # type: ignore[arg-type]
