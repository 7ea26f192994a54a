"""Wrong stops: what rules do to streams of runs that they did not choose.

A stream is a Sobol sequence of N runs over shapes and rates, within some octaves of the measured
edge, without two runs of the same trajectory. A rule stops some of them. It is wrong where the best
survivor's truth is beyond the tolerance of the stream's best.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import families
import grid
import numpy as np
from measures import Stop, judged
from ours import looks, price_of, reading_at
from scipy.stats import qmc
from table import Cell, Run, Table

from lrsearch.search import TrialRecord, decide
from lrsearch.search._alignment import alignment
from lrsearch.stability import CONTINUE, Reading, looks_in

OCTAVES = 3.0  # to either side of the edge, as wide as the space's own bounds


@dataclass(frozen=True)
class Entry:
    """One run of a stream."""

    cell: Cell
    seed: int
    run: Run


Rule = Callable[[Table, list[Entry], np.random.Generator], tuple[list[int], float]]


def stream(table: Table, size: int, seed: int) -> list[Entry]:
    """A stream; shapes that share a prefix get different seeds."""
    sobol = qmc.Sobol(2, seed=seed)
    rng = np.random.default_rng([13, seed])
    edge = table.edge(seed)["learning_rate"]
    found: dict[tuple[Cell, int], Entry] = {}
    while len(found) < size:
        for a, b in sobol.random(size):
            shape = families.SHAPES[table.shapes[int(a * len(table.shapes))]]
            aligned = alignment(shape.family, shape.parameters)
            cell = table.snap(shape.label, edge * aligned * 2.0 ** (OCTAVES * (2 * b - 1)))
            chosen = int(rng.choice(table.split(cell, seed)[0]))
            found.setdefault((cell, chosen), Entry(cell, chosen, table.runs[cell][chosen]))
            if len(found) == size:
                break
    return list(found.values())


def steps_until(table: Table, run: Run, rung: int) -> int:
    """Steps that a run has cost by a rung."""
    mark = table.marks[rung - 1]
    return min(mark, run.diverged_at) if run.diverged_at else mark


def full(table: Table, run: Run) -> float:
    """Gradients of a run that is let alone."""
    if run.diverged_at:
        return float(run.diverged_at)
    return table.budget + table.price("evaluate")


def staged(rungs: int, kept: int, signal: str) -> Rule:
    """``rungs`` rungs for all, then the best ``kept`` to their ends."""

    def rule(
        table: Table, entries: list[Entry], rng: np.random.Generator
    ) -> tuple[list[int], float]:
        values = [float(e.run.rungs[signal][rungs - 1]) for e in entries]
        order = np.argsort(np.where(np.isfinite(values), values, np.inf), kind="stable")
        chosen = [int(i) for i in order[:kept]]
        spent = 0.0
        for i, entry in enumerate(entries):
            short = steps_until(table, entry.run, rungs) + table.price("evaluate")
            spent += full(table, entry.run) + table.price("evaluate") if i in chosen else short
        return chosen, spent

    return rule


def untouched(
    table: Table, entries: list[Entry], rng: np.random.Generator
) -> tuple[list[int], float]:
    """All to their ends, and the best by its final validation loss: the noise that is left."""
    best = min(range(len(entries)), key=lambda i: (entries[i].run.final, i))
    return [best], sum(full(table, entry.run) for entry in entries)


def ours(
    hidden: frozenset[str] = frozenset(),
    *,
    shuffled: frozenset[str] = frozenset(),
    compared: bool = False,
) -> Rule:
    """The pruner's rules on one run after the other.

    Args:
        hidden: Fields of readings that it does not get.
        shuffled: The negative control: fields that are another run's of the stream.
        compared: Whether averaged weights are evaluated, and runs compared with the best so far.
    """

    def rule(
        table: Table, entries: list[Entry], rng: np.random.Generator
    ) -> tuple[list[int], float]:
        read = sorted(looks(table, compared=compared) - {len(table.marks)})
        # Moved round, so that no run keeps its own.
        shift = int(rng.integers(1, len(entries))) if shuffled else 0
        others = np.roll(np.arange(len(entries)), shift)
        survivors, spent = [], 0.0
        peers: list[TrialRecord] = []
        since: list[TrialRecord] = []  # stopped as behind, since one has finished
        for i, (entry, other) in enumerate(zip(entries, others, strict=True)):
            own = readings(table, entry, read, hidden, compared)
            foreign = entries[int(other)].run
            seen = [mixed(r, table, foreign, shuffled, hidden) if shuffled else r for r in own]
            verdicts = (decide(seen[: n + 1], [*peers, *since]) for n in range(len(seen)))
            verdict = next((v for v in verdicts if v.stop), CONTINUE)
            done = [r for r in seen if not verdict.stop or r.step <= verdict.step]
            spent += sum(price_of(table, reading) for reading in done)
            if verdict.stop:
                spent += verdict.step
                if verdict.regime == "behind":
                    since.append(TrialRecord(number=i, state="stopped"))
                continue
            spent += full(table, entry.run)
            if entry.run.diverged_at:
                continue
            survivors.append(i)
            since.clear()
            looked, end = looks_in(seen), (entry.run.final,)
            peers.append(TrialRecord(number=i, state="complete", values=end, looks=looked))
        return survivors, spent

    return rule


def readings(
    table: Table, entry: Entry, read: Sequence[int], hidden: frozenset[str], compared: bool
) -> list[Reading]:
    """What the watch reads of a run, up to where it diverges."""
    lost, peak = entry.run.diverged_at or math.inf, grid.rate(entry.cell[1])
    return [
        replace(reading_at(entry.run, n, table.budget, hidden, compared=compared), peak=peak)
        for n in read
        if table.marks[n - 1] < lost
    ]


def mixed(
    reading: Reading, table: Table, other: Run, fields: frozenset[str], hidden: frozenset[str]
) -> Reading:
    """A reading with some fields of another run's, at this rung or the last one that it reached."""
    last = int(np.isfinite(other.rungs["step"]).sum())
    if last == 0:
        return replace(reading, **dict.fromkeys(fields))
    rung = min(table.marks.index(reading.step) + 1, last)
    foreign = reading_at(other, rung, table.budget, hidden, compared=True)
    # A look stays a look, and no more is one.
    known = {name for name in fields if getattr(reading, name) is not None}
    return replace(reading, **{name: getattr(foreign, name) for name in known})


def outcome(table: Table, rule: Rule, size: int, seed: int, tolerance: float) -> Stop:
    """What a rule does to one stream."""
    entries = stream(table, size, seed)
    survivors, spent = rule(table, entries, np.random.default_rng([17, seed]))
    whole = sum(full(table, e.run) for e in entries)
    truths = [table.judged(e.cell, seed) for e in entries]
    return judged(truths, survivors, spent / whole * len(truths), tolerance)
