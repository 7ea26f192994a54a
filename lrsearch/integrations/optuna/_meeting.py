"""Where the ranks of a study meet: each says one word, and all hear the words of all.

Meetings have a process group of their own (gloo): training's collectives are never mixed with
them, so a rank that left a trial early can wait here while others still train. A rank in need (it
failed, say) first looks into the store whether the others have come. It enters no collective
before: one that nobody answers would keep the process from ending.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import torch.distributed as dist

from lrsearch.curvature import Ranks
from lrsearch.exceptions import RunStopped, UnsupportedError

FOREVER = timedelta(days=7)  # one rank may validate for long: only whoever fails is in a hurry
NAPS = (0.0005, 0.02)  # seconds between two looks whether the others have come: first, longest


@dataclass(frozen=True, slots=True)
class Word:
    """What one rank says in a meeting.

    Attributes:
        kind: What it is about.
        what: The same on all ranks that run alike, where they are asked for the same.
        answer: What this rank has to tell.
    """

    kind: str
    what: Any = None
    answer: Any = None


class Meeting:
    """The meetings of all processes of the default group; one process meets itself.

    Every rank must make it at the same point.

    Raises:
        UnsupportedError: If this torch has no gloo.
    """

    def __init__(self) -> None:
        self.ranks = Ranks.within()
        self.lost = ""  # why the ranks will not meet again
        self._turn = 0
        if self.ranks.count == 1:
            return
        if not dist.is_gloo_available():
            raise UnsupportedError(
                "several ranks share a study by a gloo process group, and this torch is built "
                "without gloo: use a build that has it (training may keep its own backend)."
            )
        group = dist.new_group(backend="gloo", timeout=FOREVER)
        self.ranks = Ranks(group, self.ranks.count, self.ranks.rank)
        # A name of its own: torchrun's store outlives a group that is started anew.
        self._store: Any = _store(f"lrsearch/meeting/{self.ranks.first(uuid4().hex)}")

    def exchange(
        self, word: Word, *, patience: float | None = None, because: str = ""
    ) -> list[Word]:
        """Say a word and hear those of all ranks, by rank.

        Args:
            word: What this rank says; it must be picklable.
            patience: Seconds to wait for the others at most: they may be stuck in a collective that
                this rank has left.
            because: Why this rank will not wait longer, for those who come too late.

        Raises:
            RunStopped: If another rank does not come, or has left.
        """
        if self.ranks.count == 1:
            return [word]
        if self.lost:
            raise RunStopped(self.lost)
        pickle.dumps(word)  # what cannot be sent fails here, before others wait for it
        self._turn += 1
        try:
            why = f"why/{self._turn}"
            if because and not self._store.check([why]):  # the first to fail tells the cause
                self._store.set(why, f"rank {self.ranks.rank}: {because}")
            self._store.set(str(self.ranks.rank), str(self._turn))
            if patience is not None and (missing := self._missing(patience)):
                self.leave(
                    f"rank {missing} did not come within {patience:g} s: it may be stuck in a "
                    "collective that this rank has left"
                )
                raise RunStopped(self.lost)
            arrival = dist.barrier(group=self.ranks.group, async_op=True)
            assert arrival is not None
            until(arrival.is_completed, None)  # not arrival.wait(), deaf to Ctrl-C
            arrival.wait()
            return self.ranks.gather(word)
        except RuntimeError as error:  # of a connection that is gone
            self.leave(self._why_others_left())
            raise RunStopped(self.lost) from error
        except BaseException:
            self.lost = self.lost or "this rank was interrupted in a meeting"
            raise

    def in_step(self) -> bool:
        """Whether training's default group is as usable as before, said by all ranks alike.

        It is not where a rank has left out a collective that another has begun.
        """
        if self.ranks.count == 1:
            return True
        counts = [word.answer for word in self.exchange(Word("count", answer=_collectives()))]
        if len(set(counts)) > 1:
            return False
        try:
            Ranks.within().any(False)
            works = True
        except RuntimeError:
            works = False
        return all(word.answer for word in self.exchange(Word("works", answer=works)))

    def leave(self, why: str) -> None:
        """Meet no more; whoever waits for this rank hears of it at once."""
        if self.ranks.count > 1 and not self.lost:
            self.lost = why
            group, self.ranks = self.ranks.group, Ranks(None, self.ranks.count, self.ranks.rank)
            dist.destroy_process_group(group)

    def _missing(self, patience: float) -> str:
        """The ranks that have not come in this time."""
        away = [rank for rank in range(self.ranks.count) if rank != self.ranks.rank]

        def all_here() -> bool:
            away[:] = [rank for rank in away if not self._has_come(rank)]
            return not away

        until(all_here, patience)
        return ", ".join(map(str, away))

    def _why_others_left(self) -> str:
        key = f"why/{self._turn}"
        try:
            why = self._store.get(key).decode() if self._store.check([key]) else ""
        except RuntimeError:  # the store has left as well
            why = ""
        return f"another rank has left ({why or 'it did not say why; see its own output'})"

    def _has_come(self, rank: int) -> bool:
        key = str(rank)
        return self._store.check([key]) and int(self._store.get(key)) >= self._turn


def until(true: Callable[[], bool], seconds: float | None) -> None:
    """Wait until something is true, at most for a time."""
    end = None if seconds is None else time.monotonic() + seconds
    nap, longest = NAPS
    while not true() and (end is None or time.monotonic() < end):
        time.sleep(nap)
        nap = min(2 * nap, longest)


def _store(prefix: str) -> Any:
    """What the default group's processes have met by."""
    from torch.distributed import distributed_c10d as c10d  # not in every build of torch

    return c10d.PrefixStore(prefix, c10d._get_default_store())


def _collectives() -> int:
    """How many collectives this rank has begun in the default group."""
    group: Any = dist.group.WORLD
    return int(group._get_sequence_number_for_group())
