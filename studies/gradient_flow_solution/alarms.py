"""Part D: which signal raises fewer false alarms on a single run? On recorded tables.

    python studies/gradient_flow_solution/alarms.py [--quick] [--out FOLDER]

A signal's score is how far its reading has risen above its own lowest value so far, in log, at the
worst rung seen; for the sharpness it is how far the rate is beyond the threshold. An alarm is a
score above a level. Good runs end within 10 % of the task's best cell, bad ones beyond 1.5 times or
not at all; a bad run is *hot* at a rate above that of its shape's best cell. Runs diverged
by the look need no signal and are left out. Levels come from development tables alone.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from common import NEIGHBOUR, fill, parsed
from flows import Array

LOOKS = (4, 8, 16)  # rungs until which a signal may speak, of 20
GOOD, BAD = math.log(1.1), math.log(1.5)
FALSE = 0.05  # false alarms that a level may raise on development tables, mean over tables
RESAMPLES = 2_000
LOSS = "validation loss"
CONTROL = "averaged weights of another run"
RISES = {
    "training loss": "train_loss",
    LOSS: "loss",
    "averaged weights": "averaged_loss",
    "mini-cooldown": "cooled_loss",
    "averaged weights, on the batch": "averaged_batch_loss",
}
SMOOTHED = "validation loss, mean of two rungs"
LEVELS = {
    "sharpness, one batch": ("sharpness_1", "threshold"),
    "largest eigenvalue": ("top", "top_threshold"),
}
FIRST = 2  # rungs: before, the averaged weights are those of the start
SIGNALS = (*RISES, SMOOTHED, *LEVELS, CONTROL)


@contextmanager
def neighbour() -> Iterator[tuple[Any, Any, Any]]:
    """`raw`, `tasks` and `grid` of the study that recorded the tables."""
    sys.path.insert(0, str(NEIGHBOUR))
    try:
        yield tuple(importlib.import_module(name) for name in ("raw", "tasks", "grid"))  # type: ignore[misc]
    finally:
        sys.path.remove(str(NEIGHBOUR))


def rise(values: Array, until: int, first: int = FIRST) -> float:
    """Largest ``log(value / lowest before)`` from rung ``first`` to ``until``; NaN if unread."""
    with np.errstate(all="ignore"):
        seen = np.log(values[first - 1 : until])
    seen = seen[np.isfinite(seen)]
    if len(seen) < 2:
        return math.nan
    return float((seen - np.minimum.accumulate(seen)).max())


def level(run: Any, names: tuple[str, str], until: int) -> float:
    """Largest ``log(rate * sharpness / threshold)``."""
    with np.errstate(all="ignore"):
        own = [np.asarray(run.rungs[n][:until], float) for n in ("learning_rate", *names)]
        seen = np.log(own[0] * own[1] / own[2])
    seen = seen[np.isfinite(seen)]
    return float(seen.max()) if len(seen) else math.nan


def rows(table: Any, until: int) -> dict[str, Array]:
    """Scores of every run alive at a rung, by signal, and whether it is good, bad and hot."""
    found: dict[str, list[float]] = {n: [] for n in (*SIGNALS, "good", "bad", "hot")}
    mark = table.marks[until - 1]
    tops: dict[str, int] = {}
    for cell, truth in table.truth.items():
        if truth == min(mu for c, mu in table.truth.items() if c[0] == cell[0]):
            tops[cell[0]] = cell[1]
    for cell, runs in table.runs.items():
        for run in runs.values():
            if run.diverged_at and run.diverged_at <= mark:
                continue
            end = math.log(run.test) if math.isfinite(run.test) else math.inf
            for name, column in RISES.items():
                found[name].append(rise(np.asarray(run.rungs[column], float), until,
                                        1 if name == "mini-cooldown" else FIRST))  # fmt: skip
            losses = np.asarray(run.rungs["loss"], float)
            found[SMOOTHED].append(rise(np.sqrt(losses * np.roll(losses, 1)), until, FIRST))
            for name, pair in LEVELS.items():
                found[name].append(level(run, pair, until))
            found["good"].append(end <= table.best + GOOD)
            found["bad"].append(end > table.best + BAD)
            found["hot"].append(end > table.best + BAD and cell[1] > tops[cell[0]])
    rng = np.random.default_rng(until)
    found[CONTROL] = list(rng.permutation(found["averaged weights"]))
    return {name: np.asarray(values, float) for name, values in found.items()}


def area(scores: Array, bad: Array, good: Array) -> float:
    """Chance that a bad run scores above a good one (ties a half); what is unread is lowest."""
    if not (bad.any() and good.any()):
        return math.nan
    s = np.where(np.isfinite(scores), scores, -np.inf)
    diff = s[bad][:, None] - s[good][None, :]
    both = np.isinf(s[bad])[:, None] & np.isinf(s[good])[None, :]
    return float(np.where(both, 0.5, (diff > 0) + 0.5 * (diff == 0)).mean())


def share(scores: Array, kept: Array, above: float) -> float:
    """Of the runs kept, how many score above a level."""
    return float((scores[kept] > above).mean()) if kept.any() else math.nan


def levels_for(tables: list[dict[str, Array]], name: str) -> float:
    """Lowest level at which good runs of these tables raise `FALSE` alarms at most, as a mean."""
    values = np.concatenate([t[name][t["good"] > 0] for t in tables])
    for candidate in np.unique(values[np.isfinite(values)]):
        if np.mean([share(t[name], t["good"] > 0, candidate) for t in tables]) <= FALSE:
            return float(candidate)
    return math.inf


def measured(parts: dict[str, dict[str, dict[str, Array]]]) -> dict[str, Any]:
    """By signal: level, and per table of each split area and alarms at the level and at zero."""
    found: dict[str, Any] = {}
    for name in SIGNALS:
        at = levels_for(list(parts["development"].values()), name)
        found[name] = {"level": at}
        for split, tables in parts.items():
            found[name][split] = {}
            for task, own in tables.items():
                s, good, bad, hot = (own[n] if n == name else own[n] > 0
                                     for n in (name, "good", "bad", "hot"))  # fmt: skip
                found[name][split][task] = {
                    "good": int(good.sum()), "bad": int(bad.sum()), "hot": int(hot.sum()),
                    "area": area(s, bad, good), "area_hot": area(s, hot, good),
                    "false": share(s, good, at), "true": share(s, bad, at),
                    "true_hot": share(s, hot, at), "false_any": share(s, good, 0.0),
                    "true_hot_any": share(s, hot, 0.0),
                    "true_own": share(s, hot, levels_for([own], name)),
                }  # fmt: skip
    return found


def compared(found: dict[str, Any], name: str, key: str, split: str) -> dict[str, Any]:
    """Mean over tasks of a signal less the validation loss, with an interval over tasks."""
    pairs = [(found[name][split][t][key], found[LOSS][split][t][key]) for t in found[name][split]]
    gaps = np.array([a - b for a, b in pairs])
    gaps = gaps[np.isfinite(gaps)]
    if not len(gaps):
        return {}
    rng = np.random.default_rng(1)
    drawn = np.sort(gaps[rng.integers(0, len(gaps), (RESAMPLES, len(gaps)))].mean(axis=1))
    low, high = drawn[int(0.025 * RESAMPLES)], drawn[int(0.975 * RESAMPLES) - 1]
    return {"gap": float(gaps.mean()), "low": float(low), "high": float(high)}


def look(until: int, quick: bool) -> dict[str, Any]:
    with neighbour() as (raw, tasks, _):
        splits = {"development": tasks.DEVELOPMENT, "evaluation": tasks.EVALUATION}
        parts = {
            split: {
                t.name: rows(t, until) for t in raw.recorded(names[:1] if quick else names).values()
            }
            for split, names in splits.items()
        }
    found = measured(parts)
    keys = ("area", "area_hot", "false", "true_hot", "false_any", "true_hot_any", "true_own")
    gaps = {
        name: {key: compared(found, name, key, "evaluation") for key in keys}
        for name in SIGNALS if name != LOSS
    }  # fmt: skip
    return {"until": until, "signals": found, "gaps": gaps}


def main(arguments: list[str] | None = None) -> None:
    options = parsed(__doc__, arguments, "alarms")
    for until in LOOKS[:1] if options.quick else LOOKS:
        fill(options.out / f"until_{until}.json.gz", lambda u=until: look(u, options.quick))


if __name__ == "__main__":
    main()
