"""Families against the recommended run: who is behind, by how much, and how well it is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lrsearch.exceptions import UnsupportedError
from lrsearch.search import FAMILY, MULTIPLIER, Engine, ScheduleSpace, TrialRecord

SPACE = ScheduleSpace(500, families=("linear", "cosine", "constant"))
OCTAVES = np.linspace(-2.0, 2.0, 9)


def record(number: int, family: str, octave: float, value: float) -> TrialRecord:
    parameters = {FAMILY: family, MULTIPLIER: 2.0**octave}
    return TrialRecord(number=number, state="complete", parameters=parameters, values=(value,))


def played(behind: dict[str, float], unit: float = 1.0, offset: float = 0.0) -> list[TrialRecord]:
    """Basins around the edge, every family by this share of the loss above the best one's."""
    rng = np.random.default_rng(0)
    return [
        record(i, family, x, unit * (1 + share) * math.exp(0.05 * x * x + 0.005 * noise) - offset)
        for i, (family, share, x, noise) in enumerate(
            (family, share, x, rng.standard_normal())
            for family, share in behind.items()
            for x in OCTAVES
        )
    ]


def test_a_family_that_is_behind_is_told_apart_and_by_how_much() -> None:
    found = Engine(SPACE, 0).standings(played({"linear": 0.0, "cosine": 0.01, "constant": 0.3}))
    assert [s.family for s in found] == ["linear", "cosine", "constant"]
    assert [s.runs for s in found] == [9, 9, 9]
    linear, cosine, constant = found
    assert not linear.told_apart
    assert abs(linear.gap) < 0.02
    assert constant.told_apart
    assert constant.low <= 0.3 <= constant.high
    assert constant.high - constant.low < 0.2
    assert cosine.low < 0.01 < cosine.high


def test_a_unit_changes_nothing() -> None:
    behind = {"linear": 0.0, "constant": 0.3}
    one, thousand = (Engine(SPACE, 0).standings(played(behind, unit)) for unit in (1.0, 1000.0))
    assert [s.gap for s in thousand] == pytest.approx([s.gap for s in one], rel=1e-6, abs=1e-9)


def test_an_accuracy_has_shares_too() -> None:
    """Maximised: values are negative, and a share is one of the best accuracy."""
    records = played({"linear": 0.0, "constant": 0.1}, offset=3.0)
    (_, constant) = Engine(SPACE, 0).standings(records)
    assert constant.gap == pytest.approx(0.1 / 2.0, rel=0.5)


def test_a_family_that_never_finished_has_no_standing() -> None:
    records = played({"linear": 0.0})
    hot = {FAMILY: "cosine", MULTIPLIER: 6.0}
    records.append(TrialRecord(number=99, state="stopped", side="hot", parameters=hot))
    assert [s.family for s in Engine(SPACE, 0).standings(records)] == ["linear"]
    assert Engine(SPACE, 0).standings(records[:3]) == []
    assert Engine(SPACE, 0).standings([]) == []


def test_several_objectives_are_refused() -> None:
    parameters = {FAMILY: "linear", MULTIPLIER: 1.0}
    record = TrialRecord(number=0, state="complete", parameters=parameters, values=(1.0, 2.0))
    with pytest.raises(UnsupportedError, match="one objective"):
        Engine(SPACE, 0).standings([record])
