"""One worker measures the edge, on whichever machine; who waits says so."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from filelock import FileLock

from lrsearch.integrations.optuna import edge_key, store_edge
from lrsearch.stability import Edge
from lrsearch.sweeps import Silent
from lrsearch.sweeps import _calibration as calibration
from lrsearch.sweeps import _turn as turn_module
from lrsearch.sweeps._calibration import CLAIM_KEY, study_edge
from lrsearch.sweeps._turn import turn


class Task:
    name = "t"


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.measured: list[bool] = []

    def note(self, line: str) -> None:
        self.notes.append(line)

    def edge(self, edge: Edge, *, measured: bool) -> None:
        self.measured.append(measured)


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(calibration, "SETTLE", 0.1)
    monkeypatch.setattr(calibration, "LOOK", 0.01)
    monkeypatch.setattr(turn_module, "LOOK", 0.05)
    monkeypatch.setattr(
        calibration,
        "known_edge",
        lambda study, task: calibration_edge(study),
    )


def calibration_edge(study: optuna.Study) -> Edge | None:
    plain = study.user_attrs.get(edge_key("t", ""))
    return None if plain is None else Edge.from_dict(plain)


def measuring(monkeypatch, seconds: float = 0.0, error: Exception | None = None) -> list[float]:
    made: list[float] = []

    def task_edge(task: Any, **options: Any) -> Edge:
        made.append(time.monotonic())
        time.sleep(seconds)
        options["progress"]("a line")
        if error is not None:
            raise error
        return Edge.known(0.1)

    monkeypatch.setattr(calibration, "task_edge", task_edge)
    return made


def ask(study: optuna.Study, folder: Path, **options: Any) -> tuple[Edge, Heard]:
    heard = Heard()
    plain = {"one_machine": False, "interrupted": lambda: False, "listener": heard}
    edge = study_edge(
        study,
        Task(),  # type: ignore[arg-type]
        budget=10,
        seed=0,
        folder=folder,
        **plain | options,  # type: ignore[arg-type]
    )
    return edge, heard


def claim(folder: Path, *, host: str = "elsewhere", left: float = 100.0) -> dict[str, Any]:
    plain = {"host": host, "folder": str(folder.resolve()), "pid": 1, "token": "theirs"}
    return plain | {"expires": time.time() + left}


def test_machines_that_begin_together_measure_once(tmp_path: Path, monkeypatch) -> None:
    made = measuring(monkeypatch, seconds=0.3)
    study = optuna.create_study()
    heard: list[Heard] = []

    def work(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        heard.append(ask(study, folder)[1])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert sorted(h.measured for h in heard) == [[False]] * 3 + [[True]]
    waited = [h.notes for h in heard if h.measured == [False]]
    wanted = f"another worker measures the edge, on {socket.gethostname()}: waiting for it"
    assert waited == [[wanted]] * 3
    assert study.user_attrs[CLAIM_KEY] is None


def test_a_claim_that_ran_out_is_taken_over(tmp_path: Path, monkeypatch) -> None:
    made = measuring(monkeypatch)
    study = optuna.create_study()
    study.set_user_attr(CLAIM_KEY, claim(tmp_path, left=0.3))
    assert ask(study, tmp_path)[1].notes[0].startswith("another worker measures the edge, on else")
    assert len(made) == 1


def test_a_claim_of_this_folder_is_a_dead_workers(tmp_path: Path, monkeypatch) -> None:
    measuring(monkeypatch)
    study = optuna.create_study()
    study.set_user_attr(CLAIM_KEY, claim(tmp_path, host=socket.gethostname()))
    assert ask(study, tmp_path)[1].notes == ["a line"]


def test_who_fails_leaves_no_claim(tmp_path: Path, monkeypatch) -> None:
    measuring(monkeypatch, error=ZeroDivisionError())
    study = optuna.create_study()
    with pytest.raises(ZeroDivisionError):
        ask(study, tmp_path)
    assert study.user_attrs[CLAIM_KEY] is None


def test_an_edge_that_is_stored_while_we_claim_is_taken(tmp_path: Path, monkeypatch) -> None:
    made = measuring(monkeypatch)
    study = optuna.create_study()
    monkeypatch.setattr(
        calibration.time,
        "sleep",
        lambda seconds: store_edge(study, edge_key("t", ""), Edge.known(0.2)),
    )
    edge, heard = ask(study, tmp_path)
    assert (edge.learning_rate, made, heard.measured) == (0.2, [], [False])


def test_a_long_calibration_keeps_its_claim(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(calibration, "RENEWAL", 0.02)
    monkeypatch.setattr(calibration, "LIFE", 0.4)
    study = optuna.create_study()
    made = measuring(monkeypatch, seconds=1.0)
    first = threading.Thread(target=ask, args=(study, tmp_path))
    first.start()
    time.sleep(0.3)
    (tmp_path / "b").mkdir()
    ask(study, tmp_path / "b")
    first.join()
    assert len(made) == 1


def test_who_waits_can_be_stopped(tmp_path: Path, monkeypatch) -> None:
    measuring(monkeypatch)
    study = optuna.create_study()
    study.set_user_attr(CLAIM_KEY, claim(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        ask(study, tmp_path, interrupted=lambda: True)


def test_on_one_machine_nothing_is_claimed(tmp_path: Path, monkeypatch) -> None:
    measuring(monkeypatch)
    study = optuna.create_study()
    ask(study, tmp_path, one_machine=True)
    assert list(study.user_attrs) == [edge_key("t", "")]


def test_who_waits_for_the_lock_says_so_and_can_be_stopped(tmp_path: Path) -> None:
    notes: list[str] = []
    lock = FileLock(tmp_path / "begin.lock")
    with lock:
        with pytest.raises(KeyboardInterrupt):
            with turn(tmp_path, notes.append, lambda: bool(notes), other="measures the edge"):
                pass
    assert notes == ["another worker measures the edge: waiting for it"]
    with turn(tmp_path, notes.append, other="measures the edge"):
        pass
    assert len(notes) == 1
