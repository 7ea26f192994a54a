"""The edge of a sweep: measured by one worker, on whichever machine, while the others wait.

On one machine a file lock sees to that. Between machines there is the study alone: whoever wants to
measure writes a claim into it, gives the others a moment to write theirs, and goes on if its own is
the one that stands. A claim is renewed while the work goes on; one that ran out is taken over.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna

from lrsearch.integrations import task_edge
from lrsearch.integrations.optuna import edge_key, store_edge
from lrsearch.stability import Edge
from lrsearch.sweeps._events import Listener
from lrsearch.sweeps._lease import LIFE, RENEWAL, SETTLE
from lrsearch.sweeps._prepare import known_edge
from lrsearch.sweeps._renewal import renewed
from lrsearch.training import Task

CLAIM_KEY = "lrsearch:calibrating"
LOOK = 1.0  # seconds between looks at another worker's claim


def study_edge(
    study: optuna.Study,
    task: Task,
    *,
    budget: int,
    seed: int,
    folder: Path,
    one_machine: bool,
    listener: Listener,
    interrupted: Callable[[], bool],
) -> Edge:
    """The study's edge; measured if nobody has. Called by one worker of a machine at a time.

    Args:
        study: The study.
        task: What it trains.
        budget: Optimizer steps of a run.
        seed: Seed of the sweep.
        folder: Where the workers of this machine keep locks and checkpoints.
        one_machine: Whether no other machine can see the study.
        listener: Told what happens.
        interrupted: Asked between annealed runs, and while another worker measures.

    Raises:
        KeyboardInterrupt: If ``interrupted`` said so.
        StudyMismatchError: If the stored edge was measured for another optimizer.
    """
    told = False
    while (known := known_edge(study, task)) is None:
        claim = {} if one_machine else _claim(study, folder)
        if claim is not None:
            with _kept(study, claim):
                if known_edge(study, task) is None:  # not stored just before we claimed it
                    return _measure(study, task, budget, seed, listener, interrupted)
            continue
        if interrupted():
            raise KeyboardInterrupt
        if not told:
            host = (study.user_attrs.get(CLAIM_KEY) or {}).get("host", "another machine")
            listener.note(f"another worker measures the edge, on {host}: waiting for it")
        told = True
        time.sleep(LOOK)
    listener.edge(known, measured=False)
    return known


def _measure(
    study: optuna.Study,
    task: Task,
    budget: int,
    seed: int,
    listener: Listener,
    interrupted: Callable[[], bool],
) -> Edge:
    def progress(line: str) -> None:
        listener.note(line)
        if interrupted():
            raise KeyboardInterrupt

    found = task_edge(task, budget=budget, seed=seed, progress=progress)
    found = store_edge(study, edge_key(task.name, ""), found)
    listener.edge(found, measured=True)
    return found


def _claim(study: optuna.Study, folder: Path) -> dict[str, Any] | None:
    """Our claim, if it stands; ``None`` if another worker measures."""
    mine = {
        "host": socket.gethostname(),
        "folder": str(folder.resolve()),
        "pid": os.getpid(),
        "token": uuid4().hex,
    }
    found = study.user_attrs.get(CLAIM_KEY)
    # Whoever claimed it beside this folder held its lock, which is ours now: it is dead.
    ours = found is not None and all(found[key] == mine[key] for key in ("host", "folder"))
    if found is not None and not ours and time.time() < found["expires"]:
        return None
    _write(study, mine)
    time.sleep(SETTLE)
    stands = study.user_attrs.get(CLAIM_KEY)
    return mine if stands is not None and stands["token"] == mine["token"] else None


@contextmanager
def _kept(study: optuna.Study, claim: dict[str, Any]) -> Iterator[None]:
    """Context in which a claim is renewed, and after which it is gone."""
    if not claim:
        yield
        return
    try:
        with renewed(lambda: _write(study, claim), RENEWAL):
            yield
    finally:
        with suppress(Exception):  # it runs out by itself
            study.set_user_attr(CLAIM_KEY, None)


def _write(study: optuna.Study, claim: dict[str, Any]) -> None:
    study.set_user_attr(CLAIM_KEY, claim | {"expires": time.time() + LIFE})
