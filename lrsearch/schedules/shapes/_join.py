"""Join: schedules that follow one another in one run.

A join is a family like any other: its parts are schedules with peaks relative to the largest, and
their budgets add up to the steps after the warm-up. So it has a peak, rescales, and is exported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes._parts import Parts

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule


def join(*schedules: Schedule) -> Schedule:
    """Return the schedule that runs these one after the other.

    The budget is the sum of theirs, the peak the largest of theirs; each keeps its own warm-up and
    end. Learning rates agree with those of the parts to the last bit or two.

    Raises:
        InvalidScheduleError: If there is none, or one averages weights or cycles momentum.
    """
    from lrsearch.schedules._schedule import Schedule

    for index, schedule in enumerate(schedules):
        if not isinstance(schedule, Schedule):
            raise InvalidScheduleError(f"part {index} must be a schedule, got {show(schedule)}")
    peak = max((schedule.peak for schedule in schedules), default=0.0)
    parts = []
    for index, part in enumerate(schedules):
        relative = part.peak / peak
        if relative == 0.0:
            raise InvalidScheduleError(
                f"part {index} has a peak of {part.peak}, too far below the largest of {peak} for "
                "a float; leave it out"
            )
        # Rounding may not lift an end to its peak.
        end = min(part.end_value / peak, math.nextafter(relative, 0.0))
        parts.append(replace(part, peak=relative, end_value=end, provenance={}))
    budget = sum(part.budget for part in parts)
    return Schedule("join", peak or 1.0, budget or 1, {"parts": parts})


def _starts(parts: Sequence[Schedule]) -> list[int]:
    """Return the first step of every part, and the end."""
    return [0, *accumulate(part.budget for part in parts)]


def _join(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    parts = parameters["parts"]
    starts = _starts(parts)
    passed = span.steps - left
    which = np.minimum(np.searchsorted(starts, passed, side="right") - 1, len(parts) - 1)
    shape = np.empty_like(left)
    for index, part in enumerate(parts):
        here = which == index
        shape[here] = part.at(passed[here] - starts[index])
    return shape


def _mean(span: Span, parameters: Parameters) -> float:
    area = 0.0
    for part in parameters["parts"]:
        level = part.peak * part.mean_factor + part.end_value * (1.0 - part.mean_factor)
        warmup = part(part.warmup_steps) * part.warmup_steps / 2.0
        area += warmup + level * part.span.steps
    return area / span.steps


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    from lrsearch.schedules._body import learning_rate_lines

    parts = parameters["parts"]
    starts = _starts(parts)
    lines = ["passed = steps - left"]
    calls = [f"rate_{i}(passed - {start!r})" for i, start in enumerate(starts[:-1])]
    for index, part in enumerate(parts):
        body = (f"    {line}" for line in learning_rate_lines(part, dialect))
        lines += [f"def rate_{index}(step):", *body]
    within = [f"passed < {end!r}" for end in starts[1:-1]]
    if not within:
        return [*lines, f"shape = {calls[0]}"]
    if dialect.arrays:
        conditions, rates = ", ".join(within), ", ".join(calls[:-1])
        chosen = f"{dialect.module}.select([{conditions}], [{rates}], {calls[-1]})"
        return [*lines, f"shape = {chosen}"]
    for index, (condition, call) in enumerate(zip(within, calls, strict=False)):
        lines += [f"{'elif' if index else 'if'} {condition}:", f"    shape = {call}"]
    return [*lines, "else:", f"    shape = {calls[-1]}"]


def _room(budget: int, parameters: Parameters) -> int:
    return _starts(parameters["parts"])[-1]


def _resize(steps: int, parameters: Parameters) -> Parameters:
    """Return parts that keep their shares of the steps, rounded to whole steps."""
    parts = parameters["parts"]
    starts = _starts(parts)
    marks = [(2 * start * steps + starts[-1]) // (2 * starts[-1]) for start in starts]
    for index, part in enumerate(parts):
        if marks[index + 1] == marks[index]:
            raise InvalidScheduleError(
                f"{steps} steps are too few for a join of {len(parts)} parts: part {index} "
                f"({part.budget} of {starts[-1]} steps) would have none; give it a larger budget"
            )
    lengths = [b - a for a, b in pairwise(marks)]
    return {"parts": tuple(part.rescale(n) for part, n in zip(parts, lengths, strict=True))}


JOIN = Family(
    "join",
    _join,
    _mean,
    _source,
    "schedules that follow one another",
    parameters=(
        Parts(
            "parts", default=None, doc="a list of schedules; build it with lrsearch.schedules.join"
        ),
    ),
    room=_room,
    resize=_resize,
    starts_at_peak=False,
    monotone=False,
    reaches_end=False,
)
