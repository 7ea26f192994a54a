"""One worker of a machine at a time: to measure the edge, to begin a trial, to keep weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOOK = 1.0  # seconds after which a worker that waits says so, and looks whether it shall go on


@contextmanager
def turn(
    folder: Path,
    note: Callable[[str], None] = lambda line: None,
    interrupted: Callable[[], bool] = lambda: False,
    *,
    other: str = "",
) -> Iterator[None]:
    """Context that holds the folder's lock, which the system releases if the process dies.

    Args:
        folder: Where the workers of this machine keep locks and checkpoints.
        note: Told once if another worker holds it for long.
        interrupted: Asked while waiting.
        other: What another worker is then said to do.

    Raises:
        KeyboardInterrupt: If ``interrupted`` said so before it was our turn.
    """
    lock, told = FileLock(folder / "begin.lock", thread_local=False), False
    while True:
        try:
            lock.acquire(timeout=LOOK)
            break
        except Timeout:
            if interrupted():
                raise KeyboardInterrupt from None
            if not told and other:
                note(f"another worker {other}: waiting for it")
            told = True
    try:
        yield
    finally:
        lock.release()
