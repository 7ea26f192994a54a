"""A claim renewed in the background for as long as its work goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

PARTING = 5.0  # seconds to wait for a renewal in work; one that waits for the storage is left to it


@contextmanager
def renewed(renew: Callable[[], None], every: float) -> Iterator[None]:
    """Context in which a thread calls ``renew`` at this interval, in seconds."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(every):
            with suppress(Exception):  # a storage that fails shows in the work itself
                renew()

    thread = threading.Thread(target=work, name="lrsearch-renewal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(PARTING)
