"""Part B: how CDAT's best sigma moves with the batch size, with and without averaging.

    python studies/lr_tuners/minibatch.py [--quick] [--out FOLDER] [OPTIMIZER/BATCH/SEED ...]

The ReLU perceptron with cross-entropy of part A, `STEPS` steps whatever the batch. Resumes: a cell
whose file exists is skipped.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from lrsearch.tuners import CDAT, Tuner

sys.path.insert(0, str(Path(__file__).parent))
from models import OPTIMIZERS, PROBLEMS, START, Problem, environment, parsed, read, write
from short_long import CAPPED, HOPELESS, Constant

RAW = Path(__file__).parent / "raw" / "minibatch"
STEPS = 200
BATCHES = (16, 64, 256, 512)  # the last one is all
SIGMAS = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5)
DECAYS = (0.0, 0.9)
ENDS = 4  # evaluations in the last tenth


def batches(x: Tensor, y: Tensor, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch by epoch without replacement; what does not fill a batch is left out."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(x), generator=generator)
        for i in range(0, len(x) - size + 1, size):
            chosen = order[i : i + size]
            yield (x, y) if size == len(x) else (x[chosen], y[chosen])


def run(problem: Problem, kind: str, size: int, seed: int, how: dict[str, float]) -> dict[str, Any]:
    """One run; ``how`` holds a constant ``rate``, or CDAT's ``sigma`` and ``decay``."""
    model, (x, y) = problem.model(seed), problem.data()
    optimizer = OPTIMIZERS[kind](model.parameters(), how.get("rate", 1e-3))
    tuner: Tuner
    if "rate" in how:
        tuner = Constant(optimizer)
    else:
        tuner = CDAT(optimizer, **how, **({} if kind in CAPPED else {"growth": None}))

    @torch.no_grad()
    def whole() -> float:
        return float(problem.loss(model, (x, y)))

    first = whole()
    stream = batches(x, y, min(size, len(x)), seed)
    tail = {problem.steps - round(i * problem.steps / 10 / ENDS) for i in range(ENDS)}
    ends, rates = [], []
    for step in range(1, problem.steps + 1):
        batch = next(stream)
        loss = float(tuner.step(lambda b=batch: problem.loss(model, b)))
        gone = "rate" in how and loss > HOPELESS * first
        if gone or tuner.reading is None or not tuner.reading.finite:
            break
        rates.append(tuner.learning_rate)
        if step in tail:
            ends.append(whole())
    ended = len(rates) == problem.steps
    return {
        **how,
        "ratio": fmean(ends) / first if ended else math.nan,
        "rate_late": float(torch.tensor(rates[-len(rates) // 4 :]).median()) if rates else None,
    }


def cell(problem: Problem, kind: str, size: int, seed: int, sigmas: tuple[float, ...]) -> dict:
    runs = [
        run(problem, kind, size, seed, {"sigma": sigma, "decay": decay})
        for decay in DECAYS
        for sigma in sigmas
    ]
    found: dict[int, float] = {}
    k = START[kind]
    while True:  # rates 2^k until the best one has a neighbour on each side
        runs.append(run(problem, kind, size, seed, {"rate": 2.0**k}))
        ratio = runs[-1]["ratio"]
        found[k] = ratio if math.isfinite(ratio) else math.inf
        best = min(found, key=lambda i: found[i])
        left = [i for i in (best + 1, best - 1) if i not in found]
        if not left:
            break
        k = left[0]
    return {
        "optimizer": kind,
        "batch": size,
        "seed": seed,
        "steps": problem.steps,
        "runs": runs,
        "environment": environment(),
    }


def wanted() -> list[str]:
    return [f"{k}/{b}/{seed}" for seed in range(2) for k in ("gd", "adam") for b in BATCHES]


def main(arguments: list[str] | None = None) -> None:
    options = parsed(__doc__, arguments, RAW, "optimizer/batch/seed")
    problem = replace(PROBLEMS["relu-ce"], steps=STEPS)
    if options.quick:
        problem = PROBLEMS["quick"]
    for label in options.cells or (["gd/16/0"] if options.quick else wanted()):
        path = options.out / (label.replace("/", "_") + ".json.gz")
        if path.exists():
            continue
        kind, size, seed = label.split("/")
        sigmas = (1.0, 2.0) if options.quick else SIGMAS
        begun = time.perf_counter()
        write(path, cell(problem, kind, int(size), int(seed), sigmas))
        best = [(r["ratio"], r.get("sigma"), r.get("rate")) for r in read(path)["runs"]]
        best.sort(key=lambda r: r[0] or math.inf)
        print(f"{label}: {time.perf_counter() - begun:.0f} s", best[:2], flush=True)


if __name__ == "__main__":
    main()
