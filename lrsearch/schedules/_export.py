"""A schedule as text for other programs; every format is a pure function of the schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._document import dumps
from lrsearch.schedules._schedule import Schedule
from lrsearch.schedules._snippet import to_torch


def to_json(schedule: Schedule) -> str:
    """Return the document as JSON text, the very text that `Schedule.save` writes.

    Raises:
        DocumentError: If the provenance is not JSON.
    """
    return dumps(schedule.to_dict())


def to_csv(schedule: Schedule) -> str:
    """Return one line `step,learning_rate` per update, after a header; floats read back exactly."""
    rows = (f"{step},{value!r}" for step, value in enumerate(schedule.values().tolist()))
    return "\n".join(("step,learning_rate", *rows)) + "\n"


EXPORT_FORMATS: Mapping[str, Callable[[Schedule], str]] = MappingProxyType(
    {"csv": to_csv, "json": to_json, "torch": to_torch}
)


def export(schedule: Schedule, format: str) -> str:
    """Return the schedule in one of `EXPORT_FORMATS`.

    Raises:
        InvalidScheduleError: If there is no such format; the message names those that there are.
        DocumentError: If the provenance is not JSON.
    """
    if not isinstance(format, str) or format not in EXPORT_FORMATS:
        raise InvalidScheduleError(
            f"unknown export format {show(format)}; known: {', '.join(EXPORT_FORMATS)}"
        )
    return EXPORT_FORMATS[format](schedule)
