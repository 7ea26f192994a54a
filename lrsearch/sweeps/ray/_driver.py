"""One Ray driver a study: it hands out the study's open trials, so there must not be two."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import optuna
from filelock import FileLock, Timeout

from lrsearch.exceptions import StudyMismatchError
from lrsearch.sweeps._lease import LIFE, RENEWAL

DRIVER_KEY = "lrsearch:driver"


@contextmanager
def driving(study: optuna.Study, folder: Path) -> Iterator[None]:
    """Context in which this process is the study's Ray driver.

    Raises:
        StudyMismatchError: If another process is, here or, by its lease, on another machine.
    """
    lock = FileLock(folder / "driver.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StudyMismatchError(
            f"another Ray sweep drives study {study.study_name!r} on this machine: wait for its "
            "end, or name another study."
        ) from None
    try:
        found, here = study.user_attrs.get(DRIVER_KEY), socket.gethostname()
        # On one machine the lock tells, unless that one keeps its files in another folder.
        if (
            found is not None
            and (found["host"] != here or _alive(found["pid"]))
            and time.time() < found["expires"]
        ):
            raise StudyMismatchError(
                f"another Ray sweep drives study {study.study_name!r} on {found['host']}: wait for "
                f"its end, or, if it died, for {found['expires'] - time.time():.0f} s."
            )
        token, done = uuid4().hex, threading.Event()

        def renew() -> None:
            while True:
                with suppress(Exception):  # a storage that fails shows in the sweep itself
                    lease = {"host": here, "pid": os.getpid(), "token": token}
                    study.set_user_attr(DRIVER_KEY, lease | {"expires": time.time() + LIFE})
                if done.wait(RENEWAL):
                    return

        thread = threading.Thread(target=renew, name="driver-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            with suppress(Exception):
                study.set_user_attr(DRIVER_KEY, None)
    finally:
        lock.release()


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
