"""Replay every method on every table; raw results by table and method, resumable.

    python compare.py [--tables fashion_sgd ...] [--methods ours "tpe [wide]"] [--sweeps 100]

`frozen.json` must be there: constants of development tables, committed before evaluation tables are
looked at.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import raw
import tasks
from freeze import digest, frozen
from methods import Sweep, methods
from simulate import Recommendation
from table import Table

COST = 40.0  # full-run equivalents of a sweep
FEWER = {"gp": 20, "our pruner": 20}  # sweeps of methods that think long
KEPT = (3, 10, 40)  # costs at which the recommendation is kept


def slug(method: str, workers: int) -> str:
    """Name of a method's raw result."""
    plain = "".join(c if c.isalnum() else " " for c in method)
    return "-".join([*plain.split(), str(workers)])


def path_of(table: str, method: str, workers: int) -> Path:
    return raw.path_of(table, slug(method, workers))


def run(function: str, method: str, sweeps: int, workers: int, cost: float) -> str:
    """All sweeps of one method on one table."""
    table = Table.read(raw.table_path(function))
    sweep = methods(frozen(), tasks.CLASSES[function])[method]
    document = measured(table, method, sweep, sweeps, workers, cost)
    raw.save(path_of(table.name, method, workers), document)
    return f"{table.name}: {method}"


def measured(
    table: Table, method: str, sweep: Sweep, sweeps: int, workers: int = 1, cost: float = COST
) -> dict[str, Any]:
    """What is kept of a method's sweeps on a table, one for each seed."""
    tolerance = table.tolerance()
    traces = [sweep(table, seed=seed, cost=cost, workers=workers) for seed in range(sweeps)]
    return {
        "table": table.name,
        "method": method,
        "workers": workers,
        "tolerance": tolerance,
        "noise": table.noise,
        "frozen": digest(frozen()),
        "settled": [round(trace.settled(tolerance), 4) for trace in traces],
        "settled_lowest": [round(trace.settled(tolerance, lowest=True), 4) for trace in traces],
        "trials": [trace.trials for trace in traces],
        "stopped": [trace.stopped for trace in traces],
        "recommended": {str(at): [_plain(trace.at(at)) for trace in traces] for at in KEPT},
    }


def _plain(one: Recommendation | None) -> list[Any] | None:
    """Shape, place, the loss that the method saw of it, and its regret."""
    return None if one is None else [*one.cell, round(one.seen, 6), round(one.regret, 5)]


def main() -> None:
    parser = raw.arguments(__doc__)
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
            if not raw.table_path(function).exists():
                continue
            name = function.replace("_", "-")
            for method in options.methods or methods(constants, tasks.CLASSES[function]):
                if path_of(name, method, options.workers).exists():
                    continue
                sweeps = min([options.sweeps, *(n for k, n in FEWER.items() if k in method)])
                job = (function, method, sweeps, options.workers, options.cost)
                futures.append(pool.submit(run, *job))
        for done, future in enumerate(as_completed(futures), 1):
            print(f"{done} of {len(futures)}: {future.result()}", flush=True)


if __name__ == "__main__":
    main()
