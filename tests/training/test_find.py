"""The three ways to name a task, and what is said when none of them leads anywhere."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from lrsearch.exceptions import TaskError
from lrsearch.training import Task, batches, find_task

# What a user writes: the whole of it in 20 lines.
USER_FILE = """\
import torch
from torch import nn
from lrsearch.training import Task, tensor_stream

x = torch.linspace(-1, 1, 64).unsqueeze(1)
y = x.square()

def model():
    return nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))

def loss(model, batch):
    return nn.functional.mse_loss(model(batch[0]), batch[1])

def evaluate(model):
    with torch.no_grad():
        return loss(model, (x, y)).item()

def optimizer(model, learning_rate):
    return torch.optim.SGD(model.parameters(), lr=learning_rate)
task = Task("parabola", model, loss, tensor_stream(x, y, batch_size=8), evaluate, optimizer)
"""

FACTORY = USER_FILE + "def build(): return task\ndef sized(width): return task\n"


@pytest.fixture(autouse=True)
def _imports_restored() -> Iterator[None]:
    modules, path = set(sys.modules), list(sys.path)
    yield
    assert sys.path == path, "find_task left an entry on sys.path"
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, source: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(source)
    return path


def test_an_embedded_name(tmp_path: Path) -> None:
    task = find_task(f"{write(tmp_path, USER_FILE)}:task", {})
    assert find_task("mine", {"mine": lambda: task}) is task


def test_a_file_of_20_lines_trains(tmp_path: Path) -> None:
    assert len([line for line in USER_FILE.splitlines() if line.strip()]) <= 20
    task = find_task(f"{write(tmp_path, USER_FILE)}:task", {})
    torch.manual_seed(0)
    model = task.model()
    optimizer = task.optimizer(model, 0.3)
    before = task.evaluate(model)
    for batch in islice(batches(task, 0), 200):
        optimizer.zero_grad()
        task.loss(model, batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert task.evaluate(model) < before / 5


def test_a_function_that_returns_a_task(tmp_path: Path) -> None:
    assert find_task(f"{write(tmp_path, FACTORY)}:build", {}).name == "parabola"


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, USER_FILE)
    monkeypatch.chdir(tmp_path)
    assert find_task("mine.py:task", {}).name == "parabola"
    assert find_task(f".{os.sep}mine.py:task", {}).name == "parabola"


def test_a_module_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "project_of_mine"
    package.mkdir()
    write(package, FACTORY, "tasks.py")
    monkeypatch.chdir(tmp_path)
    assert find_task("project_of_mine.tasks:task", {}).name == "parabola"
    assert find_task("project_of_mine.tasks:build", {}).name == "parabola"


def test_neighbouring_files_can_be_imported(tmp_path: Path) -> None:
    write(tmp_path, "NAME = 'from the neighbour'\n", "neighbour_of_mine.py")
    source = "import neighbour_of_mine\n" + USER_FILE.replace(
        '"parabola"', "neighbour_of_mine.NAME"
    )
    assert find_task(f"{write(tmp_path, source)}:task", {}).name == "from the neighbour"


def test_classes_of_the_file_are_dataclasses_and_can_be_pickled(tmp_path: Path) -> None:
    source = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        + USER_FILE
        + "@dataclass\nclass Loss:\n"
        + "    scale: float = 2.0\n"
        + "    def __call__(self, model, batch): return self.scale * loss(model, batch)\n"
        + "from dataclasses import replace\n"
        + "scaled = replace(task, loss=Loss())\n"
    )
    task = find_task(f"{write(tmp_path, source)}:scaled", {})
    copied = pickle.loads(pickle.dumps(task))
    assert copied.loss == task.loss


def test_a_file_does_not_inherit_our_future_imports(tmp_path: Path) -> None:
    source = (
        USER_FILE + "def noted(a: int): pass\nassert noted.__annotations__['a'] in (int,), noted\n"
    )
    assert find_task(f"{write(tmp_path, source)}:task", {}).name == "parabola"


def test_an_unchanged_file_runs_once_and_a_changed_one_again(tmp_path: Path) -> None:
    path = write(tmp_path, USER_FILE)
    first = find_task(f"{path}:task", {})
    assert find_task(f"{path}:task", {}) is first
    write(tmp_path, USER_FILE.replace("parabola", "paraboli"))  # same size, same second
    assert find_task(f"{path}:task", {}).name == "paraboli"


def test_files_of_one_name_stay_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, USER_FILE)
    first = find_task(f"{tmp_path / 'a' / 'mine.py'}:task", {})
    assert find_task(f"{tmp_path / 'b' / 'mine.py'}:task", {}) is not first


def test_an_unknown_name_lists_the_known_ones_and_the_other_forms(tmp_path: Path) -> None:
    task = find_task(f"{write(tmp_path, USER_FILE)}:task", {})
    known = {"b-task": lambda: task, "a-task": lambda: replace(task, name="other")}
    with pytest.raises(TaskError) as caught:
        find_task("digit", known)
    message = str(caught.value)
    assert "'digit'" in message
    assert "'a-task', 'b-task'" in message
    assert "'module:attribute'" in message
    assert "'path/to/file.py:attribute'" in message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nothing", "Embedded are none"),
        ("mine.py", r"names a file but no task in it: write 'mine\.py:attribute'"),
        (":task", "cannot read the task ':task'"),
        ("mine.py:", r"cannot read the task 'mine\.py:'"),
        ("absent.py:task", r"the task file \S*absent\.py does not exist"),
        ("folder.py:task", "is no use"),
        ("my folder/mine:task", "neither a module's name nor a Python file"),
        ("absent_module_of_mine:task", "there is no module 'absent_module_of_mine': install it"),
        ("absent_package_of_mine.inner:task", "there is no module 'absent_package_of_mine.inner'"),
        ("mine.py:tsk", r"no attribute 'tsk'. Tasks in it: 'task'; functions .*: 'build', 'model'"),
        ("mine.py:x", "must be a Task or a function that returns one, got Tensor"),
        ("mine.py:sized", r"needs arguments \(width\).*give them defaults"),
        ("mine.py:model", "must return a Task, got Sequential"),
        ("mine.py:Task", "needs arguments"),
        ("empty.py:task", "Tasks in it: none; functions without required arguments: none"),
        ("broken.py:task", r"running \S*broken\.py failed with ZeroDivisionError: division"),
        ("typo.py:task", r"running \S*typo\.py failed with SyntaxError"),
        ("script.py:task", r"running \S*script\.py failed with SystemExit: 2"),
        (
            "needs.py:task",
            "failed with ModuleNotFoundError: No module named 'absent_dependency_of_mine'",
        ),
        ("needs:task", "importing module 'needs' failed with ModuleNotFoundError.*absent_dep"),
        ("fails.py:build", r"calling 'fails\.py:build' failed with ValueError: no data"),
    ],
)
def test_errors_name_what_was_wrong(
    spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.py").mkdir()
    write(tmp_path, FACTORY)
    write(tmp_path, "", "empty.py")
    write(tmp_path, "1 / 0\n", "broken.py")
    write(tmp_path, "def (\n", "typo.py")
    write(tmp_path, "raise SystemExit(2)\n", "script.py")
    write(tmp_path, "import absent_dependency_of_mine\n", "needs.py")
    write(tmp_path, "def build(): raise ValueError('no data')\n", "fails.py")
    with pytest.raises(TaskError, match=message):
        find_task(spec, {})


def test_the_original_error_is_the_cause_and_a_broken_file_leaves_no_module(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "1 / 0\n")
    with pytest.raises(TaskError) as caught:
        find_task(f"{path}:task", {})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert not [name for name in sys.modules if name.startswith("_lrsearch_task_mine")]


def test_a_stop_by_the_user_is_not_turned_into_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        find_task(f"{path}:task", {})


def test_the_task_type_is_the_one_users_import() -> None:
    assert Task.__module__.startswith("lrsearch.training")
