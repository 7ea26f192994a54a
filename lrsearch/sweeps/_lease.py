"""Who is working on a trial, and whether they still live.

A worker holds a file lock for as long as it works on a trial; the operating system releases it when
the process ends, however it ends. Across machines, where no lock is shared, the lease in the
trial's attributes tells host and expiry and is renewed while the work goes on.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial

from lrsearch.integrations.optuna import TUNE_KEY
from lrsearch.sweeps._renewal import renewed

LEASE_KEY = "lrsearch:lease"
LIFE = 300.0  # seconds until an unrenewed lease of another machine counts as dead
RENEWAL = 30.0  # seconds between renewals
SETTLE = 1.0  # seconds in which two machines that claim one trial see each other's claim


class Lease:
    """A worker's claim on one trial; a context manager that ends with the work."""

    def __init__(self, folder: Path, number: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = lock_path(folder, number)
        self.token = uuid4().hex
        self._lock = FileLock(self.path, thread_local=False)
        self._renewed = 0.0

    def acquire(self) -> bool:
        """Take the lock; False if a living process has it."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def renew(self, trial: optuna.Trial, *, now: bool = False) -> None:
        """Write the lease into the trial, at most twice a minute unless ``now``."""
        if not now and time.monotonic() - self._renewed < RENEWAL:
            return
        self._renewed = time.monotonic()
        trial.set_user_attr(
            LEASE_KEY,
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "lock": str(self.path.resolve()),
                "token": self.token,
                "expires": time.time() + LIFE,
            },
        )

    @contextmanager
    def kept(self, trial: optuna.Trial, *, alone: bool) -> Iterator[None]:
        """Context in which the lease is renewed also while no step is made (an evaluation, say).

        Args:
            trial: The trial.
            alone: Whether locks tell everything, so that no renewal is needed.
        """
        if alone:
            yield
            return
        with renewed(lambda: self.renew(trial, now=True), RENEWAL):
            yield

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


def claim(
    study: optuna.Study, frozen: FrozenTrial, folder: Path, *, one_machine: bool
) -> tuple[optuna.Trial, Lease] | None:
    """Take over a RUNNING trial if whoever worked on it is dead.

    Args:
        study: The trial's study.
        frozen: The trial.
        folder: Where this worker keeps locks and checkpoints.
        one_machine: Whether the storage is a local file, so that locks tell everything.

    Returns:
        The reopened trial and the lease on it, or ``None`` if it is alive or another worker was
        faster.
    """
    if TUNE_KEY in frozen.user_attrs:  # the next Ray driver goes on with it
        return None
    found: Mapping[str, Any] | None = frozen.user_attrs.get(LEASE_KEY)
    here = found is not None and found["host"] == socket.gethostname()
    if found is None and not one_machine and _age(frozen) < LIFE:
        return None  # begun on another machine just now, its lease not yet written
    if found is not None and not here and time.time() < found["expires"]:
        return None
    lease = Lease(
        Path(found["lock"]).parent if found is not None and here else folder, frozen.number
    )
    if not lease.acquire():
        return None
    state = next(t.state for t in study.get_trials(deepcopy=False) if t.number == frozen.number)
    if state.is_finished():  # its worker ended it between our two looks
        lease.__exit__(None, None, None)
        return None
    trial = optuna.Trial(study, frozen._trial_id)
    lease.renew(trial, now=True)
    if found is not None and not here:
        time.sleep(SETTLE)
        reread = optuna.Trial(study, frozen._trial_id).user_attrs[LEASE_KEY]
        if reread["token"] != lease.token:
            lease.__exit__(None, None, None)
            return None
    return trial, lease


def lock_path(folder: Path, number: int) -> Path:
    """Lock file of a trial."""
    return folder / f"trial-{number:05d}.lock"


def checkpoint_path(folder: Path, number: int) -> Path:
    """Checkpoint of a trial."""
    return folder / f"trial-{number:05d}.pt"


def _age(frozen: FrozenTrial) -> float:
    """Seconds since a trial began, at the least.

    Optuna 5 stores naive times in UTC, Optuna 4 in local time; the younger reading is the safe one.
    """
    start = frozen.datetime_start
    if start is None:
        return 0.0
    if start.tzinfo is not None:
        return time.time() - start.timestamp()
    return min(time.time() - start.replace(tzinfo=UTC).timestamp(), time.time() - start.timestamp())
