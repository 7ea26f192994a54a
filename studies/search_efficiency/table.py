"""A recorded table in memory: its cells, their truth, and what a replay may see of them.

A cell is a shape at a grid place. Its truth is the mean over seeds of the log of the final loss on
the test split, which no search sees (on the validation split where a task has no other). A sweep
draws from half of a cell's seeds, and is judged by the others.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import families
import grid
import numpy as np
import pyarrow.parquet as pq
import rungs

KEY = b"lrsearch"
OFFSET = 1_000  # grid places may be negative, a generator's seeds not
NEAR = math.log(1.05)
Cell = tuple[str, int]


@dataclass(frozen=True)
class Run:
    """One recorded run.

    Attributes:
        rungs: Column -> values at the rungs reached (later ones are NaN).
        final: Final loss on the validation split; infinite if the run diverged.
        test: The same on the test split.
        diverged_at: First step with a loss that is not finite, or 0.
        start: Level of the first training losses, and their spread.
    """

    rungs: dict[str, np.ndarray]
    final: float
    test: float
    diverged_at: int
    start: tuple[float, float]


class Table:
    """What has been recorded of one task.

    Args:
        columns: Column -> values, one row a rung of a run, in order of the rungs.
        about: What the recorder wrote beside it.
    """

    def __init__(self, columns: dict[str, np.ndarray], about: dict[str, Any]) -> None:
        self.about = about
        self.budget: int = about["budget"]
        self.runs: dict[Cell, dict[int, Run]] = {}
        starts = np.flatnonzero(columns["rung"] == 1)
        ends = [*starts[1:], len(columns["rung"])]
        for first, last in zip(starts, ends, strict=True):
            cell = (str(columns["shape"][first]), int(columns["k"][first]))
            own = {name: columns[name][first:last] for name in about["columns"]}
            run = _run({name: columns[name][first] for name in about["final"]}, own)
            self.runs.setdefault(cell, {})[int(columns["seed"][first])] = run

    @classmethod
    def read(cls, path: Path) -> "Table":
        """From `convert.py`'s parquet file, with the edges of `edges.py` where they are newer."""
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[KEY])
        if edges_beside(path).exists():
            about["edges"] = json.loads(edges_beside(path).read_text())["edges"]
        return cls({n: np.asarray(table[n].to_pandas()) for n in table.column_names}, about)

    @property
    def name(self) -> str:
        return str(self.about["task"])

    @property
    def shapes(self) -> list[str]:
        return list(dict.fromkeys(shape for shape, _ in self.runs))

    @cached_property
    def truth(self) -> dict[Cell, float]:
        """Mean log final loss of every cell over all its seeds; infinite if one diverged."""
        return {cell: self._mean(cell, runs) for cell, runs in self.runs.items()}

    @cached_property
    def best(self) -> float:
        """Smallest truth."""
        return min(self.truth.values())

    @cached_property
    def best_cell(self) -> Cell:
        """The cell with the smallest truth."""
        return min(self.truth, key=lambda cell: (self.truth[cell], cell))

    @property
    def marks(self) -> list[int]:
        """Steps at which the rungs lie."""
        return rungs.steps_of(self.budget)

    @cached_property
    def start(self) -> float:
        """Median over runs of the loss that they began with."""
        levels = [run.start[0] for runs in self.runs.values() for run in runs.values()]
        return float(np.nanmedian(levels))

    def price(self, part: str) -> float:
        """What a part costs in gradients, as the recording runs measured it."""
        return float(self.about["prices"][part])

    def edge(self, sweep: int) -> dict[str, float]:
        """The edge that a sweep with this seed measures, and its cost in gradients.

        Raises:
            ValueError: If it could not be measured on this task at all.
        """
        found = [e for e in self.about["edges"] if "learning_rate" in e]
        if not found:
            raise ValueError(f"no edge could be measured on {self.name!r}")
        return found[sweep % len(found)]

    def split(self, cell: Cell, sweep: int) -> tuple[list[int], list[int]]:
        """Seeds that a sweep may draw of a cell, and those that are held out to judge it by.

        Halves, another draw for every sweep. Shapes that were trained together are the same run up
        to where they part: at the same rate, each draws from the half that the other holds out.
        """
        seeds = sorted(self.runs[cell])
        if len(seeds) < 2:
            return seeds, seeds
        rng = np.random.default_rng([11, sweep, cell[1] + OFFSET])
        order = [seeds[i] for i in rng.permutation(len(seeds))]
        if cell[0] in families.TOGETHER[1:]:
            order.reverse()
        half = len(order) // 2
        return sorted(order[:half]), sorted(order[half:])

    def judged(self, cell: Cell, sweep: int) -> float:
        """A cell's truth to a sweep: mean log final loss over the seeds that it can't draw."""
        return self._mean(cell, self.split(cell, sweep)[1])

    def _mean(self, cell: Cell, seeds: Iterable[int]) -> float:
        return float(np.mean([_log(self.runs[cell][seed].test) for seed in seeds]))

    def snap(self, shape: str, rate: float) -> Cell:
        """The recorded cell nearest to a rate; beyond the last one it is the last one."""
        places = [k for name, k in self.runs if name == shape]
        if not places:
            raise KeyError(f"no runs of {shape!r} in the table of {self.name!r}")
        at = grid.OCTAVE * math.log2(rate)
        return shape, min(places, key=lambda k: (abs(k - at), k))

    @cached_property
    def noise(self) -> float:
        """Deviation of the seed-by-cell interaction among cells near the best, in log loss."""
        near = [cell for cell, mu in self.truth.items() if mu <= self.best + NEAR]
        seeds = sorted(set.intersection(*(set(self.runs[cell]) for cell in near)))
        if len(near) < 2 or len(seeds) < 2:
            return math.nan
        logs = np.array([[_log(self.runs[cell][s].test) for s in seeds] for cell in near])
        rest = logs - logs.mean(0) - logs.mean(1, keepdims=True) + logs.mean()
        freedom = (len(near) - 1) * (len(seeds) - 1)
        return float(np.sqrt((rest**2).sum() / freedom))

    def tolerance(self, least: float = 0.02) -> float:
        """Smallest admissible tolerance: ``max(least, 2 sqrt(2) sigma / sqrt(S))``.

        ``S`` is how many seeds are held out of the cells near the best.
        """
        near = [cell for cell, mu in self.truth.items() if mu <= self.best + NEAR]
        seeds = min(len(self.split(cell, 0)[1]) for cell in near)
        floor = 2 * math.sqrt(2) * self.noise / math.sqrt(seeds)
        return max(least, floor) if math.isfinite(floor) else least


def edges_beside(path: Path) -> Path:
    """Where edges that were measured after the recording lie."""
    return path.with_suffix(".edges.json")


def _run(final: dict[str, float], rungs: dict[str, np.ndarray]) -> Run:
    def loss(name: str) -> float:
        value = float(final.get(name, math.nan))
        return value if math.isfinite(value) else math.inf

    validation, test = loss("final_loss"), loss("final_test")
    unjudged = math.isinf(test) and math.isfinite(validation)
    return Run(
        rungs=rungs,
        final=validation,
        test=validation if unjudged else test,
        diverged_at=int(final.get("diverged_at", 0) or 0),
        start=(float(final["initial_loss"]), float(final["initial_spread"])),
    )


def _log(loss: float) -> float:
    return math.log(max(loss, 1e-12)) if math.isfinite(loss) else math.inf
