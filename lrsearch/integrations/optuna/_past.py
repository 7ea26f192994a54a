"""Records of a study's trials, those of trials that have ended made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Self

from optuna.trial import FrozenTrial

from lrsearch.search import TrialRecord

Made = Callable[[Sequence[FrozenTrial]], list[TrialRecord]]
_number = attrgetter("number")


@dataclass(frozen=True, slots=True)
class Past:
    """What of a study has ended.

    Attributes:
        count: Trials of the study when it was last looked at.
        records: Of those that had ended and tell something, in order of their numbers.
        open: Places of those that had not.
    """

    count: int = 0
    records: list[TrialRecord] = field(default_factory=list)
    open: tuple[int, ...] = ()

    def fits(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether these are all trials of the study, each at the place of its number."""
        whole = not trials or trials[-1].number == len(trials) - 1
        return whole and len(trials) >= self.count

    def grown(self, trials: Sequence[FrozenTrial], made: Made) -> Self:
        """With those that have ended since; the trials must fit.

        Nothing is changed in place, so that threads may share one.
        """
        places = [*self.open, *range(self.count, len(trials))]
        fresh = [trials[i] for i in places if trials[i].state.is_finished()]
        still = tuple(i for i in places if not trials[i].state.is_finished())
        if fresh:
            records = sorted([*self.records, *made(fresh)], key=_number)
            return type(self)(len(trials), records, still)
        return type(self)(len(trials), self.records, still)

    def all(self, trials: Sequence[FrozenTrial], made: Made, number: int) -> list[TrialRecord]:
        """Records of all trials but one, in order of their numbers."""
        running = made([trials[i] for i in self.open if trials[i].number != number])
        return sorted([*self.records, *running], key=_number) if running else self.records
