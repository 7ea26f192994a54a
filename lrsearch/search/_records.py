"""Past and running trials as the engine sees them: plain, minimised, in edge units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lrsearch.stability import Side

State = Literal["complete", "stopped", "running"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One trial of a study.

    Attributes:
        number: The trial's number.
        state: Whether it ended with a value, was stopped, or still runs.
        parameters: Its values in the schedule space, by parameter name.
        values: Objectives, all to be minimised; empty unless complete.
        side: Why it was stopped, where that is known: its rate was too high ("hot") or too low
            ("cold").
        looks: Its annealed validation loss at the steps where it was looked at; only for peers.
        lag: How much worse than the best it was expected to end when it was stopped for being
            behind, and the deviation (log loss).
    """

    number: int
    state: State
    parameters: Mapping[str, float | str] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    side: Side | None = None
    looks: Mapping[int, float] = field(default_factory=dict)
    lag: tuple[float, float] | None = None


def ranked(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Complete records, best first.

    One objective: by value. Several: by the number of records that dominate them (0 on the front),
    then by number. Non-finite objectives come last.
    """
    complete = [r for r in records if r.state == "complete" and r.values]
    if all(len(r.values) == 1 for r in complete):
        values = np.array([r.values[0] for r in complete])
        numbers = np.array([r.number for r in complete])
        order = np.lexsort((numbers, np.where(np.isfinite(values), values, math.inf)))
        return [complete[i] for i in order]

    finite = [r for r in complete if all(math.isfinite(v) for v in r.values)]
    columns = np.array([*zip(*(r.values for r in finite), strict=True)])  # (objectives, n)

    def key(record: TrialRecord) -> tuple[float, int]:
        if not all(math.isfinite(v) for v in record.values):
            return math.inf, record.number
        objectives = np.array(record.values)[:, None]
        dominates = (columns <= objectives).all(axis=0) & (columns < objectives).any(axis=0)
        return float(dominates.sum()), record.number

    return sorted(complete, key=key)
