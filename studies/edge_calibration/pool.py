"""Tasks by name, in processes of their own; what is there already is not recorded again."""

import argparse
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor


def run(description: str, record: Callable[[str], str], names: Iterable[str]) -> None:
    """The command line of a recorder.

    Args:
        description: Its docstring; the first line is shown.
        record: Records one task and returns its name; a function of a module.
        names: Tasks by default.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=list(names), help="names of specs.py")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        for name in pool.map(record, options.tasks):
            print(f"{name}: complete", flush=True)
