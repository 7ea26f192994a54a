"""Timers around a driver's methods, and what its process takes. The package stays as it is."""

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

Calls = dict[str, list[tuple[float, float]]]  # name -> seconds by the wall, of the processor


def timed(owner: type, name: str, calls: Calls, label: str) -> None:
    """Replace a method by itself with a timer. Class-wide, so that Tune pickles objects as ever."""
    function: Callable[..., Any] = getattr(owner, name)

    def with_timer(*args: Any, **kwargs: Any) -> Any:
        begun, cpu = time.perf_counter(), time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            busy = time.thread_time() - cpu
            calls.setdefault(label, []).append((time.perf_counter() - begun, busy))

    setattr(owner, name, with_timer)


def summary(calls: Calls) -> dict[str, dict[str, float]]:
    """For every method: how often, and how long in milliseconds."""
    found = {}
    for label, seen in sorted(calls.items()):
        spent, busy = 1e3 * np.array(seen).T
        found[label] = {
            "calls": len(spent),
            "total_s": round(float(spent.sum()) / 1e3, 4),
            "cpu_s": round(float(busy.sum()) / 1e3, 4),
            "mean_ms": round(float(spent.mean()), 4),
            "p50_ms": round(float(np.median(spent)), 4),
            "p99_ms": round(float(np.quantile(spent, 0.99)), 4),
            "max_ms": round(float(spent.max()), 4),
        }
    return found


def milliseconds(calls: Calls, label: str) -> list[tuple[float, float]]:
    """Every call's time in order: by the wall, of the processor."""
    return [(round(1e3 * wall, 3), round(1e3 * cpu, 3)) for wall, cpu in calls.get(label, [])]


class Memory:
    """Resident memory of this process in MiB once a second, with the number of trials ended."""

    def __init__(self, ended: Callable[[], int], period: float = 1.0) -> None:
        self.samples: list[tuple[float, int, float]] = []
        self._done = threading.Event()
        self._begun, self._ended, self._period = time.perf_counter(), ended, period
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        process = psutil.Process()
        while True:
            resident = process.memory_info().rss / 2**20
            passed = time.perf_counter() - self._begun
            self.samples.append((round(passed, 2), self._ended(), round(resident, 1)))
            if self._done.wait(self._period):
                return

    def stop(self) -> list[tuple[float, int, float]]:
        self._done.set()
        self._thread.join()
        return self.samples


def resident() -> float:
    """Resident memory of this process in MiB, after a collection."""
    gc.collect()
    return round(psutil.Process().memory_info().rss / 2**20, 1)


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of an experiment's snapshot files, by kind (they carry the session in their names)."""
    found: dict[str, int] = {}
    for path in folder.glob("*"):
        if path.is_file():
            kind = path.name.split("-")[0].split(".")[0]
            found[kind] = found.get(kind, 0) + path.stat().st_size
    return found
