"""What a recommendation is worth once it is trained anew: the winner's curse, paid in full.

    python retrain.py [--tables fashion_sgd ...] [--seeds 4]

Each schedule that the methods below recommended after 3, 10 and 40 full runs, in their first 20
sweeps, is exported, read back and trained with seeds that no recorded run has. So is the best cell
of the table.
"""

import json
import math
import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import families
import grid
import raw
import tasks
import torch
from compare import path_of
from judged import Judged
from table import Cell, Table

from lrsearch.schedules import Schedule
from lrsearch.training import train

METHODS = ("ours", "tpe [wide]", "tpe [edge]")
SWEEPS = 20  # of each method
FIRST_SEED = 10_000


def recommended(table: Table) -> Iterator[Cell]:
    """Cells that the methods recommended, each once, the table's best among them."""
    cells = {table.best_cell}
    for method in METHODS:
        path = path_of(table.name, method, 1)
        if not path.exists():
            raise SystemExit(f"{table.name} has no replay of {method!r}: run compare.py first.")
        for each in raw.load(path)["recommended"].values():
            cells |= {(one[0], one[1]) for one in each[:SWEEPS] if one is not None}
    yield from sorted(cells)


def exported(cell: Cell, budget: int) -> Schedule:
    """The cell's schedule, by way of the document that is exported."""
    schedule = families.SHAPES[cell[0]].schedule(grid.rate(cell[1]), budget)
    return Schedule.from_dict(json.loads(json.dumps(schedule.to_dict())))


def fresh(task: Judged, cell: Cell, seed: int) -> tuple[float, float]:
    """Validation and test loss of one run; infinite if it diverges."""
    assert task.test is not None
    result = train(task, exported(cell, task.budget), seed=seed, share=None)
    if not math.isfinite(result.metric):
        return math.inf, math.inf
    return round(result.metric, 6), round(task.test(result.model), 6)


def all_of(function: str, table: Table, seeds: int, known: dict[str, Any]) -> dict[str, Any]:
    """All cells that are recommended; those that are known are not trained again."""
    torch.set_num_threads(1)
    task: Judged = getattr(tasks, function)()
    found = {}
    for cell in recommended(table):
        name = f"{cell[0]} {cell[1]}"
        if name in known:
            found[name] = known[name]
            continue
        runs = [fresh(task, cell, FIRST_SEED + seed) for seed in range(seeds)]
        found[name] = {"validation": [run[0] for run in runs], "test": [run[1] for run in runs]}
    return found


def main() -> None:
    parser = raw.arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    for function, table in raw.recorded(options.tables).items():
        path = raw.path_of(table.name, "fresh")
        known = raw.load(path)["cells"] if path.exists() else {}
        found = all_of(function, table, options.seeds, known)
        if found != known:
            raw.save(path, {"table": table.name, "cells": found})
        print(f"{table.name}: {len(found)} cells", flush=True)


if __name__ == "__main__":
    main()
