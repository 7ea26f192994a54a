"""Replay every method on every table; raw results by table and method, resumable.

    python compare.py [--tables fashion-sgd ...] [--methods ours "tpe [wide]"] [--sweeps 100]

`frozen.json` must be there: constants of development tables, committed before evaluation tables are
looked at.
"""

import argparse
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tasks
from freeze import HERE, digest, frozen, table_path
from methods import methods
from replay import replay
from table import Table

RAW = HERE / "raw"
COST = 40.0  # full-run equivalents of a sweep
FEWER = {"gp": 20}  # sweeps of methods that think long


def path_of(table: str, method: str, workers: int) -> Path:
    name = "".join(c if c.isalnum() else "-" for c in method).strip("-")
    return RAW / table / f"{name}-{workers}.json"


def run(function: str, method: str, sweeps: int, workers: int, cost: float) -> str:
    """All sweeps of one method on one table."""
    table = Table.read(table_path(function))
    constants = frozen()
    make = methods(constants, tasks.CLASSES[function])[method]
    tolerance = table.tolerance()
    found: list[dict[str, Any]] = []
    for seed in range(sweeps):
        trace = replay(table, make(), seed=seed, cost=cost, workers=workers)
        last = trace.recommendations[-1] if trace.recommendations else None
        found.append(
            {
                "settled": round(trace.settled(tolerance), 4),
                "trials": trace.trials,
                "stopped": trace.stopped,
                "cost": round(trace.cost, 3),
                "final_regret": None if last is None else round(last.regret, 5),
            }
        )
    document = {
        "table": table.name,
        "method": method,
        "workers": workers,
        "tolerance": tolerance,
        "noise": table.noise,
        "frozen": digest(constants),
        "sweeps": found,
    }
    path = path_of(table.name, method, workers)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(document).replace("Infinity", '"inf"') + "\n")
    scratch.replace(path)
    return f"{table.name}: {method}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    everything = [*tasks.DEVELOPMENT, *tasks.EVALUATION]
    parser.add_argument("--tables", nargs="*", default=everything, help="functions of tasks.py")
    parser.add_argument("--methods", nargs="*", help="all by default")
    parser.add_argument("--sweeps", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1, help="of each simulated sweep")
    parser.add_argument("--cost", type=float, default=COST, help="full runs that a sweep spends")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    constants = frozen()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, context) as pool:
        futures = []
        for function in options.tables:
            if not table_path(function).exists():
                continue
            name = function.replace("_", "-")
            for method in options.methods or methods(constants, tasks.CLASSES[function]):
                if path_of(name, method, options.workers).exists():
                    continue
                sweeps = min(options.sweeps, FEWER.get(method.split(" ")[0], options.sweeps))
                job = (function, method, sweeps, options.workers, options.cost)
                futures.append(pool.submit(run, *job))
        for done, future in enumerate(as_completed(futures), 1):
            print(f"{done} of {len(futures)}: {future.result()}", flush=True)


if __name__ == "__main__":
    main()
