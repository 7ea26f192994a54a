"""Every start of work on a trial, kept in the trial; so that one that kills its process ends.

A start is one entry: host, process, the step that it goes on from and the step of the last reading
that was there already. A start that is followed by another one, and that no worker ended on
purpose, died. Deaths are forgiven as soon as a later start finds a later checkpoint or reading.
When ``DEATHS`` in a row led to none, the trial is at fault, not whoever kills processes now and
then.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

import optuna

from lrsearch.integrations.optuna import ATTEMPTS_KEY, readings_of

DEATHS = 3


def attempts_of(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The starts of a trial's work, the first one first."""
    return list(attributes.get(ATTEMPTS_KEY) or ())


def restarts(attributes: Mapping[str, Any]) -> int:
    """How often a trial was begun again after its first start."""
    return max(0, len(attempts_of(attributes)) - 1)


def begin_attempt(trial: optuna.Trial, step: int, *, instead: bool = False) -> None:
    """Note that this process begins, at a step; ``instead`` of what it has noted before."""
    attributes = trial.user_attrs
    before = attempts_of(attributes)
    before = before[:-1] if instead else before
    entry = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "step": step,
        "seen": _last_reading(attributes),
    }
    trial.set_user_attr(ATTEMPTS_KEY, [*before, entry])


def leave_attempt(trial: optuna.Trial) -> None:
    """Note that this process leaves the trial open on purpose: that is no death."""
    *before, mine = attempts_of(trial.user_attrs)
    trial.set_user_attr(ATTEMPTS_KEY, [*before, mine | {"left": True}])


def cause_of_death(attributes: Mapping[str, Any], step: int) -> str | None:
    """Why a trial that nobody works on must not be begun again at this step, if so."""
    furthest, deaths = -1, 0
    for entry in attempts_of(attributes):
        reached = max(int(entry["step"]), int(entry.get("seen", 0)))
        if reached > furthest:
            furthest, deaths = reached, 0
        deaths += not entry.get("left", False)
    if deaths < DEATHS or max(step, _last_reading(attributes)) > furthest:
        return None
    return (
        f"its process died {deaths} times without coming further than step {furthest} (out of "
        "memory?)"
    )


def _last_reading(attributes: Mapping[str, Any]) -> int:
    return max((r.step for r in readings_of(attributes)), default=0)
