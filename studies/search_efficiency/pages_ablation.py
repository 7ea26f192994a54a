"""Pages of the report on what the parts of our sampler are worth, and on edges that are off."""

import compare
import measures
import numpy as np
import raw
from ablation import SWEEPS, VARIANTS, path_of
from pages_search import Tables, never, number, percent
from table import Table

BASE = "ours"
COMPARED = ("ours, usual rate", "ours, runs compared")  # replayed by compare.py
LOWEST = "ours, the lowest loss recommended"
WORKERS = (4, 16)
By = dict[str, dict[str, list[float]]]  # table -> variant -> cost of every sweep until it settled


def sweeps(table: Table) -> dict[str, list[float]]:
    """The first sweeps of ours and of its variants, where ours was replayed."""
    base = compare.path_of(table.name, BASE, 1)
    if not base.exists():
        return {}
    paths = {name: compare.path_of(table.name, name, 1) for name in COMPARED}
    paths |= {name: path_of(table.name, name) for name in VARIANTS}
    paths |= {f"ours, {n} workers": compare.path_of(table.name, BASE, n) for n in WORKERS}
    found = {BASE: raw.load(base)["settled"], LOWEST: raw.load(base)["settled_lowest"]}
    found |= {name: raw.load(path)["settled"] for name, path in paths.items() if path.exists()}
    return {name: [float(v) for v in costs[:SWEEPS]] for name, costs in found.items()}


def measured(found: Tables) -> By:
    """Tables on which any variant was replayed."""
    each = {table.name: sweeps(table) for table in found.values()}
    return {name: by for name, by in each.items() if any(v in by for v in VARIANTS)}


def pooled(found: Tables) -> list[str]:
    """T50 of the variants that all tables have, and how it compares with that of ours."""
    by = measured(found)
    if not by:
        return ["Not measured yet."]
    names = [name for name in _names(by) if all(name in own for own in by.values())]
    lines = [
        f"The first {SWEEPS} sweeps of each table, the same seeds for all. Tables: "
        f"{', '.join(by)}. The ratio's interval draws the same tasks and seeds for both. "
        "Brackets and mini-cooldowns are no part of the engine, so nothing is without them.",
        "",
        "| variant | T50 (95 %) | T50 over ours (95 %) | never |",
        "|---|---|---|---|",
    ]
    base = {table: own[BASE] for table, own in by.items()}
    for name in names:
        own = {table: each[name] for table, each in by.items()}
        middle = number(measures.quantile(own, 0.5))
        ((low, high),) = measures.intervals(own, [0.5])
        over, (least, most) = measures.ratio(own, base, 0.5)
        lines.append(
            f"| {name} | {middle} ({number(low)} to {number(high)}) "
            f"| {times(over)} ({times(least)} to {times(most)}) | {percent(never(own), 0)} |"
        )
    return lines


def by_table(found: Tables) -> list[str]:
    """T50 and the share that never settles, of every variant on every table that it has."""
    by = measured(found)
    if not by:
        return ["Not measured yet."]
    lines = [f"| T50, never | {' | '.join(by)} |", "|---" * (len(by) + 1) + "|"]
    for name in _names(by):
        cells = [_cell(own[name]) if name in own else "" for own in by.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _names(by: By) -> list[str]:
    return list(dict.fromkeys(name for own in by.values() for name in own))


def times(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "never"


def _cell(costs: list[float]) -> str:
    each = {"": costs}
    return f"{number(measures.quantile(each, 0.5))}, {percent(never(each), 0)}"
