"""The body of a function of the step, as code, in any dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes import get_family

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule


@dataclass(frozen=True)
class Names:
    """How the numbers of a schedule are spelt: constants of the module, or the numbers."""

    peak: str = "PEAK"
    end: str = "END"
    budget: str = "BUDGET"
    warmup: str = "WARMUP"
    start: str = "START"


CONSTANTS = Names()


def body(
    schedule: Schedule, dialect: Dialect, names: Names = CONSTANTS, *, momentum: bool = False
) -> list[str]:
    """Return the body of a function of `step` that returns the learning rate, or the momentum."""
    family = get_family(schedule.family)
    source = family.momentum_source if momentum else family.source
    left = dialect.minimum(dialect.maximum(f"{names.budget} - step", "0"), "steps")
    lines = [f"steps = {names.budget} - {names.warmup}", f"left = {left}"]
    if source is not None:
        lines += source(dialect, schedule.span, schedule.parameters)
    if momentum:
        return [*lines, "return momentum"]
    warmup = f"{names.start} * ((step + 1) / ({names.warmup} + 1))"
    rate = f"{names.peak} * shape + {names.end} * (1.0 - shape)"
    if dialect.arrays:
        chosen = dialect.where(f"step < {names.warmup}", "warmup", "rate")
        return [*lines, f"warmup = {warmup}", f"rate = {rate}", f"return {chosen}"]
    return [f"if step < {names.warmup}:", f"    return {warmup}", *lines, f"return {rate}"]


def learning_rate_lines(schedule: Schedule, dialect: Dialect) -> list[str]:
    """Return the body of a function of `step`, with the numbers written into it."""
    names = Names(
        repr(schedule.peak),
        repr(schedule.end_value),
        repr(schedule.budget),
        repr(schedule.warmup_steps),
        repr(schedule(schedule.warmup_steps)),
    )
    return body(schedule, dialect, names)
