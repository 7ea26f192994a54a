"""What a tuner sets while training has no numbers before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrsearch.exceptions import UnsupportedError

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule


def refuse_tuner(schedule: Schedule, where: str) -> None:
    """Do nothing for a schedule whose rates are planned.

    Raises:
        UnsupportedError: If a tuner sets them.
    """
    if schedule.tuned:
        raise UnsupportedError(
            f"{where} cannot say what {schedule.family!r} does, which sets the rate while "
            "training: train with lrsearch.tuners.tuner_of(schedule, optimizer), or take what it "
            "did as a schedule (lrsearch.best_schedule of a study; lrsearch.schedules.distilled)"
        )
