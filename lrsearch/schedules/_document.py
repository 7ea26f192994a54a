"""The schedule as a JSON document: written whole, read with suspicion, never executed."""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lrsearch.exceptions import DocumentError
from lrsearch.schedules._averaging import Averaging
from lrsearch.schedules._checks import show
from lrsearch.schedules.shapes._registry import get_family

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

SCHEMA = "lrsearch/schedule"
VERSION = 2  # 2: averaging, parameters with `since=2`
FIELDS = (
    "family",
    "parameters",
    "peak",
    "budget",
    "warmup_steps",
    "end_value",
    "provenance",
    "averaging",
)


def encode(schedule: Schedule) -> dict[str, JSON]:
    """Return the document of a schedule.

    Raises:
        DocumentError: If the provenance holds something that is not JSON.
    """
    document: dict[str, JSON] = {"schema": SCHEMA, "version": VERSION}
    for name in FIELDS:
        document[name] = plain(_value(schedule, name), name)
    return document


def _value(schedule: Schedule, name: str) -> object:
    if name == "averaging":
        return None if schedule.averaging is None else schedule.averaging.to_dict()
    if name == "parameters":
        declared = get_family(schedule.family).parameters
        return {item.name: item.plain(schedule.parameters[item.name]) for item in declared}
    return getattr(schedule, name)


def decode(document: object) -> dict[str, Any]:
    """Return the fields of a document; their values are checked by `Schedule` itself.

    Raises:
        DocumentError: If it is no schedule document, is from a newer version, or has keys or
            shape parameters too many or too few.
    """
    if not isinstance(document, Mapping):
        raise DocumentError(
            f"a schedule document must be a JSON object, got {show(document)}; "
            "write one with Schedule.save"
        )
    if document.get("schema") != SCHEMA:
        raise DocumentError(
            f"not a schedule document: schema is {show(document.get('schema'))}, "
            f"expected {SCHEMA!r}; write one with Schedule.save"
        )
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise DocumentError(
            f"schedule document: version must be a whole number >= 1, got {show(version)}"
        )
    if version > VERSION:
        raise DocumentError(
            f"schedule document: version {show(version)} is from the future: written by a newer "
            f"lrsearch (this one reads up to {VERSION}), upgrade lrsearch to read it"
        )
    expected = FIELDS if version >= 2 else FIELDS[:-1]
    _exactly(document, ("schema", "version", *expected), "key")
    family = get_family(document["family"])
    if isinstance(document["parameters"], Mapping):
        # Complete on paper too: a default that changes later must not change an old document.
        names = tuple(item.name for item in family.parameters if item.since <= version)
        _exactly(document["parameters"], names, f"parameter of family {family.name!r}")
    fields = {name: document[name] for name in expected}
    fields["provenance"] = plain(fields["provenance"], "provenance")
    averaging = fields.get("averaging")
    fields["averaging"] = None if averaging is None else Averaging.from_dict(averaging)
    return fields


def dumps(document: Mapping[str, JSON]) -> str:
    """Return the text of a document: sorted, indented, ASCII, with a final newline."""
    return json.dumps(document, allow_nan=False, sort_keys=True, indent=2) + "\n"


def write(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file whole: into a neighbour first, which then takes the place of the file.

    Raises:
        DocumentError: If that is impossible; a file that was there stays as it was.
    """
    target = Path(path)
    neighbour = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        try:
            with open(neighbour, "x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(neighbour, target)
        finally:
            neighbour.unlink(missing_ok=True)
    except OSError as error:
        raise DocumentError(
            f"cannot write {target}: {error.strerror or error}; "
            "choose a path in a folder that exists and is writable"
        ) from error


def read(path: str | os.PathLike[str]) -> Mapping[str, object]:
    """Return what a JSON file holds, whatever it is.

    Raises:
        DocumentError: If there is no such file, or if it is not strict JSON.
    """
    name = os.fspath(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise DocumentError(
            f"cannot read {name}: {error.strerror or error}; give the path of a schedule document"
        ) from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{name}: not JSON: not UTF-8 text ({error})") from error
    try:
        document: Mapping[str, object] = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats
        )
    except (ValueError, RecursionError) as error:
        raise DocumentError(
            f"{name}: not JSON that lrsearch wrote: {error}; write it with Schedule.save"
        ) from error
    return document


def _exactly(mapping: Mapping[Any, object], expected: tuple[str, ...], what: str) -> None:
    missing = [key for key in expected if key not in mapping]
    unknown = [key for key in mapping if key not in expected]
    if missing:
        raise DocumentError(f"schedule document: {what} {missing[0]!r} is missing; add it")
    if unknown:
        known = ", ".join(map(repr, expected)) or "none"
        raise DocumentError(
            f"schedule document: unknown {what} {show(unknown[0])} with value "
            f"{show(mapping[unknown[0]])}; remove it, known are: {known}"
        )


def plain(value: object, where: str) -> JSON:
    """Return a deep copy in plain JSON types; `where` is the path of the value, for messages.

    Raises:
        DocumentError: If something in it is not JSON.
    """
    try:
        return _copy(value, where)
    except RecursionError:
        raise DocumentError(f"{where} is nested too deeply for JSON; flatten it") from None


# Python neither writes nor reads whole numbers of more than 4,300 digits.
_MOST_BITS = 14_000


def _copy(value: object, where: str) -> JSON:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int) and value.bit_length() < _MOST_BITS:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, list | tuple):
        return [_copy(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {str(key): _copy(item, f"{where}.{key}") for key, item in value.items()}
    raise DocumentError(
        f"{where} cannot be stored as JSON: {show(value)}; "
        "use finite numbers, strings, booleans, None, lists, and dicts with string keys"
    )


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    items: dict[str, object] = {}
    for key, value in pairs:
        if key in items:
            raise ValueError(f"key {show(key)} appears twice")
        items[key] = value
    return items
