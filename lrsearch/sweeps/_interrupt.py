"""Ctrl-C as a wish: the step in work is finished, a checkpoint written, then the sweep ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible(note: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Context that yields a function telling whether SIGINT or SIGTERM has come.

    A second signal raises ``KeyboardInterrupt`` at once. Only for the main thread.

    Args:
        note: Told one line at the first signal.
    """
    seen = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True
        note("stopping after this step, with a checkpoint (once more to stop at once)")

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
