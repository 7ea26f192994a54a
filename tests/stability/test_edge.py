"""The edge: refused where it makes no sense, exact through JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.exceptions import CalibrationError, DocumentError
from lrsearch.stability import Edge

few = settings(max_examples=100, deadline=None, derandomize=True)
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(1e-300, 1e300)
maybe = st.none() | finite
NAN_FREE = {"uncertainty": 0.5, "method": "annealed runs", "optimizer": "SGD"}


@st.composite
def edges(draw: st.DrawFn) -> Edge:
    return Edge(
        learning_rate=draw(positive),
        uncertainty=draw(finite),
        method=draw(st.text()),
        optimizer=draw(st.text()),
        usual_rate=draw(maybe),
        proxy_rate=draw(maybe),
        sharpness=draw(maybe),
        threshold=draw(maybe),
        proxy_steps=draw(st.integers(0, 10**6)),
        cost=draw(finite),
        trace=tuple(draw(st.lists(st.tuples(finite, maybe), max_size=4))),
    )


def through_json(edge: Edge) -> Edge:
    return Edge.from_dict(json.loads(json.dumps(edge.to_dict(), allow_nan=False)))


@few
@given(edges())
def test_round_trip_is_exact(edge: Edge) -> None:
    again = through_json(edge)
    assert again == edge
    assert hash(again) == hash(edge)  # the trace is a tuple of tuples again


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_become_none(value: float) -> None:
    edge = Edge(learning_rate=0.1, sharpness=value, trace=((0.1, value), (0.2, 1.5)), **NAN_FREE)
    again = through_json(edge)
    assert again.sharpness is None
    assert again.trace == ((0.1, None), (0.2, 1.5))


@pytest.mark.parametrize("rate", [0.0, -0.1, math.nan, math.inf, None, "0.1"])
def test_a_rate_that_trains_nothing_is_refused(rate: object) -> None:
    with pytest.raises(CalibrationError, match=r"finite and > 0, got") as caught:
        Edge.known(rate)  # type: ignore[arg-type]
    assert f"got {rate!r}:" in str(caught.value)
    assert "Edge.known(0.1)" in str(caught.value)


def test_an_edge_of_the_first_version_is_read() -> None:
    """It has no shift: its recipe had none."""
    plain = Edge.known(0.1).to_dict() | {"version": 1}
    del plain["shift"]
    assert Edge.from_dict(plain) == Edge.known(0.1)


@pytest.mark.parametrize("version", [3, 99, None, "1"])
def test_another_version_is_refused(version: object) -> None:
    plain = Edge.known(0.1).to_dict() | {"version": version}
    with pytest.raises(DocumentError, match=rf"an edge of version {version!r}.*upgrade lrsearch"):
        Edge.from_dict(plain)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": -1.0},
        {"learning_rate": None},
        {"mood": 3},
        {"trace": [[1.0, 2.0, 3.0]]},
        {"trace": [["fast", 2.0]]},
        {"trace": 5},
    ],
)
def test_what_is_no_edge_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DocumentError, match="not an edge: "):
        Edge.from_dict(Edge.known(0.1).to_dict() | change)


def test_reading_leaves_the_document_alone() -> None:
    plain = Edge.known(0.1).to_dict()
    before = json.dumps(plain)
    Edge.from_dict(plain)
    assert json.dumps(plain) == before


def test_a_known_edge_is_given_and_free() -> None:
    edge = Edge.known(0.3, optimizer="Adam")
    assert (edge.learning_rate, edge.method, edge.optimizer) == (0.3, "given", "Adam")
    assert (edge.cost, edge.rho, edge.trace) == (0.0, None, ())


def test_rho_in_closed_form() -> None:
    edge = Edge(learning_rate=0.1, sharpness=30.0, threshold=4.0, **NAN_FREE)
    assert edge.rho == pytest.approx(0.75)
    assert Edge(learning_rate=0.1, sharpness=30.0, threshold=0.0, **NAN_FREE).rho is None
    assert Edge(learning_rate=0.1, threshold=2.0, **NAN_FREE).rho is None
