"""A schedule as text for other programs; every format is a pure function of the schedule."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._document import dumps
from lrsearch.schedules._refuse_averaging import refuse_averaging
from lrsearch.schedules._refuse_tuner import refuse_tuner
from lrsearch.schedules._schedule import Schedule
from lrsearch.schedules._snippet import to_numpy, to_optax, to_torch


def to_json(schedule: Schedule) -> str:
    """Return the document as JSON text, the very text that `Schedule.save` writes.

    Raises:
        DocumentError: If the provenance is not JSON.
    """
    return dumps(schedule.to_dict())


def to_csv(schedule: Schedule) -> str:
    """Return one line `step,learning_rate` per update, after a header; floats read back exactly.

    A third column has the momentum where the schedule cycles it.

    Raises:
        UnsupportedError: If the schedule averages weights, which numbers cannot say.
    """
    refuse_averaging(schedule, "csv")
    refuse_tuner(schedule, "csv")
    values = schedule.values().tolist()
    if schedule.momentum(0) is None:
        rows = [f"{step},{value!r}" for step, value in enumerate(values)]
        return "\n".join(("step,learning_rate", *rows)) + "\n"
    rows = [f"{step},{value!r},{schedule.momentum(step)!r}" for step, value in enumerate(values)]
    return "\n".join(("step,learning_rate,momentum", *rows)) + "\n"


def to_transformers(schedule: Schedule, *, approximate: bool = False) -> str:
    """Return the keyword arguments of Hugging Face `TrainingArguments` as JSON.

    Raises:
        UnsupportedError: If that shape does not exist there exactly; see `training_arguments`.
    """
    arguments = schedule.transformers(approximate=approximate)
    return json.dumps(arguments, indent=2, sort_keys=True) + "\n"


EXPORT_FORMATS: Mapping[str, Callable[[Schedule], str]] = MappingProxyType(
    {
        "csv": to_csv,
        "json": to_json,
        "numpy": to_numpy,
        "optax": to_optax,
        "torch": to_torch,
        "transformers": to_transformers,
    }
)


def export(schedule: Schedule, format: str) -> str:
    """Return the schedule in one of `EXPORT_FORMATS`.

    Raises:
        InvalidScheduleError: If there is no such format; the message names those that there are.
        UnsupportedError: If the format cannot say what the schedule does.
        DocumentError: If the provenance is not JSON.
    """
    if not isinstance(format, str) or format not in EXPORT_FORMATS:
        raise InvalidScheduleError(
            f"unknown export format {show(format)}; known: {', '.join(EXPORT_FORMATS)}"
        )
    return EXPORT_FORMATS[format](schedule)
