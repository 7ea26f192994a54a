"""Where tables and raw results lie. What is there already is not computed again."""

import argparse
import json
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import tasks
from table import Table

HERE = Path(__file__).parent
RAW = HERE / "raw"


def table_path(function: str) -> Path:
    """The table of a function of `tasks.py`."""
    return HERE / "tables" / f"{function.replace('_', '-')}.parquet"


def recorded(functions: Iterable[str]) -> dict[str, Table]:
    """Function -> table, of those that have been recorded."""
    return {f: Table.read(table_path(f)) for f in functions if table_path(f).exists()}


def path_of(table: str, name: str) -> Path:
    """A raw result."""
    return RAW / table / f"{name}.json"


def save(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all; infinity as the text "inf"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in document.items())
    scratch.write_text("{\n" + lines.replace("Infinity", '"inf"') + "\n}\n")
    scratch.replace(path)


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser that knows which tables."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    every = [*tasks.DEVELOPMENT, *tasks.EVALUATION]
    parser.add_argument("--tables", nargs="*", default=every, help="functions of tasks.py")
    return parser


def in_processes(
    measure: Callable[[str, int], str], functions: Iterable[str], count: int, jobs: int
) -> None:
    """Call ``measure(function, count)`` for every recorded table; each line is printed.

    Args:
        measure: A function of a module.
        functions: Of tasks.py.
        count: Seeds, or sweeps.
        jobs: Processes.
    """
    known = [f for f in functions if table_path(f).exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context) as pool:
        for line in pool.map(measure, known, [count] * len(known)):
            print(line, flush=True)


def fill(name: str, functions: Iterable[str], measure: Callable[[str, Table], Any]) -> None:
    """Measure every recorded table that has no result of this name yet."""
    for function, table in recorded(functions).items():
        path = path_of(table.name, name)
        if not path.exists():
            save(path, {"table": table.name, **measure(function, table)})
            print(f"{table.name}: {name}", flush=True)
