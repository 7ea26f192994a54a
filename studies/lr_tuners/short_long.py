"""Part A: short-term good, long-term bad? Full batch, one raw file per problem, optimizer and seed.

    python studies/lr_tuners/short_long.py [--quick] [--out FOLDER] [PROBLEM-OPTIMIZER-SEED ...]

Resumes run by run. Symbols as in `lrsearch.tuners`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from lrsearch.curvature import sharpness, threshold
from lrsearch.exceptions import MeasurementError
from lrsearch.tuners import CDAT, LineSearch, Tuner

sys.path.insert(0, str(Path(__file__).parent))
from models import OPTIMIZERS, PROBLEMS, START, Problem, environment, parsed, read, write

RAW = Path(__file__).parent / "raw" / "short_long"
SIGMAS = {"gd": (1.0, 1.5, 1.8, 2.0, 2.2, 2.5)}
FEWER = (1.0, 1.8, 2.0, 2.2)  # with the other optimizers
LAST = 0.05  # of the steps: their mean loss is the final one
READINGS = 60  # of a tuner, per run
LOG, LINEAR = 20, 24  # points at which the curvature is measured
HOPELESS = 10.0  # times the first loss: a constant rate that has got there is given up
CAPPED = ("rmsprop", "adam")  # CDAT has its default cap of growth there, else the paper's rule
AROUND = 2  # octaves to each side of the best constant rate that must have been tried


class Constant(Tuner):
    """The optimizer's own rate, with a tuner's readings."""

    kind = "Constant"

    def _advance(self, closure: Any, loss: Any) -> dict[str, Any]:
        self._apply(self._rate)
        return {}


def points(steps: int) -> set[int]:
    n = min(LINEAR, steps // 4)
    spaced = np.linspace(steps / n, steps, n)
    return {round(float(s)) for s in (*np.geomspace(1, steps, min(LOG, n)), *spaced)}


def run(problem: Problem, kind: str, seed: int, rule: str, value: float, look: bool = True) -> dict:
    """One training run; ``rule`` is constant, line, cdat (no cap) or capped."""
    model, batch = problem.model(seed), problem.data()
    first = value if rule == "constant" else 1e-3
    optimizer = OPTIMIZERS[kind](model.parameters(), first)
    tuner: Tuner
    if rule == "constant":
        tuner = Constant(optimizer)
    elif rule == "line":
        tuner = LineSearch(optimizer, max_learning_rate=10.0, max_backtracking_steps=30)
    elif rule == "capped":
        tuner = CDAT(optimizer, sigma=value)
    else:
        tuner = CDAT(optimizer, sigma=value, growth=None)
    return follow(problem, tuner, model, batch, look=look)


def follow(problem: Problem, tuner: Tuner, model: Any, batch: Any, *, look: bool) -> dict:
    """Train, and look at the curvature at `points`."""
    steps, at = problem.steps, points(problem.steps)
    every = max(1, steps // READINGS)
    losses: list[float] = []
    curve: list[list[float | None]] = []
    seen: list[list[float | None]] = []
    since, top = 0, None
    begun = time.perf_counter()
    for step in range(1, steps + 1):
        losses.append(float(tuner.step(lambda: problem.loss(model, batch))))
        reading = tuner.reading
        assert reading is not None
        if not reading.finite or (not look and losses[-1] > HOPELESS * losses[0]):
            break
        if look and step % every == 0:
            seen.append([step, reading.learning_rate, losses[-1], reading.gradient_norm,
                         reading.sharpness])  # fmt: skip
        if step in at and look:
            largest = math.nan
            with suppress(MeasurementError):
                top = sharpness(
                    model, problem.loss, batch, optimizer=tuner.optimizer, start=top, tolerance=0.05
                )
                largest = top.value
            typical = median(losses[since:])
            since = step
            curve.append([step, losses[-1], typical, reading.learning_rate, largest,
                          reading.gradient_norm, reading.cost])  # fmt: skip
    whole = len(losses) == steps and math.isfinite(losses[-1])
    final = fmean(losses[-max(1, round(LAST * steps)) :]) if whole else math.nan
    return {
        "final": final,
        "done": len(losses),
        "threshold": threshold(tuner.optimizer, full_batch=True),
        "seconds": time.perf_counter() - begun,
        "curve": curve,  # step, loss, median since the last point, rate, lambda, |g|, cost
        "readings": seen,  # step, rate, loss, |g|, sharpness
    }


def constants(problem: Problem, kind: str, seed: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rates 2^k until the best one has `AROUND` others on each side."""
    found: dict[int, float] = {}
    k = START[kind]
    while True:
        result = run(problem, kind, seed, "constant", 2.0**k, look=False)
        found[k] = result["final"] if math.isfinite(result["final"]) else math.inf
        yield k, result
        best = min(found, key=lambda i: found[i])
        near = [best + s * i for i in range(1, AROUND + 1) for s in (1, -1)]
        left = [i for i in near if i not in found and not _beyond(i, best, found)]
        if not left:
            yield best, run(problem, kind, seed, "constant", 2.0**best)  # the same, looked at
            return
        k = left[0]


def _beyond(k: int, best: int, found: dict[int, float]) -> bool:
    """Whether a smaller rate has diverged already."""
    return any(best < i < k and math.isinf(loss) for i, loss in found.items())


def rules(kind: str, quick: bool) -> list[tuple[str, float]]:
    """Tuners and their scales: the usual form of CDAT at all, the other one at some."""
    sigmas = (1.0, 2.0) if quick else SIGMAS.get(kind, FEWER)
    if kind in CAPPED:
        return [("line", 0.0), *(("capped", s) for s in sigmas), ("cdat", 2.0)]
    return [("line", 0.0), *(("cdat", s) for s in sigmas), ("capped", 1.0), ("capped", 2.0)]


def fill(path: Path, problem: Problem, kind: str, seed: int, quick: bool) -> None:
    """Make the runs that the cell's file lacks."""
    cell: dict[str, Any] = {
        "problem": problem.name,
        "optimizer": kind,
        "seed": seed,
        "steps": problem.steps,
        "runs": [],
        "environment": environment(),
    }
    cell = read(path) if path.exists() else cell
    done = {(r["rule"], r["value"]) for r in cell["runs"]}
    if not done:
        tried = dict(constants(problem, kind, seed))
        cell["runs"] += [{"rule": "constant", "value": 2.0**k, **r} for k, r in tried.items()]
        write(path, cell)
    for rule, value in rules(kind, quick):
        if (rule, value) not in done:
            result = run(problem, kind, seed, rule, value)
            cell["runs"].append({"rule": rule, "value": value, **result})
            write(path, cell)


def wanted(quick: bool) -> list[str]:
    if quick:
        return ["quick/gd/0"]
    kinds = ("gd", "momentum", "rmsprop")
    names = [name for name in PROBLEMS if name != "quick"]
    return [f"{name}/{kind}/{seed}" for seed in range(3) for kind in kinds for name in names]


def main(arguments: list[str] | None = None) -> None:
    options = parsed(__doc__, arguments, RAW, "problem/optimizer/seed")
    for label in options.cells or wanted(options.quick):
        path = options.out / (label.replace("/", "_") + ".json.gz")
        name, kind, seed = label.split("/")
        begun = time.perf_counter()
        fill(path, PROBLEMS[name], kind, int(seed), options.quick)
        best = sorted((r["final"] or math.inf, r["rule"], r["value"]) for r in read(path)["runs"])
        print(f"{label}: {time.perf_counter() - begun:.0f} s", best[:3], flush=True)


if __name__ == "__main__":
    main()
