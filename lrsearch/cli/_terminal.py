"""What every command prints and how it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from lrsearch.exceptions import LrsearchError, UnsupportedError

if TYPE_CHECKING:
    from rich.console import Console

FAILED = 1
NOTHING_FINISHED = 3
INTERRUPTED = 130
PIPED_WIDTH = 200  # columns where there is no terminal: room for every reason on one line


@contextmanager
def errors(as_json: bool, code: int = FAILED) -> Iterator[None]:
    """One sentence and an exit code for every error of ours, and for nothing else."""
    import optuna
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # two threads on a busy machine are many times slower than one
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    except LrsearchError as error:
        fail(str(error), type(error).__name__, as_json, code)
    except KeyboardInterrupt:
        reason = "interrupted; nothing is lost: the same command goes on."
        fail(reason, "KeyboardInterrupt", as_json, INTERRUPTED)


def fail(message: str, kind: str, as_json: bool, code: int) -> NoReturn:
    from lrsearch.sweeps import masked

    message = masked(message)
    if as_json:
        print_json({"error": kind, "message": message})
    else:
        typer.echo(message if code == INTERRUPTED else f"error: {message}", err=True)
    raise typer.Exit(code)


def console_for(as_json: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=as_json)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED_WIDTH
    return console


def say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def next_steps(
    task: str,
    budget: int,
    storage: str,
    study: str,
    schedule: Path,
    trials: int,
    more: list[tuple[str, str | None]],
) -> list[str]:
    """Commands that go on from a sweep, as a shell takes them."""
    place = ["--storage", storage, "--study", study]
    kept = [word for name, value in more if value for word in (name, value)]
    sweep = ["sweep", task, "--budget", str(budget), *place, *kept, "--trials", str(trials)]
    export = ["export", str(schedule), "--format", "torch"]
    return [
        "next:",
        f"  lrsearch {join(export)}   # code for your own loop",
        f"  lrsearch {join(['show', *place])}   # why each trial ended",
        f"  lrsearch {join(sweep)}   # go on from here",
    ]


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnsupportedError(
            f"cannot write into {path}: {error.strerror}. Name a folder."
        ) from error


def write_text(path: Path, text: str) -> None:
    make_folder(path.parent)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnsupportedError(f"cannot write {path}: {error.strerror}. Name a file.") from error
