"""What every command prints and how it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from lrsearch.exceptions import LrsearchError

if TYPE_CHECKING:
    from rich.console import Console

FAILED = 1
NOTHING_FINISHED = 3
INTERRUPTED = 130
PIPED_WIDTH = 200  # columns where there is no terminal: room for every reason on one line


@contextmanager
def errors(as_json: bool) -> Iterator[None]:
    """One sentence and exit code 1 for every error of ours, and for nothing else."""
    import optuna
    import torch

    torch.set_num_threads(1)  # two threads on a busy machine are many times slower than one
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    except LrsearchError as error:
        fail(str(error), type(error).__name__, as_json, FAILED)
    except KeyboardInterrupt:
        reason = "interrupted; nothing is lost: the same command goes on."
        fail(reason, "KeyboardInterrupt", as_json, INTERRUPTED)


def fail(message: str, kind: str, as_json: bool, code: int) -> NoReturn:
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
