"""What every test shares: one thread, quiet hosts, and markers that skip with a reason."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before anything imports numpy or torch: they read it once. Workers of xdist inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest

try:
    import torch
except ImportError:  # the pure rooms are tested without it
    torch = None
else:
    torch.set_num_threads(1)

try:
    import optuna
except ImportError:
    pass
else:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    no_gpu = pytest.mark.skip(reason="needs a CUDA device")
    too_slow = pytest.mark.skip(reason="takes minutes; run it with LRSEARCH_SLOW=1")
    no_faults = pytest.mark.skip(reason="breaks things with real processes; make test-faults")
    has_gpu = torch is not None and torch.cuda.is_available()
    runs_slow = os.environ.get("LRSEARCH_SLOW") == "1"
    runs_faults = os.environ.get("LRSEARCH_FAULTS") == "1"
    for item in items:
        if not has_gpu and item.get_closest_marker("gpu"):
            item.add_marker(no_gpu)
        if not runs_slow and item.get_closest_marker("slow"):
            item.add_marker(too_slow)
        if not runs_faults and item.get_closest_marker("faults"):
            item.add_marker(no_faults)


class Command:
    """One run of the `lrsearch` command in a process of its own."""

    def __init__(self, workshop: Workshop, pid: int, folder: Path) -> None:
        self.workshop, self.pid, self.folder = workshop, pid, folder
        self.code: int | None = None

    @property
    def out(self) -> str:
        return (self.folder / f"{self.pid}.out").read_text()

    @property
    def err(self) -> str:
        return (self.folder / f"{self.pid}.err").read_text()

    def alive(self) -> bool:
        if self.code is None:
            self.code = self.workshop.ask({"poll": self.pid})
        return self.code is None

    def wait(self, seconds: float = 120.0) -> Command:
        until(lambda: not self.alive(), seconds, f"{self.pid} to end")
        return self

    def kill(self, number: int = signal.SIGKILL) -> Command:
        if self.alive():
            os.kill(self.pid, number)
        return self.wait()


class Workshop:
    """Starts `lrsearch` and scripts in real processes, forked from one with all imports done.

    They can be killed like any other, but do not need seconds to import torch.
    """

    SCRIPT = """
import gc, json, os, runpy, sys, traceback
import optuna, plotly.graph_objects, plotly.subplots, torch
import lrsearch.cli, lrsearch.sweeps, lrsearch.tasks, lrsearch.visualization
# What these import when they are first used:
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
optuna.logging.set_verbosity(optuna.logging.WARNING)
lrsearch.sweeps.open_study(
    lrsearch.sweeps.open_storage("sqlite:///:memory:", create=True), "warm", create=True
)
plotly.graph_objects.Figure().to_html()
gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if "poll" in order:
        pid, status = os.waitpid(order["poll"], os.WNOHANG)
        print(json.dumps(os.waitstatus_to_exitcode(status) if pid else None), flush=True)
        continue
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        continue
    os.chdir(order["cwd"])
    os.environ.update(order["env"])
    for name in order["block"]:
        sys.modules[name] = None
    for number, end in ((1, "out"), (2, "err")):
        path = os.path.join(order["folder"], f"{os.getpid()}.{end}")
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = [order["script"] or "lrsearch", *order["arguments"]]
    break
else:
    sys.exit()
code = 1
try:
    if order["script"]:
        sys.path.insert(0, os.path.dirname(order["script"]))
        runpy.run_path(order["script"], run_name="__main__")
        code = 0
    else:
        lrsearch.cli.main()
except SystemExit as exit:
    code = exit.code or 0
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
except BaseException:
    traceback.print_exc()
sys.stdout.flush(), sys.stderr.flush()
os._exit(code)  # to tear down all that was imported takes longer than most commands
"""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # pytest loads readline, which sets these for its children behind our back
            env={k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, order: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def script(self, path: Path, *arguments: object, folder: Path, **env: str) -> Command:
        """Run a Python script in the folder; its output is kept there in `.output`."""
        output = folder / ".output"
        output.mkdir(exist_ok=True)
        order = {
            "script": str(path),
            "arguments": [str(a) for a in arguments],
            "cwd": str(folder),
            "folder": str(output),
            "env": env,
            "block": [],
        }
        return Command(self, self.ask(order), output)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


class Shell:
    """A folder with a task file in it, in which `lrsearch` is run."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self.workshop, self.folder = workshop, folder
        self.commands: list[Command] = []
        (folder / "task.py").write_text(TASK_FILE)

    def start(
        self, *arguments: str, pace: float = 0.0, picture: bool = False, **env: str
    ) -> Command:
        """Begin a command.

        Args:
            *arguments: The command line.
            pace: Seconds that a step takes while a trial trains; see `set_pace`.
            picture: Whether plotly is there; drawing takes its share of a small sweep.
            **env: Environment variables.
        """
        (self.folder / ".output").mkdir(exist_ok=True)
        turn = str(self.folder / ".output" / f"pace-{len(self.commands)}")
        Path(turn).write_text(str(pace))
        order = {
            "script": "",
            "arguments": [str(a) for a in arguments],
            "cwd": str(self.folder),
            "folder": str(self.folder / ".output"),
            "env": {"TASK_PACE": turn, "TASK_LOG": str(self.folder / ".output" / "log"), **env},
            "block": [] if picture else ["plotly", "plotly.graph_objects"],
        }
        self.commands.append(
            Command(self.workshop, self.workshop.ask(order), self.folder / ".output")
        )
        return self.commands[-1]

    def run(self, *arguments: str, picture: bool = False, **env: str) -> Command:
        return self.start(*arguments, picture=picture, **env).wait()

    def set_pace(self, command: Command, pace: float) -> None:
        path = self.folder / ".output" / f"pace-{self.commands.index(command)}"
        path.with_suffix(".new").write_text(str(pace))
        path.with_suffix(".new").replace(path)

    def until(self, true: Callable[[], object], what: str) -> None:
        until(true, 60.0, what)

    def log(self) -> list[tuple[int, float, int]]:
        """For every optimizer in the order of its making: process, rate, steps done."""
        made: dict[str, list[Any]] = {}
        path = self.folder / ".output" / "log"
        text = path.read_text() if path.exists() else ""
        for line in text[: text.rfind("\n") + 1].splitlines():  # not one that is being written
            key, pid, rate, steps = line.split()
            made[key] = [int(pid), float(rate), int(steps)]
        return [tuple(entry) for entry in made.values()]


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.01)


TASK_FILE = '''
import os, time, uuid
import torch
from torch import nn
from lrsearch import Task
from lrsearch.training import tensor_stream

def data(seed, n):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 1, generator=generator) * 6 - 3
    return x, torch.sin(2 * x) + 0.1 * torch.randn(n, 1, generator=generator)

X, Y = data(1, 64)

def evaluate(model):
    model.eval()
    with torch.no_grad():
        value = nn.functional.mse_loss(model(X), Y).item()
    model.train()
    return value

def build():
    # Dropout: whoever goes on from a checkpoint must find the random numbers where they were.
    return nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))

def optimizer(model, rate):
    """SGD that tells a file of its steps, and takes its time."""
    made = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    key, done = uuid.uuid4().hex, 0
    def tell(*_):
        nonlocal done
        done += 1
        log = os.open(os.environ["TASK_LOG"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.write(log, f"{key} {os.getpid()} {rate} {done}\\n".encode())
        os.close(log)
        if rate != 1e-3 or "TASK_PACE_ALL" in os.environ:  # calibrations are made with that rate
            with open(os.environ["TASK_PACE"]) as file:
                time.sleep(float(file.read()))
    made.register_step_post_hook(tell)
    return made

def task(**changes):
    plain = dict(
        name="curve",
        model=build,
        loss=lambda model, batch: nn.functional.mse_loss(model(batch[0]), batch[1]),
        stream=tensor_stream(*data(0, 256), batch_size=32),
        evaluate=evaluate,
        optimizer=optimizer,
        metric="error",
        budget=40,
    )
    return Task(**plain | changes)
'''


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    made = Workshop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def make_shell(workshop: Workshop) -> Iterator[Callable[[Path], Shell]]:
    made: list[Shell] = []

    def make(folder: Path) -> Shell:
        made.append(Shell(workshop, folder))
        return made[-1]

    yield make
    for command in (c for shell in made for c in shell.commands):
        command.kill()


@pytest.fixture
def shell(make_shell: Callable[[Path], Shell], tmp_path: Path) -> Shell:
    """`shell.run("sweep", ...)` in a folder with `task.py:task`; real processes."""
    return make_shell(tmp_path)
