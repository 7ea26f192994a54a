"""results.md from raw results and tables.

python report.py
"""

import json
import math
from typing import Any

import measures
import numpy as np
import tasks
from compare import RAW
from freeze import HERE, frozen, table_path
from stops import path_of as stops_path
from table import Table

SPLITS = {"development": tasks.DEVELOPMENT, "evaluation": tasks.EVALUATION}
SIZE = "16"


def tables(split: str) -> dict[str, Table]:
    """Function -> table, of those that have been recorded."""
    return {f: Table.read(table_path(f)) for f in SPLITS[split] if table_path(f).exists()}


def recorded(found: dict[str, Table]) -> list[str]:
    lines = [
        "| table | runs | budget | best linear rate | best loss | noise of one run | tolerance |",
        "|---|---|---|---|---|---|---|",
    ]
    for table in found.values():
        best = min((c for c in table.truth if c[0] == "linear"), key=lambda c: table.truth[c])
        lines.append(
            f"| {table.name} | {sum(len(r) for r in table.runs.values()):,} | {table.budget:,} "
            f"| {2 ** (best[1] / 4):.3g} | {math.exp(table.best):.4f} | {100 * table.noise:.1f} % "
            f"| {100 * table.tolerance():.1f} % |"
        )
    return lines


def number(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.1f}"


def settled(found: dict[str, Table], workers: int = 1) -> list[str]:
    """T50 and T90 of every method over these tables."""
    costs: dict[str, dict[str, list[float]]] = {}
    trials: dict[str, list[float]] = {}
    for table in found.values():
        for path in sorted((RAW / table.name).glob(f"*-{workers}.json")):
            document = json.loads(path.read_text())
            own = [float(s["settled"]) for s in document["sweeps"]]
            costs.setdefault(document["method"], {})[table.name] = own
            trials.setdefault(document["method"], []).extend(
                s["trials"] for s in document["sweeps"]
            )
    lines = [
        "| method | tables | sweeps | T50 (95 %) | T90 (95 %) | never | trials |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, by_table in sorted(costs.items(), key=lambda m: _order(m[1])):
        cells = []
        for q in (0.5, 0.9):
            low, high = measures.interval(by_table, q)
            cells.append(
                f"{number(measures.quantile(by_table, q))} ({number(low)} to {number(high)})"
            )
        never = np.mean([np.mean(np.isinf(v)) for v in by_table.values()])
        sweeps = sum(len(v) for v in by_table.values())
        lines.append(
            f"| {method} | {len(by_table)} | {sweeps} | {cells[0]} | {cells[1]} "
            f"| {100 * never:.0f} % | {np.mean(trials[method]):.0f} |"
        )
    return lines


def _order(by_table: dict[str, list[float]]) -> tuple[float, float]:
    return measures.quantile(by_table, 0.5), measures.quantile(by_table, 0.9)


def stops(found: dict[str, Table]) -> list[str]:
    """Wrong stops and what was saved, for streams of 16."""
    seen: dict[str, list[Any]] = {}
    for table in found.values():
        if stops_path(table.name).exists():
            document = json.loads(stops_path(table.name).read_text())
            for name, one in document["sizes"][SIZE].items():
                seen.setdefault(name, []).append(one)
    lines = ["| rule | wrong | worst task | saved |", "|---|---|---|---|"]
    for name, each in sorted(seen.items(), key=lambda r: np.mean([e["wrong"] for e in r[1]])):
        wrong = [e["wrong"] for e in each]
        lines.append(
            f"| {name} | {100 * np.mean(wrong):.1f} % | {100 * max(wrong):.0f} % "
            f"| {100 * np.mean([e['saved'] for e in each]):.0f} % |"
        )
    return lines


def transfers(found: dict[str, Table], constants: dict[str, Any]) -> list[str]:
    """Zero-shot regret at the frozen multipliers, beside the usual rate of the class."""
    lines = [
        "| table | log2(best rate / edge), mean and deviation of seeds | regret: one multiplier "
        "| multiplier of its class | usual rate | cost of an edge, full runs |",
        "|---|---|---|---|---|---|",
    ]
    octaves = {}
    for function, table in found.items():
        kind = tasks.CLASSES[function]
        one = measures.transfer(table, constants["multiplier_of_all"])
        own = measures.transfer(table, constants["multiplier"].get(kind, math.nan))
        octaves[table.name] = one.octaves
        best = min(mu for c, mu in table.truth.items() if c[0] == "linear")
        usual = table.truth[table.snap("linear", constants["usual_rate"][kind])] - best
        deviation = np.std(one.octaves, ddof=1) if len(one.octaves) > 1 else math.nan
        lines.append(
            f"| {table.name} | {np.mean(one.octaves):+.2f}, {deviation:.2f} | {one.regret:.3f} "
            f"| {own.regret:.3f} | {usual:.3f} | {one.cost:.2f} |"
        )
    if len(octaves) > 1:
        spread = measures.spread(octaves)
        low, high = spread["interval"]
        lines += ["", f"Root mean square over tables: {spread['rms']:.2f} octaves ({low:.2f} to"]
        lines[-1] += f" {high:.2f}), about a multiplier of {spread['multiplier']:.2f}."
    return lines


def main() -> None:
    constants = frozen()
    lines = ["# Results of studies/search_efficiency", "", "Made by report.py."]
    lines += ["", f"Constants frozen on development tables: {constants['hash']}."]
    for split in SPLITS:
        found = tables(split)
        lines += ["", f"## {split.capitalize()}", ""]
        if not found:
            lines += ["Not recorded yet."]
            continue
        for title, page in (
            ("Tables", recorded(found)),
            ("Cost until the recommendation stays within the tolerance", settled(found)),
            (f"Wrong stops, streams of {SIZE}", stops(found)),
            ("The edge", transfers(found, constants)),
        ):
            lines += [f"### {title}", "", *page, ""]
    (HERE / "results.md").write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
