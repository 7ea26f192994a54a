"""Train every schedule at its own best peak: tasks x optimizers x budgets. One file each in raw/.

    python studies/budgeted_schedules/run.py [--quick] [--out FOLDER] [TASK/OPTIMIZER/BUDGET ...]

A peak is chosen on the tuning seeds by the validation part; what is reported are the held-out seeds
on the test part, at that peak. Resumes group of runs by group of runs. One thread.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lrsearch

sys.path.insert(0, str(Path(__file__).parent))
from bracket import best, peak, wanted
from contenders import SHAPES
from ensemble import evaluate, train
from problems import OPTIMIZERS, PROBLEMS, Problem

RAW = Path(__file__).parent / "raw"
BUDGETS = {"5": 60, "10": 120, "25": 300, "50": 600, "100": 1200}  # per cent -> steps
# Half octaves to each side that are tried first: the centre is better known with every budget.
REACH = {5: 2, 10: 2, 25: 2, 50: 1, 100: 1}
TUNING = (0, 1, 2)
HELD = tuple(range(100, 108))
FEWER = {"100": (2, 6)}  # tuning and held-out seeds, where they are fewer
GROUP = 45  # members trained at once
# Of the first budget, by a glance at linear decay.
CENTRE = {
    "perceptron": {"momentum": -7, "adamw": -11},
    "cnn": {"momentum": -8, "adamw": -9},
    "transformer": {"momentum": -1, "adamw": -9},
}
Cell = dict[str, Any]


def environment() -> dict[str, Any]:
    return {
        "lrsearch": lrsearch.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def tuned(cell: Cell, shape: str) -> dict[int, list[float]]:
    """Peak -> validation losses of the tuning seeds, where all of them are there."""
    found: dict[int, list[float]] = {}
    for run in cell["runs"]:
        if run["shape"] == shape and run["seed"] in cell["tuning"]:
            loss = math.inf if run["validation"] is None else run["validation"]
            found.setdefault(run["k"], []).append(loss)
    return {k: losses for k, losses in found.items() if len(losses) == len(cell["tuning"])}


def missing(cell: Cell, shape: str, centre: int) -> list[tuple[str, int, int]]:
    """Runs that a shape lacks: (shape, k, seed), first for its peak, then at it."""
    done = {(r["k"], r["seed"]) for r in cell["runs"] if r["shape"] == shape}
    ks, seeds = wanted(tuned(cell, shape), centre, REACH[cell["budget"]]), cell["tuning"]
    if not ks:
        ks, seeds = [best(tuned(cell, shape))], cell["held"]
    return [(shape, k, seed) for k in ks for seed in seeds if (k, seed) not in done]


def make(problem: Problem, cell: Cell, runs: list[tuple[str, int, int]]) -> list[dict[str, Any]]:
    """Train runs together."""
    shapes = {label: SHAPES[label].values(cell["steps"]) for label, _, _ in runs}
    rates = np.stack([peak(k) * shapes[label] for label, k, _ in runs])
    members = train(problem, cell["optimizer"], rates, [seed for _, _, seed in runs])
    _, validation, test = problem.data()
    held = all(seed in cell["held"] for _, _, seed in runs)
    losses = evaluate(problem, members, validation)
    tested = evaluate(problem, members, test) if held else [math.nan] * len(runs)
    made = []
    for (label, k, seed), a, b in zip(runs, losses, tested, strict=True):
        run = {"shape": label, "k": k, "seed": seed, "validation": a if math.isfinite(a) else None}
        made.append(run | ({"test": b if math.isfinite(b) else None} if held else {}))
    return made


def fill(path: Path, cell: Cell, centres: dict[str, int]) -> Cell:
    """Make the runs that a cell lacks; written after every group."""
    cell = read(path) if path.exists() else cell
    problem = PROBLEMS[cell["task"]]
    while runs := [r for shape in cell["shapes"] for r in missing(cell, shape, centres[shape])]:
        held = [r for r in runs if r[2] in cell["held"]]
        tuning = [r for r in runs if r[2] in cell["tuning"]]
        cell["runs"] += make(problem, cell, (tuning or held)[:GROUP])  # a group is of one kind
        write(path, cell)
    return cell


def write(path: Path, cell: Cell) -> None:
    """Whole or not at all; the same runs are the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_bytes(gzip.compress(json.dumps(cell, allow_nan=False).encode(), mtime=0))
    scratch.replace(path)


def read(path: Path) -> Cell:
    return json.loads(gzip.decompress(path.read_bytes()))


def place(out: Path, label: str) -> Path:
    return out / (label.replace("/", "-") + ".json.gz")


def centres(out: Path, task: str, optimizer: str, budget: str, shapes: list[str]) -> dict[str, int]:
    """Where each shape's search begins: at its own best peak of the budget before."""
    order = list(BUDGETS)
    before = order[order.index(budget) - 1] if budget != order[0] else ""
    path = place(out, f"{task}/{optimizer}/{before}")
    if not before or not path.exists():
        return dict.fromkeys(shapes, CENTRE[task][optimizer])
    cell = read(path)
    return {shape: best(tuned(cell, shape)) for shape in shapes}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="a few short runs, to see that it works"
    )
    parser.add_argument("--out", type=Path, default=RAW)
    parser.add_argument("cells", nargs="*", help="task/optimizer/budget; all by default")
    options = parser.parse_args(arguments)
    every = [f"{t}/{o}/{b}" for b in BUDGETS for o in OPTIMIZERS for t in PROBLEMS]
    quick = ["perceptron/momentum/5", "perceptron/momentum/10"]
    for label in options.cells or (quick if options.quick else every):
        task, optimizer, budget = label.split("/")
        shapes = ["linear", "uba 5"] if options.quick else list(SHAPES)
        few, some = (2, 2) if options.quick else FEWER.get(budget, (len(TUNING), len(HELD)))
        cell: Cell = {
            "task": task,
            "optimizer": optimizer,
            "budget": int(budget),
            "steps": BUDGETS[budget] // (4 if options.quick else 1),
            "tuning": list(TUNING[:few]),
            "held": list(HELD[:some]),
            "shapes": shapes,
            "runs": [],
            "environment": environment(),
        }
        begun, path = time.process_time(), place(options.out, label)
        known = len(read(path)["runs"]) if path.exists() else 0
        middle = centres(options.out, task, optimizer, budget, shapes)
        cell = fill(path, cell, middle)
        seconds, count = time.process_time() - begun, len(cell["runs"]) - known
        print(f"{label}: {count} runs, {seconds:.0f} s of processor", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # of the whole process: not where main is imported
    main()
