"""What averages weights cannot be said in learning rates alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrsearch.exceptions import UnsupportedError
from lrsearch.schedules.shapes._registry import get_family

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule


def without_averaging(schedule: Schedule) -> str:
    """Return how the same learning rates are had without averaging, as code."""
    if get_family(schedule.family).averages:
        return "dataclasses.replace(schedule, family='constant', parameters={}, averaging=None)"
    return "dataclasses.replace(schedule, averaging=None)"


def refuse_averaging(schedule: Schedule, where: str) -> None:
    """Do nothing for a schedule without averaging.

    Raises:
        UnsupportedError: If it has one, which would be lost.
    """
    if schedule.averaging is not None:
        first = schedule.averaging.first_step(schedule.budget)
        raise UnsupportedError(
            f"{where} cannot average weights, as this schedule does from update {first} on: "
            "use Schedule.torch(optimizer, model=model), or the formats torch and json; or "
            f"train without it: {without_averaging(schedule)}"
        )
