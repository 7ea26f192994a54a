"""One run with no other to compare it with: which hopeless and good runs our rules stop.

python alone.py [--tables fashion_sgd ...]

Every recorded run of a table counts, cells weighing the same. Hopeless: a cell whose truth is more
than 1.3 times the best. Good: one within the tolerance. Shares that are stopped, or have diverged,
by a tenth and by a quarter of the budget.
"""

import math
from typing import Any

import numpy as np
import raw
from methods import CURVATURE
from ours import looks
from streams import Entry, readings
from table import Cell, Table

from lrsearch.search import decide

HOPELESS = math.log(1.3)
SHARES = (0.1, 0.25)
RULES: dict[str, frozenset[str]] = {"ours": frozenset(), "ours, no curvature": CURVATURE}


def ended_at(table: Table, entry: Entry, read: list[int], hidden: frozenset[str]) -> float:
    """Step at which the rules end a run, or it diverges; infinite if neither."""
    seen = readings(table, entry, read, hidden, compared=False)
    stops = (r.step for n, r in enumerate(seen, 1) if decide(seen[:n]).stop)
    return min(next(stops, math.inf), entry.run.diverged_at or math.inf)


def hopeless(table: Table, cell: Cell) -> bool | None:
    """Whether a cell is hopeless or good; ``None`` between the two."""
    over = table.truth[cell] - table.best
    return True if over > HOPELESS else False if over <= math.log1p(table.tolerance()) else None


def measured(table: Table) -> dict[str, Any]:
    """Shares of hopeless and of good cells' runs that have ended, by rule and share of the run."""
    read = sorted(looks(table) - {len(table.marks)})
    found: dict[str, Any] = {}
    for name, hidden in RULES.items():
        ended: dict[str, list[list[float]]] = {"hopeless": [], "good": []}
        for cell, runs in table.runs.items():
            kind = hopeless(table, cell)
            if kind is None:
                continue
            steps = [ended_at(table, Entry(cell, s, r), read, hidden) for s, r in runs.items()]
            shares = [np.mean([step <= share * table.budget for step in steps]) for share in SHARES]
            ended["hopeless" if kind else "good"].append([float(share) for share in shares])
        found[name] = {
            kind: {"cells": len(rows), "ended": np.mean(rows, axis=0).round(4).tolist()}
            for kind, rows in ended.items()
        }
    return {"rules": found}


def main() -> None:
    options = raw.arguments(__doc__).parse_args()
    raw.fill("alone", options.tables, lambda _, table: measured(table))


if __name__ == "__main__":
    main()
