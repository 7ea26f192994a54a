"""The driver of a Ray sweep while its storage is away, and a node that is short of memory."""

from __future__ import annotations

import time
from typing import Any

import psutil
import pytest

from lrsearch.integrations.optuna import ATTEMPTS_KEY, ERROR_KEY
from lrsearch.sweeps import open_storage, open_study

pytest.importorskip("ray")
pytestmark = [pytest.mark.faults, pytest.mark.distributed, pytest.mark.timeout(600)]

TRIALS = 4
AWAY = 20.0  # seconds
RAY = ("--ray", "--workers", "2", "--checkpoint-seconds", "0", "--trials", str(TRIALS))


def wait(command: Any, true: Any, what: str) -> None:
    end = time.monotonic() + 120
    while not true():
        assert command.alive(), command.out + command.err
        assert time.monotonic() < end, f"waited for {what}: {command.out}"
        time.sleep(0.1)


def test_a_database_that_is_away_for_twenty_seconds(shell, accounts, postgresql) -> None:
    url = postgresql.database()
    found = accounts(url, shell)
    command = shell.start("sweep", "task.py:task", "--storage", url, *RAY, pace=0.3)
    wait(command, lambda: len(found.trained()) >= 2, "two trials")
    postgresql.stop()
    time.sleep(AWAY)
    postgresql.start()
    shell.set_pace(command, 0.0)
    assert command.wait(200).code == 0, command.out + command.err
    assert "the storage answers again" in command.err
    found.check(trials=TRIALS)


HUNGRY = """
from task import *

def hungry(model, rate):
    made = optimizer(model, rate)
    if rate == 1e-3:
        return made
    steps, kept = [], []
    def eat(*_):
        steps.append(1)
        if len(steps) == 3 and BAD(rate):
            while True:  # touched, so that it is really taken
                kept.append(torch.ones(2**25))
                time.sleep(0.05)
    made.register_step_post_hook(eat)
    return made

SEEN = []
def BAD(rate):
    return abs(rate - RATE) < 1e-9

RATE = 0.0123
fed = task(optimizer=hungry)
"""


def test_a_trial_that_takes_all_memory_fails_and_the_others_go_on(shell, monkeypatch) -> None:
    """Ray's own memory monitor ends it, as it does before the kernel would."""
    memory = psutil.virtual_memory()
    allowed = (memory.total - memory.available + 3 * 2**30) / memory.total
    if allowed > 0.9:
        pytest.skip("this machine has too little memory left to be filled")
    (shell.folder / "hungry.py").write_text(HUNGRY)
    command = shell.start(
        *("sweep", "hungry.py:fed", "--storage", "sqlite:///s.db", *RAY),
        *("--enqueue", "linear:0.0123"),
        RAY_memory_usage_threshold=f"{allowed:.3f}",
        RAY_memory_monitor_refresh_ms="100",
    ).wait(250)
    assert command.code == 0, command.out + command.err
    study = open_study(open_storage(f"sqlite:///{shell.folder}/s.db", create=False), "curve-40")
    found = study.get_trials()
    assert [t.number for t in found] == list(range(TRIALS))
    assert found[0].state.name == "FAIL"
    assert "memory" in found[0].user_attrs[ERROR_KEY].lower()
    assert len(found[0].user_attrs[ATTEMPTS_KEY]) > 1
    assert all(t.state.name in ("COMPLETE", "PRUNED") for t in found[1:])
