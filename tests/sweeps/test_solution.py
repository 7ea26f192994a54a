"""Kinds of solution of several schedules: nothing trained twice, nothing lost, told by file."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from lrsearch.exceptions import DocumentError
from lrsearch.schedules import Schedule
from lrsearch.sweeps import Silent, Solutions, solution_remarks, solution_table, solutions
from lrsearch.tasks import digits
from lrsearch.training import Task

BUDGET = 40
MEMORY = "solutions-digits-width32.json"
LINEAR = Schedule("linear", peak=0.1, budget=BUDGET)
CONSTANT = Schedule("constant", peak=0.1, budget=BUDGET)


def counted() -> tuple[Task, list[int]]:
    task, calls = digits(width=32), []

    def loss(model, batch):
        if model.training:
            calls.append(1)
        return task.loss(model, batch)

    return replace(task, loss=loss), calls


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    task, calls = counted()
    whole = solutions(task, [LINEAR], seeds=1, on=2)
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        solutions(
            task, [LINEAR], seeds=1, on=2, folder=tmp_path, interrupted=lambda: len(calls) == 30
        )
    assert solutions(task, [LINEAR], seeds=1, on=2, folder=tmp_path) == whole
    assert len(calls) == BUDGET
    assert [p.name for p in tmp_path.iterdir()] == [MEMORY]
    assert solutions(task, [LINEAR], seeds=1, on=2, folder=tmp_path) == whole
    assert len(calls) == BUDGET


def test_two_that_share_a_folder_lose_nothing(tmp_path: Path) -> None:
    """The second one begins, and ends, while the first one is at work."""
    task, calls = counted()

    class Other(Silent):
        def note(self, line: str) -> None:
            if "seed 0" in line:
                solutions(task, [CONSTANT], seeds=1, on=1, folder=tmp_path)

    solutions(task, [LINEAR], seeds=2, on=1, folder=tmp_path, listener=Other())
    assert len(calls) == 3 * BUDGET
    solutions(task, [LINEAR, CONSTANT], seeds=1, on=1, folder=tmp_path)
    assert len(calls) == 3 * BUDGET


def test_a_memory_that_cannot_be_read(tmp_path: Path) -> None:
    for text in ("{", "[]", "{}", '{"version": 1}', '{"version": 1, "runs": [3]}'):
        (tmp_path / MEMORY).write_text(text)
        with pytest.raises(DocumentError, match="Delete it"):
            solutions(digits(width=32), [LINEAR], seeds=1, folder=tmp_path)
    (tmp_path / MEMORY).write_text('{"version": 99, "runs": {}}')
    with pytest.raises(DocumentError, match="newer lrsearch"):
        solutions(digits(width=32), [LINEAR], seeds=1, folder=tmp_path)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DocumentError, match="choose a path in a folder"):
        solutions(digits(width=32), [LINEAR], seeds=1, on=1, folder=tmp_path / "file")


def test_schedules_of_one_family_and_peak_are_told_apart() -> None:
    run = {"metric": 0.5, "sharpness": None, "rise": None, "sparsity": 0.1, "dead": 0.0}
    run |= {"reason": "no sharpness: it has none"}
    found = [Solutions(LINEAR, (run, run)), Solutions(replace(LINEAR, warmup_steps=9), (run,))]
    console = Console(width=160, record=True, file=StringIO())
    console.print(solution_table(found, "loss [nats]", ["a.json", "[b].json"]))
    text = console.export_text()
    for word in ("a.json", "[b].json", "loss [nats]", "0.5 +- 0"):
        assert word in text
    remarks = solution_remarks(found)
    assert remarks.count("no sharpness: it has none") == 1
    assert "linear, peak 0.1, seed 1: a perturbation broke the loss" in remarks
