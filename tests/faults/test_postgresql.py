"""A sweep in a real PostgreSQL: many processes, several machines, and a server that goes away."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from lrsearch.integrations.optuna import ATTEMPTS_KEY
from lrsearch.sweeps import best_weights
from lrsearch.sweeps._lease import LEASE_KEY
from lrsearch.training import load_checkpoint

pytestmark = pytest.mark.faults

OUTAGE = 20.0  # seconds
HOST = """
import socket
if "TASK_HOST" in os.environ:
    socket.gethostname = lambda: os.environ["TASK_HOST"]
"""


def command(url: str, trials: int) -> tuple[str, ...]:
    return ("sweep", "task.py:task", "--storage", url, "--seed", "8", "--trials", str(trials))


def runs(shell) -> Path:
    (begin,) = (shell.folder / "lrsearch-runs").rglob("begin.lock")
    return begin.parent


def machine(make_shell, folder: Path):
    folder.mkdir()
    shell = make_shell(folder)
    with (folder / "task.py").open("a") as file:
        file.write(HOST)
    return shell


def in_work(found, pid: int) -> list[int]:
    """Numbers of the open trials that this process has."""
    return [
        t.number
        for t in found.trials
        if t.state.name == "RUNNING" and t.user_attrs.get(LEASE_KEY, {}).get("pid") == pid
    ]


def test_eight_processes_one_of_them_killed(shell, postgresql, accounts) -> None:
    found = accounts(postgresql.database(), shell)
    workers = [shell.start(*command(found.url, 24), pace=0.01) for _ in range(8)]
    shell.until(lambda: list(shell.folder.rglob("trial-*.pt")), "a first checkpoint")
    shell.until(lambda: in_work(found, workers[0].pid), "worker 0 in a trial")
    (number,) = in_work(found, workers[0].pid)
    shell.set_pace(workers[0], 0.1)
    checkpoint = runs(shell) / f"trial-{number:05d}.pt"
    shell.until(checkpoint.exists, "its checkpoint")
    workers[0].kill(signal.SIGKILL)
    assert in_work(found, workers[0].pid) == [number]
    for worker in workers[1:]:
        assert worker.wait(200.0).code == 0, worker.err
    last = shell.run(*command(found.url, 24))
    assert last.code == 0, last.err
    found.check(trials=24, killed=1)
    first, second = found.trials[number].user_attrs[ATTEMPTS_KEY]
    assert (first["pid"], first["step"]) == (workers[0].pid, 0)
    assert second["pid"] != workers[0].pid
    assert second["step"] >= 4  # from its checkpoint
    assert {p.name for p in runs(shell).iterdir() if p.suffix != ".lock"} == {"best.pt"}
    best = load_checkpoint(best_weights(runs(shell)))
    assert (best["trial"], best["metric"]) == (
        found.study.best_trial.number,
        found.study.best_value,
    )


def test_a_server_that_is_gone_for_a_while(shell, postgresql, accounts) -> None:
    found = accounts(postgresql.database(), shell)
    workers = [shell.start(*command(found.url, 16), pace=0.03) for _ in range(8)]
    shell.until(lambda: list(shell.folder.rglob("trial-*.pt")), "a first checkpoint")
    shell.until(lambda: len([t for t in found.trials if t.state.is_finished()]) >= 3, "three ends")
    postgresql.stop()
    time.sleep(OUTAGE)
    postgresql.start()
    for worker in workers:
        assert worker.wait(200.0).code == 0, worker.err
        assert worker.err.count("the storage cannot be reached") <= 1, worker.err
        assert worker.err.count("the storage answers again") <= 1, worker.err
    assert sum("the storage answers again" in w.err for w in workers) >= 4  # a lock held others up
    found.check(trials=16)


def test_two_machines_begin_together(make_shell, tmp_path, postgresql, accounts) -> None:
    shells = [machine(make_shell, tmp_path / name) for name in ("a", "b")]
    found = accounts(postgresql.database(), *shells)
    workers = [
        shell.start(*command(found.url, 9), pace=0.005, TASK_HOST=f"host-{name}", TASK_PACE_ALL="1")
        for shell, name in zip(shells, "ab", strict=True)
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.wait(200.0).code == 0, worker.err
    found.check(trials=range(9, 11))  # one too many at the most
    said = [w for w in workers if "another worker measures the edge" in w.out]
    assert len(said) == 3, [w.out for w in workers]
    assert any(", on host-" in w.out for w in said)
    assert {s["host"] for t in found.trials for s in t.user_attrs[ATTEMPTS_KEY]} == {
        "host-a",
        "host-b",
    }


def test_one_machine_makes_the_number_asked_for(shell, postgresql, accounts) -> None:
    found = accounts(postgresql.database(), shell)
    for worker in [shell.start(*command(found.url, 5)) for _ in range(4)]:
        assert worker.wait(200.0).code == 0, worker.err
    found.check(trials=5)
