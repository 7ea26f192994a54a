"""Whom the watch talks to: it knows this protocol, and no framework behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from lrsearch.stability._reading import Reading
from lrsearch.stability._verdict import Verdict


@runtime_checkable
class Host(Protocol):
    """Receives readings, decides, and stops a run in the way that its framework understands."""

    @property
    def budget(self) -> int | None:
        """Optimizer steps of the whole run, where known."""

    @property
    def peak(self) -> float | None:
        """Peak learning rate of the run's schedule, where known."""

    def emit(self, reading: Reading) -> None:
        """Keep a reading; it is safe in the storage when this returns."""

    def decide(self, readings: Sequence[Reading]) -> Verdict:
        """Judge the run from all its readings so far."""

    def stop(self, verdict: Verdict) -> None:
        """Record why, then end the run (raise); a host that only listens may return."""
