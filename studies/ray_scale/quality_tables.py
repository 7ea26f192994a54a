"""Tables of the sweeps on digits: quality, cost, and where wall time went."""

from itertools import pairwise
from typing import Any

import common
import numpy as np
from quality import BUDGET, SEEDS, SIDES, WORKERS

Sweep = dict[str, Any]


def sweeps(side: str) -> dict[int, Sweep]:
    found = {seed: common.read(f"quality-{side}-{seed}") for seed in range(SEEDS)}
    return {seed: record for seed, record in found.items() if record is not None}


def fresh(sweep: Sweep) -> float:
    """Mean log metric of the winner's retrainings; infinite where one diverged."""
    return float(np.mean([np.log(v) if v else np.inf for v in sweep["fresh"]]))


def cost(sweep: Sweep) -> float:
    return float(sweep["cost_trials"] + sweep["cost_edge"])


def interval(differences: list[float]) -> tuple[float, float]:
    """95 % of paired bootstrap means."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(differences, size=(10_000, len(differences)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def quality() -> list[str]:
    lines = [
        "| seed | side | best in the sweep | winner retrained, 8 fresh seeds: geometric mean "
        "| full runs, trials + edge | stopped | winner |",
        "|---" * 7 + "|",
    ]
    for seed in range(SEEDS):
        for side in SIDES:
            sweep = sweeps(side).get(seed)
            if sweep is None:
                continue
            best = sweep["best"]
            lines.append(
                f"| {seed} | {side} | {sweep['metric']:.4f} | {np.exp(fresh(sweep)):.4f} "
                f"| {sweep['cost_trials']:.2f} + {sweep['cost_edge']:.2f} "
                f"| {sum(s != 'COMPLETE' for s in sweep['states'])} "
                f"| {best['family']} at {best['peak']:.3g} |"
            )
    local = sweeps("local")
    for side in ("reuse", "fresh"):
        other = sweeps(side)
        both = sorted(local.keys() & other.keys())
        if not both:
            continue
        logs = [fresh(other[s]) - fresh(local[s]) for s in both]
        ratios = [cost(other[s]) / cost(local[s]) for s in both]
        low, high = interval(logs)
        lines += [
            "",
            f"{side} against local over {len(both)} seeds: log metric of the retrained winners "
            f"{np.mean(logs):+.3f} (paired bootstrap {low:+.3f} to {high:+.3f}; single pairs "
            f"{', '.join(f'{v:+.3f}' for v in logs)}); full-run equivalents "
            f"{np.mean(ratios):.3f} of local's (worst {max(ratios):.3f}).",
        ]
    noise = [np.std(np.log(s["fresh"]), ddof=1) for s in local.values() if all(s["fresh"])]
    if noise:
        lines += [
            "",
            f"Noise floor: one retraining's log metric deviates by {np.mean(noise):.3f} between "
            f"seeds, the mean of eight by {np.mean(noise) / np.sqrt(8):.3f}.",
        ]
    return lines


def at(sweep: Sweep, what: str, which: int = 0) -> float:
    return [float(t) for name, t in sweep["events"] if name == what][which]


def split(sweep: Sweep) -> dict[str, float]:
    """Seconds of a sweep by what they were spent on, in order."""
    runs = sweep["runs"]
    by_process: dict[int, list[Any]] = {}
    for run in runs:
        by_process.setdefault(run["pid"], []).append(run)
    gaps = [
        later["begun"] - earlier["ended"]
        for mine in by_process.values()
        for earlier, later in pairwise(mine)
    ]
    first, last = runs[0]["begun"], max(r["ended"] for r in runs)
    trained = sum(r["ended"] - r["begun"] for r in runs)
    ray = sweep["side"] != "local"
    whole = at(sweep, "done") - at(sweep, "sweep")
    return {
        "imports before it": at(sweep, "sweep"),
        "whole": whole,
        "Ray starts": at(sweep, "init ends") - at(sweep, "init begins") if ray else 0.0,
        "edge": at(sweep, "edge") - at(sweep, "edge asked" if ray else "sweep"),
        "until the first trial trains": first - at(sweep, "edge"),
        "trials": last - first,
        "the end": at(sweep, "done") - last,
        "training, summed": trained,
        "at a time": trained / (last - first),
        "processes": float(len(by_process)),
        "gap, median": float(np.median(gaps)) if gaps else float("nan"),
        "slot gap": _slot_gap(runs, WORKERS if ray else 1),
        "one run": float(np.median([r["ended"] - r["begun"] for r in runs])),
        "one run, CPU": float(np.median([r["cpu"] for r in runs])),
    }


def _slot_gap(runs: list[Any], slots: int) -> float:
    """Median time from a trial's end until some trial takes its place, whichever process."""
    free, gaps = [], []
    for run in sorted(runs, key=lambda r: float(r["begun"])):
        ready = [end for end in free if end <= run["begun"]]
        if len(free) >= slots and ready:
            gaps.append(run["begun"] - min(ready))
            free.remove(min(ready))
        free.append(run["ended"])
    return float(np.median(gaps)) if gaps else float("nan")


def wall() -> list[str]:
    """Where wall time went, every sweep; then the speed-up."""
    lines: list[str] = []
    for side in SIDES:
        for seed, sweep in sweeps(side).items():
            parts = split(sweep)
            if not lines:
                lines = [
                    "| side, seed | " + " | ".join(parts) + " | load |",
                    "|---" * (len(parts) + 2) + "|",
                ]
            cells = " | ".join("-" if v != v else f"{v:.2f}" for v in parts.values())
            load = np.mean(sweep["load"])
            lines.append(f"| {side}, {seed} | {cells} | {load:.0f} |")
    local = {seed: split(s) for seed, s in sweeps("local").items()}
    for side in ("reuse", "fresh"):
        other = {seed: split(s) for seed, s in sweeps(side).items()}
        both = sorted(local.keys() & other.keys())
        whole = [local[s]["whole"] / other[s]["whole"] for s in both]
        trials = [local[s]["trials"] / other[s]["trials"] for s in both]
        lines += [
            "",
            f"Speed-up of {side} over local, {WORKERS} workers on two cores, {BUDGET} steps: whole "
            f"sweep {', '.join(f'{v:.2f}' for v in whole)}; from the first training's begin to the "
            f"last one's end {', '.join(f'{v:.2f}' for v in trials)}.",
        ]
    return lines
