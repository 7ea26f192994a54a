"""What a sweep tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lrsearch.search import Plan
from lrsearch.stability import Edge


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """How a trial ended.

    Attributes:
        number: The trial.
        state: "complete", "pruned" or "fail".
        metric: The task's metric, if complete.
        reason: Why it ended, in one sentence.
        plan: What it set out to do, if it came so far.
        cost: Full-run equivalents, watching included.
    """

    number: int
    state: str
    metric: float | None
    reason: str
    plan: Plan | None
    cost: float


class Listener(Protocol):
    """Receives a sweep's progress; every method may do nothing."""

    def known(self, ended: int) -> None:
        """So many trials ended in earlier starts."""

    def note(self, line: str) -> None:
        """Something worth a line."""

    def edge(self, edge: Edge, *, measured: bool) -> None:
        """The edge is known: measured now, or remembered from an earlier start."""

    def begin(self, number: int, plan: Plan, resumed_from: int) -> None:
        """A trial begins, or goes on from a checkpoint."""

    def step(self, number: int, step: int) -> None:
        """A trial has done this many steps."""

    def end(self, trial: TrialEnd) -> None:
        """A trial has ended."""

    def work(self, number: int, title: str, steps: int) -> None:
        """A run that is no trial begins, or goes on: so many steps, told as those of a trial."""

    def done(self, number: int) -> None:
        """It has ended."""


class Silent:
    """A listener that does nothing."""

    def known(self, ended: int) -> None:
        """Nothing."""

    def note(self, line: str) -> None:
        """Nothing."""

    def edge(self, edge: Edge, *, measured: bool) -> None:
        """Nothing."""

    def begin(self, number: int, plan: Plan, resumed_from: int) -> None:
        """Nothing."""

    def step(self, number: int, step: int) -> None:
        """Nothing."""

    def end(self, trial: TrialEnd) -> None:
        """Nothing."""

    def work(self, number: int, title: str, steps: int) -> None:
        """Nothing."""

    def done(self, number: int) -> None:
        """Nothing."""
