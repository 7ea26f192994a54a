"""Pages of the report on what was recorded: the tables, scales beside the edge, forecasts."""

import math
from typing import Any

import features
import forecasts
import grid
import laws
import measures
import numpy as np
import raw
import regimes
import tasks
from pages_search import Tables, percent
from scales import scales


def recorded(found: Tables) -> list[str]:
    lines = [
        "With everything: the share of sweeps in which the cell of the least mean validation loss,",
        "over all runs that the sweep may draw, is beyond the tolerance; a floor for every method",
        "that ranks cells by what it sees of each.",
        "",
        "| table | runs | budget | best loss | at | noise of one run | tolerance "
        "| beyond it with everything |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for table in found.values():
        label, k = table.best_cell
        lines.append(
            f"| {table.name} | {sum(len(r) for r in table.runs.values()):,} | {table.budget:,} "
            f"| {math.exp(table.best):.4f} | {label}, {grid.rate(k):.3g} "
            f"| {percent(table.noise)} | {percent(table.tolerance())} "
            f"| {percent(measures.floor(table, table.tolerance()), 0)} |"
        )
    return lines


def transfers(found: Tables, constants: dict[str, Any]) -> list[str]:
    """Zero-shot regret at frozen multipliers of each scale, and by how far it is off."""
    lines = [
        "| scale | octaves off, rms (95 %) | regret, one multiplier: median | worst "
        "| regret, one for each class: median | worst | deviation of a measurement, octaves "
        "| full runs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, multipliers in constants["multipliers"].items():
        octaves, one, own, deviations, cost = {}, [], [], [], []
        for function, table in found.items():
            scale = scales(table)[name]
            kind = multipliers[tasks.CLASSES[function]]
            seen = measures.transfer(table, scale["rates"], multipliers["all"])
            octaves[table.name] = [o - math.log2(multipliers["all"]) for o in seen.octaves]
            one.append(seen.regret)
            own.append(measures.transfer(table, scale["rates"], kind).regret)
            cost.append(scale["cost"])
            if len(seen.octaves) > 1:
                deviations.append(float(np.std(seen.octaves, ddof=1)))
        rms, low, high = measures.off(octaves)
        spread = f"{np.mean(deviations):.2f}" if deviations else "-"
        lines.append(
            f"| {name} | {rms:.2f} ({low:.2f} to {high:.2f}) | {percent(float(np.median(one)))} "
            f"| {percent(max(one))} | {percent(float(np.median(own)))} | {percent(max(own))} "
            f"| {spread} | {np.mean(cost):.2f} |"
        )
    return lines


def forecast(found: Tables, key: str) -> list[str]:
    """A measure of every signal by rung, mean over tables: spearman, log_score or lost."""
    paths = [raw.path_of(table.name, "forecasts") for table in found.values()]
    documents = [raw.load(path) for path in paths if path.exists()]
    if not documents:
        return ["Not measured yet."]
    rungs = [str(r) for r in (*forecasts.RUNGS, 20)]
    lines = [f"| signal at rung | {' | '.join(rungs)} |", "|---|" + "---|" * len(rungs)]
    for signal in forecasts.SIGNALS:
        cells = []
        for rung in rungs:
            rows = [d["signals"].get(signal, {}).get(rung, {}) for d in documents]
            values = [row[key] for row in rows if key in row]
            cells.append(f"{np.mean(values):.2f}" if len(values) == len(documents) else "")
        lines.append(f"| {signal} | {' | '.join(cells)} |")
    return lines


def linear(found: Tables) -> list[str]:
    """What linear forecasts leave of the deviation of contenders' ends, mean over tables."""
    if not features.PATH.exists():
        return ["Not measured yet."]
    names = {table.name for table in found.values()}
    rungs: dict[str, Any] = {}
    for by_rung in raw.load(features.PATH).values():
        if set(next(iter(by_rung[str(features.RUNGS[0])].values()))) == names:
            rungs = by_rung
    if not rungs:
        return ["Not measured yet."]
    lines = [f"| sees, at rung | {' | '.join(rungs)} |", "|---|" + "---|" * len(rungs)]
    for model in features.MODELS:
        cells = [f"{np.mean(list(by_model[model].values())):.4f}" for by_model in rungs.values()]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    if laws.PATH.exists():
        by_law = next(s for s in raw.load(laws.PATH).values() if set(s["2"]) == names)
        cells = [f"{np.mean(list(by_law[rung].values())):.4f}" for rung in rungs]
        lines.append(f"| multi-power law of each run, as it is | {' | '.join(cells)} |")
    return lines


def said(found: Tables) -> list[str]:
    """What runs are said to be doing, by how they end, mean over tables."""
    paths = [raw.path_of(table.name, "regimes") for table in found.values()]
    documents = [raw.load(path) for path in paths if path.exists()]
    if not documents:
        return ["Not measured yet."]
    lines = []
    for share in regimes.SHARES[1:]:
        each = {k: [d["regimes"][k][str(share)] for d in documents] for k in regimes.KINDS}
        names = sorted({n for rows in each.values() for row in rows for n in row})
        lines += [
            f"| at {percent(share, 0)} | {' | '.join(names)} |",
            "|---|" + "---|" * len(names),
        ]
        for kind, rows in each.items():
            cells = [percent(float(np.mean([r.get(n, 0) for r in rows])), 0) for n in names]
            lines.append(f"| {kind} | {' | '.join(cells)} |")
        lines.append("")
    signals = [d["spirals"] for d in documents]
    lines.append(
        "Good runs whose rate falls, by their schedule, as the sharpness rises, like a spiral's: "
        f"{percent(float(np.mean(signals)), 0)} (worst table {percent(max(signals), 0)})."
    )
    return lines
