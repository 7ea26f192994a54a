"""What the runs folder may take of the disk, and what nobody needs any more."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import optuna

from lrsearch.sweeps._lease import Lease


class Quota:
    """Lets a trial have a checkpoint while there is room for it.

    A checkpoint's size is known once one has been written: the first that is over the quota is
    deleted again, and from then on no trial begins one that would not fit. A trial that has one
    keeps it: replacing it takes no more.

    Args:
        folder: What is measured, with all that is in it.
        limit: Bytes that it may take; ``None`` for all there is.
        note: Told once that the quota is used up.
    """

    def __init__(self, folder: Path, limit: int | None, note: Callable[[str], None]) -> None:
        self.folder, self.limit, self.note = folder, limit, note
        self._size, self._told = 0, False  # of the largest checkpoint seen
        self._kept: set[Path] = set()

    def allows(self, checkpoint: Path) -> bool:
        """Whether a trial may write this checkpoint."""
        if self.limit is None:
            return True
        if checkpoint.exists():
            self._kept.add(checkpoint)
        elif size_of(self.folder) + self._size > self.limit:
            self._tell()
            return False
        return True

    def written(self, checkpoint: Path) -> None:
        """Delete a trial's first checkpoint where it is too much."""
        if self.limit is None or checkpoint in self._kept:
            return
        self._size = max(self._size, checkpoint.stat().st_size)
        if size_of(self.folder) <= self.limit:
            self._kept.add(checkpoint)
            return
        checkpoint.unlink()
        self._tell()

    def _tell(self) -> None:
        if not self._told:
            self.note(
                f"the disk quota of {self.limit} bytes is used up in {self.folder}: training goes "
                "on without further checkpoints"
            )
        self._told = True


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # another worker's, meanwhile replaced
            continue
    return total


def scratch_of(checkpoint: Path) -> list[Path]:
    """What workers that died while they wrote a checkpoint have left of it."""
    return list(checkpoint.parent.glob(f".{checkpoint.name}.*.tmp"))


def tidy(folder: Path, study: optuna.Study) -> None:
    """Delete what dead workers have left of trials that ended since, here or on another machine."""
    ended = {t.number for t in study.get_trials(deepcopy=False) if t.state.is_finished()}
    for path in list(folder.iterdir()):
        match = _REST.fullmatch(path.name)
        number = int(match[1] or match[2]) if match else None
        if number not in ended:
            continue
        lease = Lease(folder, number)
        if lease.acquire():  # else a worker of another study that shares the folder has it
            with lease:
                path.unlink(missing_ok=True)


_REST = re.compile(r"trial-(\d+)\.pt|\.trial-(\d+)\.(?:pt|weights)\..*\.tmp")
