"""The declaration of a join's parts: schedules, or the documents of schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lrsearch.exceptions import DocumentError, InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._parameter import Parameter

if TYPE_CHECKING:
    from lrsearch.schedules._schedule import Schedule

# Joins in joins; a document may claim any depth, and every level costs a call.
DEEPEST = 8


class Parts(Parameter):
    """Schedules with a largest peak of 1, without averaging and without momentum of their own."""

    def check(self, value: object) -> tuple[Schedule, ...]:
        """Return the parts as schedules without provenance; documents are read.

        Raises:
            InvalidScheduleError: If there are none, one is no schedule, is a tuner, averages
                weights or cycles momentum, joins are nested too deeply, or the largest peak is
                not 1.
            DocumentError: If one is a document that cannot be read.
        """
        from lrsearch.schedules._refuse_averaging import without_averaging
        from lrsearch.schedules._schedule import Schedule

        if _depth(value) > DEEPEST:
            raise InvalidScheduleError(
                f"{self.name} holds joins in joins, more than {DEEPEST} deep; "
                "join the parts themselves"
            )
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            raise InvalidScheduleError(
                f"{self.name} must be a list of schedules, got {show(value)}"
            )
        parts = []
        for index, item in enumerate(value):
            where = f"{self.name}[{index}]"
            try:
                part = Schedule.from_dict(item) if isinstance(item, Mapping) else item
            except DocumentError as error:
                raise DocumentError(f"{where}: {error}") from error
            if not isinstance(part, Schedule):
                raise InvalidScheduleError(f"{where} must be a schedule, got {show(item)}")
            if part.tuned:
                raise InvalidScheduleError(
                    f"{where} is the tuner {part.family!r}, which sets its rate while training: "
                    "join what it did, lrsearch.schedules.distilled"
                )
            if part.averaging is not None:
                raise InvalidScheduleError(
                    f"{where} averages weights ({part.averaging}), which belongs to the whole run: "
                    f"join parts without it, {without_averaging(part)}, then "
                    "dataclasses.replace(joined, averaging=...)"
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


def _depth(value: object) -> int:
    """Return how many joins lie in one another, counted without recursion."""
    deepest, found = 0, [(1, value)]
    while found:
        depth, parts = found.pop()
        deepest = max(deepest, depth)
        if depth > DEEPEST or isinstance(parts, str) or not isinstance(parts, Sequence):
            continue
        for part in parts:
            inside = part.get("parameters") if isinstance(part, Mapping) else None
            inside = getattr(part, "parameters", inside)
            if isinstance(inside, Mapping) and "parts" in inside:
                found.append((depth + 1, inside["parts"]))
    return deepest
