"""Join: schedules that follow one another in one run.

A join is a family like any other: its parts are schedules with peaks relative to the largest, and
their budgets add up to the steps after the warm-up. So it has a peak, rescales, and is exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule


class Parts(Parameter):
    """Schedules with a largest peak of 1, without averaging and without momentum of their own."""

    def check(self, value: object) -> tuple[Schedule, ...]:
        """Return the parts as schedules without provenance; documents are read.

        Raises:
            InvalidScheduleError: If there are none, one is no schedule, averages weights or
                cycles momentum, or the largest peak is not 1.
            DocumentError: If one is a document that cannot be read.
        """
        from lrsearch.schedules._schedule import Schedule

        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            raise InvalidScheduleError(
                f"{self.name} must be a list of schedules, got {show(value)}"
            )
        parts = []
        for index, item in enumerate(value):
            part = Schedule.from_dict(item) if isinstance(item, Mapping) else item
            where = f"{self.name}[{index}]"
            if not isinstance(part, Schedule):
                raise InvalidScheduleError(f"{where} must be a schedule, got {show(item)}")
            if part.averaging is not None:
                raise InvalidScheduleError(
                    f"{where} averages weights ({part.averaging}); averaging belongs to the whole "
                    "run: leave it out of the parts and give it to the join"
                )
            if part.momentum(0) is not None:
                raise InvalidScheduleError(
                    f"{where} cycles momentum, which a join cannot hand over; "
                    "give it momentum='kept'"
                )
            parts.append(replace(part, provenance={}))
        if max(part.peak for part in parts) != 1.0:
            raise InvalidScheduleError(
                f"the largest peak of {self.name} must be 1, got {max(p.peak for p in parts)!r}; "
                "build it with lrsearch.schedules.join, which divides by it"
            )
        return tuple(parts)

    def plain(self, value: tuple[Schedule, ...]) -> list[Any]:
        """Return the documents of the parts."""
        return [part.to_dict() for part in value]


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
    parts = [
        replace(part, peak=part.peak / peak, end_value=part.end_value / peak, provenance={})
        for part in schedules
    ]
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
    area = sum(float(part.values().sum()) for part in parameters["parts"])
    return area / span.steps


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    from lrsearch.schedules._snippet import learning_rate_lines

    parts = parameters["parts"]
    starts = _starts(parts)
    lines = ["passed = steps - left"]
    chosen = f"part_{len(parts) - 1}"
    for index, part in enumerate(parts):
        step = dialect.maximum(f"passed - {starts[index]!r}", "0")
        body = (f"    {line}" for line in learning_rate_lines(part, dialect))
        lines += [f"def rate_{index}(step):", *body, f"part_{index} = rate_{index}({step})"]
    for index in reversed(range(len(parts) - 1)):
        chosen = dialect.where(f"passed < {starts[index + 1]!r}", f"part_{index}", chosen)
    return [*lines, f"shape = {chosen}"]


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
