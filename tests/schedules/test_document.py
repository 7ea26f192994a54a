"""The JSON document: exact when written, suspicious when read."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrsearch.exceptions import DocumentError
from lrsearch.schedules import Averaging, Schedule, families, get_family, join, to_json

WSD = {"cooldown": 0.2, "cooldown_shape": "linear", "cooldown_ratio": 0.1}
PROVENANCE = {"study": "résnet\n", "trial": 3, "edge": 0.1 + 0.2, "versions": {"torch": [2, 13]}}


def document(**changes: Any) -> dict[str, Any]:
    """A legal document with some keys changed; `...` takes a key away."""
    schedule = Schedule("wsd", 0.1, 100, warmup_steps=10, provenance=PROVENANCE)
    changed = {**schedule.to_dict(), **changes}
    return {key: value for key, value in changed.items() if value is not ...}


def test_document_in_full() -> None:
    assert document() == {
        "schema": "lrsearch/schedule",
        "version": 2,
        "family": "wsd",
        "parameters": {"cooldown": 0.2, "cooldown_shape": "1-sqrt", "cooldown_ratio": 0.1},
        "peak": 0.1,
        "budget": 100,
        "warmup_steps": 10,
        "end_value": 0.0,
        "provenance": PROVENANCE,
        "averaging": None,
    }
    assert type(document()["parameters"]) is dict


@pytest.mark.parametrize("family", families())
def test_file_round_trip_is_exact(family: str, tmp_path: Path) -> None:
    averaging = Averaging(start=0.1 + 0.2, decay=0.99, every=3)
    own = get_family(family).averages
    given = None if own else averaging
    schedule = Schedule(family, 0.1 + 0.2, 77, {}, 5, 1e-17, PROVENANCE, given)
    assert own or schedule.averaging == averaging
    path = tmp_path / "best.json"
    schedule.save(path)
    twin = Schedule.load(str(path))
    assert twin == schedule
    assert twin.provenance == PROVENANCE
    assert (twin.peak, twin.end_value) == (0.1 + 0.2, 1e-17)


FIRST_VERSION = {
    "schema": "lrsearch/schedule",
    "version": 1,
    "peak": 0.1,
    "budget": 100,
    "warmup_steps": 10,
    "end_value": 0.0,
    "provenance": {},
}


@pytest.mark.parametrize(
    ("family", "parameters"),
    [("wsd", {"cooldown": 0.3, "cooldown_shape": "linear"}), ("uba", {"phi": 2.0}), ("cosine", {})],
)
def test_documents_of_the_first_version_are_read(family: str, parameters: dict[str, Any]) -> None:
    schedule = Schedule.from_dict({**FIRST_VERSION, "family": family, "parameters": parameters})
    assert schedule == Schedule(family, 0.1, 100, parameters, 10)
    assert schedule.averaging is None
    assert schedule.to_dict()["version"] == 2


def test_made_of_data_goes_through_a_file(tmp_path: Path) -> None:
    drawn = Schedule("piecewise", 0.1 + 0.2, 10, {"levels": (0.1, 1.0, 1 / 3)})
    run = join(drawn, Schedule("cosine", 0.1, 20, warmup_steps=3), join(drawn, drawn))
    for schedule in (drawn, run):
        schedule.save(tmp_path / "made.json")
        twin = Schedule.load(tmp_path / "made.json")
        assert twin == schedule
        assert twin.values().tolist() == schedule.values().tolist()


def test_a_document_of_joins_without_end_is_refused() -> None:
    part = Schedule("linear", 1.0, 9).to_dict()
    for _ in range(3000):
        part = {**part, "family": "join", "parameters": {"parts": [part]}}
    with pytest.raises(DocumentError, match="joins in joins, more than 8 deep"):
        Schedule.from_dict(part)


def test_a_bad_part_is_refused_by_name() -> None:
    good = join(Schedule("linear", 0.1, 9)).to_dict()
    part = {**good["parameters"]["parts"][0], "budget": 0}  # type: ignore[index,call-overload,dict-item]
    with pytest.raises(DocumentError, match=r"parts\[0\]: .*budget must be .* >= 1, got 0"):
        Schedule.from_dict({**good, "parameters": {"parts": [part]}})
    with pytest.raises(DocumentError, match=r"parts\[0\] must be a schedule, got 'linear'"):
        Schedule.from_dict({**good, "parameters": {"parts": ["linear"]}})


def test_file_is_sorted_indented_ascii_with_a_final_newline(tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    schedule = Schedule("linear", 0.1, 10, provenance={"b": 1, "a": "é"})
    schedule.save(path)
    text = path.read_bytes().decode("ascii")
    assert text == to_json(schedule)
    assert text.endswith("}\n")
    assert text.index('"a"') < text.index('"b"')
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_numbers_may_be_whole_in_hand_written_documents() -> None:
    schedule = Schedule.from_dict(document(peak=1, end_value=0))
    assert schedule.peak == 1.0
    assert type(schedule.peak) is float


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": "lrsearch/reading"}, "not a schedule document: schema is 'lrsearch/reading'"),
        ({"schema": ...}, "not a schedule document: schema is None"),
        ({"version": 3}, "version 3 is from the future: written by a newer lrsearch.*upgrade"),
        ({"version": 3, "shiny": 1}, "from the future"),
        ({"version": 0}, "version must be a whole number >= 1, got 0"),
        ({"version": True}, "version must be a whole number >= 1, got True"),
        ({"version": "1"}, "version must be a whole number >= 1, got '1'"),
        ({"version": ...}, "version must be a whole number >= 1, got None"),
        ({"family": "sgdr"}, "unknown schedule family 'sgdr'; known: constant"),
        ({"family": ["wsd"]}, r"unknown schedule family \['wsd'\]"),
        ({"shiny": 1}, "unknown key 'shiny' with value 1; remove it"),
        ({"peak": ...}, "key 'peak' is missing"),
        ({"provenance": ...}, "key 'provenance' is missing"),
        ({"peak": "0.1"}, "peak must be a finite number, got '0.1'"),
        ({"peak": math.nan}, "peak must be a finite number, got nan"),
        ({"peak": math.inf}, "peak must be a finite number, got inf"),
        ({"peak": True}, "peak must be a finite number, got True"),
        ({"peak": None}, "peak must be a finite number, got None"),
        ({"peak": -1.0}, "peak must be above 0, got -1.0"),
        ({"budget": "600"}, "budget must be a whole number >= 1, got '600'"),
        ({"budget": 600.5}, "budget must be a whole number >= 1, got 600.5"),
        ({"budget": True}, "budget must be a whole number >= 1, got True"),
        ({"budget": 0}, "budget must be a whole number >= 1, got 0"),
        ({"warmup_steps": 1000}, "warmup_steps must be a whole number <= 99, got 1000"),
        ({"end_value": 0.1}, "end_value must be >= 0 and below the peak"),
        (
            {"parameters": {"cooldown": 0.2}},
            "parameter of family 'wsd' 'cooldown_shape' is missing",
        ),
        ({"parameters": {**WSD, "phi": 1.0}}, "unknown parameter of .* 'phi' with value 1.0"),
        ({"parameters": {**WSD, "cooldown": "x"}}, "cooldown must be a finite"),
        ({"averaging": ...}, "key 'averaging' is missing"),
        ({"averaging": 0.5}, "averaging must be null or an object with start, .*, got 0.5"),
        ({"averaging": {"start": 0.5}}, "averaging must be null or an object with start, decay"),
        (
            {"averaging": {"start": 1.5, "decay": None, "every": 1}},
            "averaging: start must be a fraction of the budget >= 0 and < 1, got 1.5",
        ),
        ({"version": 1}, "unknown key 'averaging' with value None"),
        ({"parameters": [["cooldown", 0.2]]}, "parameters must be a mapping"),
        ({"provenance": ["study"]}, "provenance must be a mapping"),
        ({"provenance": {"edge": math.nan}}, "provenance.edge cannot be stored as JSON: nan"),
        ({"provenance": {"edge": {1: 2}}}, r"provenance.edge cannot be stored as JSON: \{1: 2\}"),
    ],
)
def test_bad_documents_are_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        Schedule.from_dict(document(**changes))


@pytest.mark.parametrize("thing", [None, [], "lrsearch/schedule", 3])
def test_documents_are_objects(thing: Any) -> None:
    with pytest.raises(DocumentError, match="a schedule document must be a JSON object, got"):
        Schedule.from_dict(thing)


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(DocumentError) as refused:
        Schedule.from_dict(document(peak="9" * 10_000))
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"cos\x00\xff", "not UTF-8"),
        (b"[" * 200_000, "not JSON"),
        (b"[]", r"a schedule document must be a JSON object, got \[\]"),
        (to_json(Schedule("linear", 0.1, 9)).replace("0.1", "NaN").encode(), "NaN is not a JSON"),
        (to_json(Schedule("linear", 0.1, 9)).replace("0.1", "-Infinity").encode(), "-Infinity is"),
        (to_json(Schedule("linear", 0.1, 9)).replace("0.1", "1e999").encode(), "peak .* got inf"),
        (to_json(Schedule("linear", 0.1, 9)).replace("9", "9" * 5000).encode(), "not JSON"),
        (b'{"peak": 1, "peak": 2}', "key 'peak' appears twice"),
    ],
)
def test_bad_files_are_refused_with_their_path(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "best.json"
    path.write_bytes(content)
    with pytest.raises(DocumentError, match=said) as refused:
        Schedule.load(path)
    assert str(path) in str(refused.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"cannot read .*none\.json: No such file"):
        Schedule.load(tmp_path / "none.json")
    with pytest.raises(DocumentError, match=r"cannot read .*: Is a directory"):
        Schedule.load(tmp_path)
    with pytest.raises(DocumentError, match=r"cannot write .*best\.json: No such file.* exists"):
        Schedule("linear", 0.1, 9).save(tmp_path / "none" / "best.json")


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (math.inf, "provenance.edge"),
        (np.int64(3), "provenance.edge"),
        ({"deep": [0, {1, 2}]}, r"provenance.edge.deep\[1\]"),
        (b"bytes", "provenance.edge"),
    ],
)
def test_provenance_that_is_not_json_is_refused_on_save(
    value: Any, where: str, tmp_path: Path
) -> None:
    schedule = Schedule("linear", 0.1, 9).with_provenance(edge=value)
    with pytest.raises(DocumentError, match=f"{where} cannot be stored as JSON: .*; use finite"):
        schedule.save(tmp_path / "best.json")
    assert list(tmp_path.iterdir()) == []


def test_provenance_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(DocumentError, match="provenance is nested too deeply"):
        Schedule("linear", 0.1, 9).with_provenance(loop=loop).to_dict()


def test_document_shares_nothing_with_the_schedule() -> None:
    schedule = Schedule.from_dict(document())
    given = schedule.to_dict()
    given["provenance"]["versions"]["torch"].append("x")  # type: ignore[index,call-overload,union-attr]
    assert schedule.provenance == PROVENANCE


def test_numpy_floats_and_tuples_become_plain() -> None:
    schedule = Schedule("linear", 0.1, 9, provenance={"edge": np.float64(0.5), "pair": (1, 2)})
    provenance = schedule.to_dict()["provenance"]
    assert provenance == {"edge": 0.5, "pair": [1, 2]}
    assert type(provenance["edge"]) is float  # type: ignore[index,call-overload]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "best.json"
    old = Schedule("linear", 0.1, 9)
    old.save(path)

    def crash(source: object, target: object) -> None:
        assert json.loads(Path(str(source)).read_text()) == Schedule("cosine", 0.2, 9).to_dict()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(DocumentError, match=r"cannot write .*best\.json: No space left"):
        Schedule("cosine", 0.2, 9).save(path)
    assert Schedule.load(path) == old
    assert list(tmp_path.iterdir()) == [path]


def test_save_replaces_an_old_file(tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    Schedule("linear", 0.1, 9).save(path)
    Schedule("cosine", 0.2, 9).save(path)
    assert Schedule.load(path) == Schedule("cosine", 0.2, 9)
    assert list(tmp_path.iterdir()) == [path]
