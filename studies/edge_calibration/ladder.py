"""Record how the best rate moves with the length of a run: a ladder of annealed runs for each task.

    python ladder.py [--tasks NAME ...] [--jobs 2]     # resumes; one file a task in raw/

Lengths of 20, 40, 80 and 160 steps (what a calibration can pay) and the task's own budget, each at
rates around its best one. The rate is the lesser of a linear decay to zero and a linear warm-up:
over a twentieth of the task's budget; over a tenth of the short ones ("quick"), once more over two
fifths ("slow"), and those of 20 and 40 steps over thirteen twentieths ("long"). Within one length a
seed has the same weights and batches at all rates; the seeds of the budget are others. Short runs
are judged by eight fresh training batches, as a calibration would judge them; those of the budget
by the test split.
"""

import math
import os
import platform
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import archive
import numpy as np
import pool
import rates
import torch
from signals import read
from specs import BY_NAME, Spec

import families  # isort: skip

import lrsearch
from lrsearch.curvature import usual_rate
from lrsearch.curvature._metric import trained
from lrsearch.training import batches

SHORT = (20, 40, 80, 160)
WARMUPS = {"quick": 0.1, "slow": 0.4, "long": 0.65, "full": 0.05}
SEEDS = 4
TRUTH_SEEDS = 1_000  # added to the seeds of the budget
FRESH = 8
BLOCKS = 10  # means of the training loss that are kept
READ_AT = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # progress
READ_FROM = 80  # steps from which a run is read while it trains
ANY_RATE = 1e-3


def levels(steps: int, warmup: str, shape: str) -> list[float]:
    """Rates in units of the peak: the lesser of the shape and its linear warm-up."""
    rising = max(1, round(steps * WARMUPS[warmup]))
    values = families.SHAPES[shape].schedule(1.0, steps).values()
    return [min((i + 1) / rising, float(values[i])) for i in range(steps)]


def run(
    spec: Spec, rate: float, steps: int, warmup: str, seed: int, shape: str = "linear"
) -> dict[str, Any]:
    """One annealed run; ``warmup`` is one of `WARMUPS`, "full" for the task's budget.

    Returns:
        ``loss``: what it reached, ``None`` where it diverged; ``course``: means of the training
        loss over tenths; ``readings``: see `signals.read`.
    """
    task, full = spec.task(), warmup == "full"
    torch.manual_seed(seed)
    model = task.model()
    optimizer = task.optimizer(model, rate)
    ratios = [group["lr"] / rate for group in optimizer.param_groups]
    stream = batches(task, seed)
    fresh = [next(stream) for _ in range(FRESH)]
    level = levels(steps, warmup, shape)
    spare = batches(task, seed + 500_009)
    read_at = {round(x * steps) for x in READ_AT}
    losses, readings = [], []
    for i in range(steps):
        now = rate * level[i]
        for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
            group["lr"] = now * ratio
        batch = next(stream)
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss(model, batch)
        value = float(loss.detach())
        if not math.isfinite(value) or value > 1e6:
            return {"loss": None, "course": None, "readings": readings}
        loss.backward()
        losses.append(value)
        read_now = i in read_at and steps >= READ_FROM and not full
        before = [p.detach().clone() for p in trained(optimizer)] if read_now else []
        optimizer.step()
        if read_now:
            seen = read(task, model, optimizer, batch, spare, before)
            readings.append({"step": i, "rate": now, **seen})
    if full:
        assert task.test is not None
        reached = task.test(model)
    else:
        with torch.no_grad():
            reached = float(np.mean([float(task.loss(model, b)) for b in fresh]))
    course = [round(float(np.mean(part)), 5) for part in np.array_split(losses, BLOCKS)]
    finite = math.isfinite(reached)
    return {"loss": reached if finite else None, "course": course, "readings": readings}


def labels(spec: Spec) -> list[str]:
    """Warm-up and steps of all lengths of a task."""
    short = [f"{warmup} {steps}" for warmup in ("quick", "slow") for steps in SHORT]
    return [*short, *(f"long {steps}" for steps in SHORT[:2]), f"full {spec.budget}"]


def log_loss(found: list[dict[str, Any]]) -> float:
    """Mean log loss of a rate's seeds; infinite if any diverged."""
    values = [r["loss"] for r in found]
    return math.inf if None in values else float(np.mean(np.log(values)))


def climb(
    spec: Spec, steps: int, warmup: str, start: int, shape: str = "linear"
) -> dict[int, list[dict[str, Any]]]:
    """All rates of one length, by place."""
    full = warmup == "full"
    first = TRUTH_SEEDS if full else 0
    found: dict[int, list[dict[str, Any]]] = {}
    while True:
        values = {k: log_loss(runs) for k, runs in found.items()}
        places = rates.wanted(values, start, reach=4 if full else 2, fine=full)
        if not places:
            return found
        for k in places:
            runs: list[dict[str, Any]] = []
            for seed in range(SEEDS):
                runs.append(run(spec, rates.rate(k), steps, warmup, first + seed, shape))
                if runs[-1]["loss"] is None:
                    break
            found[k] = runs


def record(name: str) -> str:
    """Every length of a task that is not there yet; each is written in one stroke."""
    torch.set_num_threads(1)
    spec, path = BY_NAME[name], archive.path_of(name)
    kept: dict[str, Any] = archive.load(path) if path.exists() else {"lengths": {}}
    usual = usual_rate(spec.task().optimizer(spec.task().model(), ANY_RATE))
    assert usual is not None
    kept |= {"task": name, "usual_rate": usual, "environment": environment()}
    for label in labels(spec):
        if label in kept["lengths"]:
            continue
        warmup, steps = label.split()
        found = climb(spec, int(steps), warmup, rates.place(usual))
        kept["lengths"][label] = {str(k): found[k] for k in sorted(found)}
        archive.save(path, kept)
        best = rates.lowest({k: log_loss(r) for k, r in found.items()})
        print(f"{name}: {label}: best rate {2 ** (best / 4):.4g}", flush=True)
    return name


def environment() -> dict[str, str]:
    return {
        "lrsearch": lrsearch.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def main() -> None:
    assert __doc__ is not None
    pool.run(__doc__, record, BY_NAME)


if __name__ == "__main__":
    main()
