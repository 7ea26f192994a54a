"""A space comes back from what a study remembers of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lrsearch.search import Engine, ScheduleSpace, TrialRecord, space_of

SPACES = [
    ScheduleSpace(200),
    ScheduleSpace(200, families=("two_phase", "wsd", "cdat"), multiplier=(0.5, 2.0), warmup=0.0),
    ScheduleSpace(300, warmup=(0.0, 0.1), parameters={"uba.phi": (0.5, 5.0), "wsd.cooldown": 0.2}),
    ScheduleSpace(
        100, families=("wsd",), parameters={"cooldown_shape": ["linear", "square"], "cooldown": 0.3}
    ),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_it_proposes_what_the_space_proposed(space: ScheduleSpace) -> None:
    stored = json.loads(json.dumps(space.fingerprint()))
    found = space_of(stored)
    assert found is not None
    assert json.loads(json.dumps(found.fingerprint())) == stored
    records: list[TrialRecord] = []
    for number in range(5):
        asked = Engine(space, 0).ask(number, records)
        assert Engine(found, 0).ask(number, records) == asked
        value = (float(np.log2(asked["edge_multiplier"]) ** 2 + 1),)
        records.append(TrialRecord(number=number, state="complete", parameters=asked, values=value))
    assert Engine(found, 0).outlook(records) == Engine(space, 0).outlook(records)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 99},
        {"dimensions": []},
        {"budget": "many"},
        {"dimensions": [{"name": "schedule_family", "choices": ["a family of tomorrow"]}]},
    ],
)
def test_what_this_version_does_not_know_is_no_space(change: dict[str, object]) -> None:
    assert space_of(ScheduleSpace(200).fingerprint() | change) is None
    assert space_of({}) is None
