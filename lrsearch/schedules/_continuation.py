"""Whether the state of one run may be taken over by a scheduler of this schedule."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from lrsearch.exceptions import DocumentError, InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._schedule import Schedule


def identity(schedule: Schedule) -> dict[str, Any]:
    """Return the document without provenance: what makes two schedules equal."""
    document = replace(schedule, provenance={}).to_dict()
    return {name: value for name, value in document.items() if name != "provenance"}


def continues(schedule: Schedule, other: Schedule, steps: int) -> bool:
    """Whether a run of `other` may go on under `schedule` after `steps` updates.

    So far nothing may have depended on the budget of the other, no weights may have been averaged,
    and the learning rates must have been the same (to rounding).
    """
    phase = schedule.averaging
    begun = phase is not None and steps > phase.first_step(schedule.budget)
    stable = min(other.stable_steps, schedule.budget)
    if begun or not stable or steps > stable or schedule.momentum(0) is not None:
        return False
    past = np.arange(steps, dtype=np.float64)
    return bool(np.allclose(schedule.at(past), other.at(past), rtol=1e-12, atol=0.0))


def refuse_another(document: object, schedule: Schedule, steps: int) -> None:
    """Do nothing where the document is this schedule, or one that this one continues.

    Raises:
        InvalidScheduleError: Otherwise; the message names the field that differs.
    """
    if not isinstance(document, Mapping):
        raise InvalidScheduleError(f"schedule in the state is no document: {show(document)}")
    own = identity(schedule)
    state: Mapping[Any, Any] = document
    with suppress(DocumentError):
        other = Schedule.from_dict({**document, "provenance": {}})
        state = identity(other)  # an older document says the same in other words
        if continues(schedule, other, steps):
            return
    for name in sorted(set(own) | set(state), key=str):
        if name not in own or name not in state or state[name] != own[name]:
            raise InvalidScheduleError(
                f"the state belongs to another schedule: {name} is {show(state.get(name))} in the "
                f"state, {show(own.get(name))} here; build the scheduler from the schedule of "
                f"that run, or from one that continues it (Schedule.extend, from a checkpoint of "
                f"its stable phase; this one is of step {steps})"
            )
