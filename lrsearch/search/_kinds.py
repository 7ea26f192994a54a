"""Records by what they can tell, sorted once: a long study's past does not change."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from lrsearch.search._records import TrialRecord
from lrsearch.search._space import FAMILY, MULTIPLIER

_ENDED = ("complete", "stopped", "hot")


@dataclass(frozen=True, slots=True)
class Kinds:
    """Records by kind, in order of their numbers.

    Attributes:
        ended: All that do not run any more.
        complete: Finished ones, with a finite loss.
        stopped: Not for being too hot.
        hot: Too hot to have a finite loss.
        running: Not ended.
    """

    ended: list[TrialRecord] = field(default_factory=list)
    complete: list[TrialRecord] = field(default_factory=list)
    stopped: list[TrialRecord] = field(default_factory=list)
    hot: list[TrialRecord] = field(default_factory=list)
    running: list[TrialRecord] = field(default_factory=list)

    def grown(self, records: Sequence[TrialRecord]) -> Self:
        """Of these records; those that were the same, from the first on, are sorted already.

        Nothing is changed in place, so that threads may share one.
        """
        ended = [r for r in records if r.state != "running"]
        same = _shared(self.ended, ended)
        after = min(
            (r.number for r in (*self.ended[same:][:1], *ended[same:][:1])), default=math.inf
        )
        found = {kind: _before(getattr(self, kind), after) for kind in _ENDED}
        for record in ended[same:]:
            if (kind := _kind_of(record)) is not None:
                found[kind].append(record)
        running = [r for r in records if r.state == "running" and _placed(r)]
        return type(self)(ended, **found, running=running)


def _shared(before: Sequence[TrialRecord], now: Sequence[TrialRecord]) -> int:
    """How many records, from the first on, are the same."""
    if before == now[: len(before)]:  # far quicker than one by one
        return len(before)
    pairs = enumerate(zip(before, now, strict=False))
    return next((i for i, (a, b) in pairs if a is not b), min(len(before), len(now)))


def _before(records: list[TrialRecord], number: float) -> list[TrialRecord]:
    return records[: bisect_left(records, number, key=lambda record: record.number)]


def _placed(record: TrialRecord) -> bool:
    """Whether it is known where in the space it lies."""
    return MULTIPLIER in record.parameters and FAMILY in record.parameters


def _kind_of(record: TrialRecord) -> str | None:
    if not _placed(record):
        return None
    lost = record.side == "hot" or not math.isfinite(sum(record.values))
    return "hot" if lost else record.state
