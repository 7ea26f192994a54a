"""Between the processes that train one trial together and the Tune trial that they are."""

from __future__ import annotations

import asyncio
import io
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import Any

import ray
from ray import tune

STOPPED = threading.Event()  # in a Tune trial's process: Tune has stopped the trial


class Relay:
    """Carries results one way and answers the other; runs as one small actor."""

    def __init__(self) -> None:
        self._results: asyncio.Queue[Any] = asyncio.Queue()
        self._answers: asyncio.Queue[bool] = asyncio.Queue()

    async def ask(self, result: Any) -> bool:
        """From the first rank: a result; whether Tune has stopped the trial on it."""
        await self._results.put(result)
        return await self._answers.get()

    async def take(self) -> Any:
        """For the Tune trial: the next result, or ``None`` at the end."""
        return await self._results.get()

    async def answer(self, stopped: bool) -> None:
        """From the Tune trial."""
        await self._answers.put(stopped)

    async def close(self) -> None:
        """No more results come."""
        await self._results.put(None)


def pump(relay: Any) -> None:
    """Report every result that comes, in the Tune trial's process, until the relay is closed."""
    while (item := ray.get(relay.take.remote())) is not None:
        result, packed = item
        stopped = True
        try:
            if STOPPED.is_set():
                continue
            if packed is None:
                tune.report(result)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    unpack(packed, Path(folder))
                    tune.report(result, checkpoint=tune.Checkpoint.from_directory(folder))
            stopped = False
        finally:  # Tune ends this thread where it stops the trial: the ranks are to hear of it
            if stopped:
                STOPPED.set()
            ray.get(relay.answer.remote(stopped))


def pack(folder: str | Path) -> bytes:
    """A folder's files as one string of bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """The files, in a folder."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
