"""What trunk and branches would save: runs of a sweep that share their stable phase with another.

    python branches.py [--tables fashion_sgd ...] [--sweeps 10]

Constant and WSD are one run until the cooldown. In sweeps of ours on a table, 20 full runs each, a
run counts as a branch where an earlier one of the other shape has the same rate (nearest recorded
one, a quarter octave) or one within an octave; it would then cost its last fifth only. This is what
could be saved at most without changing what is proposed: seeds would have to agree as well.
"""

import os
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import families
import numpy as np
import optuna
import raw
from ours import PARAMETERS, Ours
from simulate import Choice, replay
from table import Cell, Table

SHARED = 1.0 - float(PARAMETERS["wsd.cooldown"])
COST = 20.0
NEAR = (0, 4)  # quarter octaves


class Remembering(Ours):
    """Ours, and the cells that it has proposed."""

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        self.cells: list[Cell] = []
        return super().begin(table, seed)

    def choose(self, trial: optuna.Trial) -> Choice:
        choice = super().choose(trial)
        self.cells.append(self.table.snap(*choice))
        return choice


def saved(cells: list[Cell], near: int) -> float:
    """Share of a sweep's full runs that branches would save."""
    total = 0.0
    for i, (shape, k) in enumerate(cells):
        others = [
            kept
            for other, kept in cells[:i]
            if shape in families.TOGETHER and other in families.TOGETHER and other != shape
        ]
        total += SHARED * any(abs(k - kept) <= near for kept in others)
    return total / max(len(cells), 1)


def measured(table: Table, sweeps: int) -> dict[str, Any]:
    """Mean over sweeps, by how near two rates must be."""
    found: dict[int, list[float]] = {near: [] for near in NEAR}
    together = []
    for seed in range(sweeps):
        method = Remembering()
        replay(table, method, seed=seed, cost=COST)
        together.append(np.mean([shape in families.TOGETHER for shape, _ in method.cells]))
        for near, shares in found.items():
            shares.append(saved(method.cells, near))
    return {
        "sweeps": sweeps,
        "constant or wsd": round(float(np.mean(together)), 4),
        "saved": {str(near): round(float(np.mean(s)), 4) for near, s in found.items()},
    }


def main() -> None:
    parser = raw.arguments(__doc__)
    parser.add_argument("--sweeps", type=int, default=10)
    options = parser.parse_args()
    raw.fill("branches", options.tables, lambda _, table: measured(table, options.sweeps))


if __name__ == "__main__":
    main()
