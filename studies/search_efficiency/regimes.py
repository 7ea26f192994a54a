"""What a run is said to be doing, by how it ends, and what a spiral's signal says of good runs.

python regimes.py [--tables fashion_sgd ...]

Good and hopeless cells are those of `alone.py`; a hopeless one is slow below the best rate of its
shape, and hot above it. Cells weigh the same.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import raw
from alone import hopeless
from ours import looks
from streams import Entry, readings
from table import Cell, Run, Table

from lrsearch.search import RULES
from lrsearch.stability import Reading, phase

KINDS = ("good", "slow", "hot")
SHARES = (0.1, 0.25, 0.5)


def kind_of(table: Table, cell: Cell) -> str | None:
    """One of `KINDS`; ``None`` between good and hopeless."""
    ending = hopeless(table, cell)
    if not ending:
        return None if ending is None else "good"
    best = min((c for c in table.truth if c[0] == cell[0]), key=lambda c: table.truth[c])
    return "slow" if cell[1] < best[1] else "hot"


def read_of(table: Table, entry: Entry, read: list[int]) -> list[Reading]:
    """What the watch reads of a run for its share of the cost."""
    return readings(table, entry, read, frozenset(), compared=False)


def said_by(run: Run, seen: list[Reading], step: float) -> str:
    """Regime at the last reading by a step, whether it stops the run or not."""
    if 0 < run.diverged_at <= step:
        return "diverged"
    until = [r for r in seen if r.step <= step]
    stops = (verdict for rule in RULES if (verdict := rule(until)) is not None)
    return next(stops, phase(until)).regime


def spirals(seen: list[Reading]) -> bool:
    """Whether the signal of a spiral comes up, were the schedule that plans the fall unknown."""
    blind = [replace(r, tuned=True) for r in seen]
    ahead = range(1, len(blind) + 1)
    return any(phase(blind[:n]).regime == "short-sighted spiral" for n in ahead)


def measured(table: Table) -> dict[str, Any]:
    """Shares of regimes by kind and step, and of good runs that have a spiral's signal."""
    read = sorted(looks(table) - {len(table.marks)})
    regimes: dict[str, Any] = {k: {str(s): Counter() for s in SHARES} for k in KINDS}
    cells, signals = Counter[str](), []
    for cell, runs in table.runs.items():
        kind = kind_of(table, cell)
        if kind is None:
            continue
        cells[kind] += 1
        every = [(run, read_of(table, Entry(cell, seed, run), read)) for seed, run in runs.items()]
        for run, seen in every:
            for share, found in regimes[kind].items():
                found[said_by(run, seen, float(share) * table.budget)] += 1 / len(every)
        if kind == "good":
            signals.append(mean(spirals(seen) for _, seen in every))
    for kind, by_share in regimes.items():
        for share, found in by_share.items():
            by_share[share] = {r: round(n / cells[kind], 4) for r, n in sorted(found.items())}
    return {"cells": dict(cells), "regimes": regimes, "spirals": round(mean(signals), 4)}


def mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / max(len(found), 1)


def main() -> None:
    options = raw.arguments(__doc__).parse_args()
    raw.fill("regimes", options.tables, lambda _, table: measured(table))


if __name__ == "__main__":
    main()
