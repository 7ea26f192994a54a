"""A reading: exact through JSON, nothing that is not a number, and the closed forms of rho."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.exceptions import DocumentError
from lrsearch.stability import Reading

few = settings(max_examples=100, deadline=None, derandomize=True)
finite = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | finite
FLOATS = sorted(
    {f.name for f in fields(Reading)}
    - {"step", "learning_rate", "budget", "finite", "tuned", "cost", "note"}
)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    return Reading(
        step=draw(st.integers(0, 10**9)),
        learning_rate=draw(finite),
        budget=draw(st.none() | st.integers(1, 10**9)),
        finite=draw(st.booleans()),
        tuned=draw(st.booleans()),
        cost=draw(finite),
        note=draw(st.none() | st.text()),
        **{name: draw(maybe) for name in FLOATS},
    )


def through_json(reading: Reading) -> Reading:
    return Reading.from_dict(json.loads(json.dumps(reading.to_dict(), allow_nan=False)))


@few
@given(readings())
def test_round_trip_is_exact(reading: Reading) -> None:
    again = through_json(reading)
    assert again == reading
    assert again.to_dict() == reading.to_dict()


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", FLOATS)
def test_what_is_no_number_is_dropped(name: str, value: float | None) -> None:
    reading = Reading(step=3, learning_rate=0.1, **{name: value})
    assert name not in reading.to_dict()
    assert through_json(reading) == Reading(step=3, learning_rate=0.1)


def test_zero_and_false_are_kept() -> None:
    plain = Reading(step=0, learning_rate=0.0, loss=0.0, finite=False).to_dict()
    assert plain["loss"] == 0.0
    assert plain["finite"] is False
    assert plain["step"] == 0


@pytest.mark.parametrize("version", [2, 99, None, "1"])
def test_another_version_is_refused(version: object) -> None:
    plain = Reading(step=1, learning_rate=0.1).to_dict() | {"version": version}
    with pytest.raises(DocumentError, match=rf"a reading of version {version!r}.*upgrade lrsearch"):
        Reading.from_dict(plain)


def test_without_a_version_is_refused() -> None:
    with pytest.raises(DocumentError, match="version None"):
        Reading.from_dict({"step": 1, "learning_rate": 0.1})


def test_unknown_fields_are_ignored_and_missing_ones_named() -> None:
    plain = Reading(step=1, learning_rate=0.1).to_dict()
    assert Reading.from_dict(plain | {"mood": 3}) == Reading(step=1, learning_rate=0.1)
    del plain["learning_rate"]
    with pytest.raises(DocumentError, match=r"not a reading: .*learning_rate"):
        Reading.from_dict(plain)


def test_rho_in_closed_form() -> None:
    reading = Reading(step=5, learning_rate=0.1, peak=0.4, sharpness=30.0, threshold=2.0)
    assert reading.rho == pytest.approx(0.1 * 30 / 2)
    assert reading.rho_at_peak == pytest.approx(0.4 * 30 / 2)


def test_rho_at_peak_without_a_peak_takes_the_rate() -> None:
    reading = Reading(step=5, learning_rate=0.1, sharpness=30.0, threshold=2.0)
    assert reading.rho_at_peak == reading.rho == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("sharpness", "threshold"), [(None, 2.0), (30.0, None), (30.0, 0.0), (None, None)]
)
def test_rho_is_none_without_its_parts(sharpness: float | None, threshold: float | None) -> None:
    reading = Reading(step=5, learning_rate=0.1, peak=0.4, sharpness=sharpness, threshold=threshold)
    assert reading.rho is None
    assert reading.rho_at_peak is None


def test_rho_keeps_the_sign_of_the_curvature() -> None:
    assert Reading(step=1, learning_rate=0.1, sharpness=-4.0, threshold=2.0).rho == -0.2


@pytest.mark.parametrize(
    ("step", "budget", "share"), [(25, 100, 0.25), (0, 10, 0.0), (3, None, None)]
)
def test_progress(step: int, budget: int | None, share: float | None) -> None:
    assert Reading(step=step, learning_rate=0.1, budget=budget).progress == share
