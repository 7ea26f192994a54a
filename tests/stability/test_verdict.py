"""A verdict: exact through JSON."""

from __future__ import annotations

import json

import pytest

from lrsearch.stability import CONTINUE, Verdict

STOP = Verdict(
    stop=True,
    regime="below the edge",
    reason="far below the edge: rho 0.05",
    side="cold",
    step=37,
    trend={"rho": 0.1 + 0.2, "readings": 3.0},
)


@pytest.mark.parametrize("verdict", [CONTINUE, STOP])
def test_round_trip_is_exact(verdict: Verdict) -> None:
    assert Verdict.from_dict(json.loads(json.dumps(verdict.to_dict(), allow_nan=False))) == verdict


def test_unknown_keys_are_ignored_and_missing_ones_default() -> None:
    assert Verdict.from_dict({**STOP.to_dict(), "mood": 3}) == STOP
    assert Verdict.from_dict({"stop": True}) == Verdict(stop=True)


def test_the_plain_form_is_a_copy() -> None:
    STOP.to_dict()["trend"]["rho"] = 7.0
    assert STOP.trend["rho"] == 0.1 + 0.2


def test_going_on_says_nothing() -> None:
    assert CONTINUE.stop is False
    assert CONTINUE.regime == "training"
    assert CONTINUE.reason == ""
    assert CONTINUE.side is None
