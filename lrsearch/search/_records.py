"""Past and running trials as the engine sees them: plain, minimised, in edge units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

State = Literal["complete", "stopped", "running"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One trial of a study.

    Attributes:
        number: The trial's number.
        state: Whether it ended with a value, was stopped, or still runs.
        parameters: Its values in the schedule space, by parameter name.
        values: Objectives, all to be minimised; empty unless complete.
    """

    number: int
    state: State
    parameters: Mapping[str, float | str] = field(default_factory=dict)
    values: tuple[float, ...] = ()


def ranked(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Complete records, best first.

    One objective: by value. Several: by the number of records that dominate them (0 on the front),
    then by number. Non-finite objectives come last.
    """
    complete = [r for r in records if r.state == "complete" and r.values]

    def key(record: TrialRecord) -> tuple[float, int]:
        if not all(math.isfinite(v) for v in record.values):
            return math.inf, record.number
        if len(record.values) == 1:
            return record.values[0], record.number
        return float(sum(_dominates(other, record) for other in complete)), record.number

    return sorted(complete, key=key)


def _dominates(one: TrialRecord, other: TrialRecord) -> bool:
    pairs = list(zip(one.values, other.values, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
