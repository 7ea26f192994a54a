"""Journal file, gRPC proxy, and checkpoints that a dying machine has cut short."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from lrsearch.integrations.optuna import ATTEMPTS_KEY
from lrsearch.sweeps import _network as network
from lrsearch.sweeps._network import open_proxy

pytestmark = pytest.mark.faults

PROXY = """
import sys, warnings
warnings.simplefilter("ignore")
from optuna.storages import get_storage, run_grpc_proxy_server
run_grpc_proxy_server(get_storage(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
"""


class Proxy:
    def __init__(self, storage: str, port: int) -> None:
        self.command = [sys.executable, "-c", PROXY, storage, str(port)]
        self.url = f"grpc://127.0.0.1:{port}"
        self.process = subprocess.Popen(self.command)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def begin_again(self) -> None:
        self.process = subprocess.Popen(self.command)


@pytest.fixture
def proxy(tmp_path, free_port, monkeypatch):
    pytest.importorskip("grpc")
    made = Proxy(f"sqlite:///{tmp_path}/behind.db", free_port)
    try:
        monkeypatch.setattr(network, "GRPC_WAIT", 60.0)
        open_proxy(made.url).close()
        yield made
    finally:
        made.kill()


def command(url: str, trials: int) -> tuple[str, ...]:
    return ("sweep", "task.py:task", "--storage", url, "--seed", "8", "--trials", str(trials))


def finished(found) -> int:
    return sum(t.state.is_finished() for t in found.trials)


def test_a_journal_file_and_four_processes(shell, accounts) -> None:
    found = accounts(f"journal:///{shell.folder}/s.log", shell)
    for worker in [shell.start(*command(found.url, 12), pace=0.005) for _ in range(4)]:
        assert worker.wait(200.0).code == 0, worker.err
    found.check(trials=12)


def test_a_grpc_proxy_and_two_processes(shell, accounts, proxy) -> None:
    found = accounts(proxy.url, shell)
    for worker in [shell.start(*command(proxy.url, 6), pace=0.005) for _ in range(2)]:
        assert worker.wait(200.0).code == 0, worker.err
    found.check(trials=6)


def test_a_grpc_proxy_that_is_killed_and_begun_again(shell, accounts, proxy) -> None:
    found = accounts(proxy.url, shell)
    workers = [shell.start(*command(proxy.url, 6), pace=0.02) for _ in range(2)]
    shell.until(lambda: list(shell.folder.rglob("trial-*.pt")), "a first checkpoint")
    shell.until(lambda: finished(found) >= 1, "a first end")
    proxy.kill()
    time.sleep(5.0)
    proxy.begin_again()
    for worker in workers:
        assert worker.wait(200.0).code == 0, worker.err
    assert any("the storage answers again" in worker.err for worker in workers)
    found.check(trials=6)


def test_a_checkpoint_that_was_cut_short(shell, accounts) -> None:
    found = accounts(f"journal:///{shell.folder}/s.log", shell)
    first = shell.start(*command(found.url, 2), pace=0.05)
    shell.until(lambda: list(shell.folder.rglob("trial-*.pt")), "a first checkpoint")
    first.kill(signal.SIGKILL)
    (checkpoint,) = shell.folder.rglob("trial-*.pt")
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[: len(data) // 2])
    second = shell.run(*command(found.url, 2))
    assert second.code == 0, second.err
    assert "trial 0 starts over: cannot read the checkpoint" in second.out
    assert "it is damaged" in second.out
    assert "finished (after 1 restart)" in second.out
    found.check(trials=2, killed=1)
    assert [s["step"] for s in found.trials[0].user_attrs[ATTEMPTS_KEY]] == [0, 0]
