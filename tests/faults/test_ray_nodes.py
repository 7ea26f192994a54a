"""Nodes of a Ray cluster come and go: several raylets on this machine, with declared GPUs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lrsearch.integrations.optuna import ATTEMPTS_KEY, SEED_KEY, plan_of
from lrsearch.sweeps import open_storage, open_study
from lrsearch.training import find_task, train

pytest.importorskip("ray")
from ray.cluster_utils import Cluster

pytestmark = [pytest.mark.faults, pytest.mark.distributed, pytest.mark.timeout(600)]

BUDGET, EVERY, TRIALS = 40, 4, 6
SWEEP = ("sweep", "task.py:task", "--storage", "sqlite:///s.db", "--trials", str(TRIALS))


@pytest.fixture
def cluster(shell: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without CPUs; its nodes' workers see the task's environment."""
    output = shell.folder / ".output"
    output.mkdir(exist_ok=True)
    monkeypatch.setenv("TASK_LOG", str(output / "log"))
    monkeypatch.setenv("TASK_PACE", str(output / "pace-0"))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield made
    made.shutdown()


def steps(shell: Any) -> list[int]:
    return [done for _, rate, done in shell.log() if rate != 1e-3]


def wait(command: Any, true: Any, what: str) -> None:
    end = time.monotonic() + 120
    while not true():
        assert command.alive(), command.out + command.err
        assert time.monotonic() < end, f"waited for {what}: {command.out}"
        time.sleep(0.05)


def test_a_node_is_removed_and_another_one_added(shell, cluster) -> None:
    first = cluster.add_node(num_cpus=2, num_gpus=1)
    command = shell.start(
        *SWEEP,
        *("--ray", cluster.address, "--workers", "2", "--gpus-per-trial", "0.5"),
        *("--checkpoint-seconds", "0"),
        pace=0.1,
    )
    wait(command, lambda: len(steps(shell)) >= 2, "two trials side by side")
    wait(command, lambda: min(steps(shell)[-2:]) >= 2 * EVERY + 1, "checkpoints of both")
    cluster.remove_node(first, allow_graceful=False)
    cluster.add_node(num_cpus=2, num_gpus=1)
    shell.set_pace(command, 0.0)
    assert command.wait(200).code == 0, command.out + command.err

    storage = open_storage(f"sqlite:///{shell.folder}/s.db", create=False)
    found = open_study(storage, f"curve-{BUDGET}").get_trials()
    assert [t.number for t in found] == list(range(TRIALS))
    assert all(t.state.is_finished() for t in found)
    attempts = [[a["step"] for a in t.user_attrs[ATTEMPTS_KEY]] for t in found]
    again = [a for a in attempts if len(a) > 1]
    assert len(again) == 2
    assert all(a[0] == 0 and a[1] >= EVERY for a in again)
    task = find_task(f"{Path(shell.folder)}/task.py:task", {})
    for trial in found:
        if trial.state.name == "COMPLETE":  # what was interrupted is what nobody disturbed
            schedule = plan_of(trial.user_attrs).schedule()
            alone = train(task, schedule, seed=trial.user_attrs[SEED_KEY])
            assert alone.metric == trial.value
