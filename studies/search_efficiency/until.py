"""Ending a sweep when little is left: what the model foretells, and what is really left.

    python until.py [--tables fashion_sgd ...] [--sweeps 50]

Our own sweeps, replayed; after every trial the model's outlook (`lrsearch sweep --until`), and the
regret of what is recommended then.
"""

import os
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
import raw
from ours import Ours
from simulate import replay
from table import Table

from lrsearch.integrations.optuna import study_outlook

COST = 20.0  # full runs that a sweep may spend
GAINS = (0.05, 0.03, 0.02, 0.01)
FINISHED = (4, 6, 8, 12, 16)  # runs after which the outlook is kept
WORST = 1.0  # log loss that counts for a cell that diverges with other seeds


class Asked(Ours):
    """Ours, with the outlook after every trial."""

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        self.study, spent = super().begin(table, seed)
        return self.study, spent

    def foretold(self) -> tuple[int, float] | None:
        """Finished runs, and the gain that is foretold."""
        found = study_outlook(self.study)
        return None if found is None else (found.runs, found.remaining)


def outcome(table: Table, seed: int) -> dict[str, Any]:
    """One sweep: by recommendation its cost, finished runs, foretold gain and regret."""
    method, rows = Asked(), []
    trace = replay(table, method, seed=seed, cost=COST, told=lambda: rows.append(method.foretold()))
    both = zip(rows, trace.recommendations, strict=True)
    return {
        "seen": [
            [r.cost, *f, min(r.regret, WORST)] for f, r in both if f is not None
        ]  # cost, finished, foretold, left
    }


def summed(sweeps: list[dict[str, Any]], tolerance: float) -> dict[str, Any]:
    """What is kept of a table's sweeps."""
    found: dict[str, Any] = {"foretold": {}, "ended": {}}
    for count in FINISHED:
        rows = [next((s for s in one["seen"] if s[1] >= count), None) for one in sweeps]
        known = [row for row in rows if row is not None]
        if known:
            said, left = (float(np.mean([row[i] for row in known])) for i in (2, 3))
            found["foretold"][str(count)] = [round(said, 5), round(left, 5)]
    for gain in GAINS:
        ends = [next((s for s in one["seen"] if s[2] <= gain), one["seen"][-1]) for one in sweeps]
        left = np.array([end[3] for end in ends])
        found["ended"][str(gain)] = {
            "cost": round(float(np.mean([end[0] for end in ends])), 3),
            "left": round(float(left.mean()), 5),
            "beyond": round(float(np.mean(left > np.log1p(tolerance))), 4),
            "open": round(float(np.mean([end[2] > gain for end in ends])), 4),
        }
    return found


def measured(function: str, sweeps: int) -> str:
    """All sweeps of one table."""
    table = Table.read(raw.table_path(function))
    outcomes = [outcome(table, seed) for seed in range(sweeps)]
    found = summed([one for one in outcomes if one["seen"]], table.tolerance())
    raw.save(raw.path_of(table.name, "until"), {"table": table.name, "sweeps": sweeps, **found})
    return f"{table.name}: {found['ended'][str(GAINS[-1])]}"


def main() -> None:
    assert __doc__ is not None
    parser = raw.arguments(__doc__)
    parser.add_argument("--sweeps", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    new = [f for f in options.tables if not raw.path_of(f.replace("_", "-"), "until").exists()]
    raw.in_processes(measured, new, options.sweeps, options.jobs)


if __name__ == "__main__":
    main()
