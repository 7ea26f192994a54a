"""Alternatives that train once, for real: no table has their runs.

    python oneshot.py [--tables fashion_sgd ...]     # pip install schedulefree prodigyopt

- range test (Smith 2015, 1506.01186) over a fifth of the budget, then cosine or one-cycle at a
  tenth of the rate of the lowest smoothed loss, or at the rate of its steepest fall
- schedule-free SGD or AdamW, and Prodigy with a cosine, as their packages recommend them

The result is the test loss of the last weights, and its regret against the table's best cell.
"""

import math
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import raw
import tasks
import torch
from judged import Judged
from probing import one_step
from table import Table

from lrsearch.schedules import Schedule
from lrsearch.training import Task, batches, train

LOW, HIGH = 1e-6, 10.0
SHARE = 0.2  # of the budget, for the range test
SMOOTH = 0.9  # decay of the loss's moving average
DIVERGED = 4.0  # times the lowest loss, where a range test ends
TENTH = 0.1


def range_test(task: Task, seed: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Rates that grow exponentially, one a step, and the smoothed losses, until they explode."""
    torch.manual_seed(seed)
    model = task.model().to(task.device)
    optimizer = task.optimizer(model, LOW)
    stream = batches(task, seed)
    rates, smoothed, average = [], [], 0.0
    for step in range(steps):
        rate = LOW * (HIGH / LOW) ** (step / (steps - 1))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = float(one_step(task, model, optimizer, next(stream)))
        if not math.isfinite(loss):
            break
        average = SMOOTH * average + (1 - SMOOTH) * loss
        corrected = average / (1 - SMOOTH ** (step + 1))
        if smoothed and corrected > DIVERGED * min(smoothed):
            break
        rates.append(rate)
        smoothed.append(corrected)
    return np.array(rates), np.array(smoothed)


def lowest(rates: np.ndarray, losses: np.ndarray) -> float:
    """A tenth of the rate with the lowest smoothed loss."""
    return TENTH * float(rates[int(np.argmin(losses))])


def steepest(rates: np.ndarray, losses: np.ndarray) -> float:
    """The rate at which the smoothed loss falls fastest per octave."""
    if len(rates) < 3:
        return float(rates[0])
    return float(rates[int(np.argmin(np.gradient(losses, np.log2(rates))))])


def scheduled(task: Judged, schedule: Schedule, seed: int) -> float:
    """Test loss of a run under a schedule."""
    assert task.test is not None
    result = train(task, schedule, seed=seed, share=None)
    return task.test(result.model) if math.isfinite(result.metric) else math.inf


def has_momentum(task: Task) -> bool:
    """Whether one-cycle can cycle the momentum of the task's optimizer."""
    group = task.optimizer(task.model(), LOW).param_groups[0]
    return "betas" in group or group.get("momentum", 0.0) > 0


def ranged(family: str, choose: Callable[[np.ndarray, np.ndarray], float]) -> Any:
    """Range test, then one run of a family; its test loss and cost in steps."""

    def run(task: Judged, seed: int) -> tuple[float, float]:
        steps = max(20, round(SHARE * task.budget))
        rates, losses = range_test(task, seed, steps)
        if not len(rates):
            return math.inf, float(steps)
        peak = choose(rates, losses)
        kept = {"momentum": "kept"} if family == "one_cycle" and not has_momentum(task) else {}
        loss = scheduled(task, Schedule(family, peak, task.budget, kept), seed)
        return loss, float(len(rates) + task.budget)

    return run


def free(task: Judged, seed: int, optimizer: Any, *, annealed: bool) -> tuple[float, float]:
    """A run with an optimizer that finds its own rate; schedule-free ones switch their weights."""
    assert task.test is not None
    schedule = Schedule("cosine", 1.0, task.budget)
    torch.manual_seed(seed)
    model = task.model().to(task.device)
    made = optimizer(model)
    first = [float(group["lr"]) for group in made.param_groups]
    stream = batches(task, seed)
    if hasattr(made, "train"):
        made.train()
    for step in range(task.budget):
        if annealed:
            for group, rate in zip(made.param_groups, first, strict=True):
                group["lr"] = rate * schedule(step)
        if not math.isfinite(float(one_step(task, model, made, next(stream)))):
            return math.inf, float(step + 1)
    if hasattr(made, "eval"):
        made.eval()
    return task.test(model), float(task.budget)


def free_optimizers(kind: str) -> dict[str, Any]:
    """Makers by name, for an optimizer class, with their packages' recommendations."""
    import prodigyopt
    import schedulefree

    def schedule_free(model: torch.nn.Module) -> Any:
        if kind == "adam":
            return schedulefree.AdamWScheduleFree(model.parameters(), lr=0.0025)
        return schedulefree.SGDScheduleFree(model.parameters(), lr=1.0)

    def prodigy(model: torch.nn.Module) -> Any:
        return prodigyopt.Prodigy(model.parameters(), lr=1.0)

    return {"schedule-free": (schedule_free, False), "prodigy + cosine": (prodigy, True)}


RANGED = {
    "range test (lowest / 10) + cosine": ranged("cosine", lowest),
    "range test (lowest / 10) + one-cycle": ranged("one_cycle", lowest),
    "range test (steepest) + cosine": ranged("cosine", steepest),
}


def all_of(function: str, table: Table, seeds: int) -> dict[str, Any]:
    """Every alternative on a task: regrets by seed, and cost in full runs."""
    torch.set_num_threads(1)
    task: Judged = getattr(tasks, function)()
    ways = dict(RANGED)
    for name, (maker, annealed) in free_optimizers(tasks.CLASSES[function]).items():
        ways[name] = lambda task, seed, maker=maker, annealed=annealed: free(
            task, seed, maker, annealed=annealed
        )
    found: dict[str, Any] = {}
    for name, way in ways.items():
        runs = [way(task, 100 + seed) for seed in range(seeds)]  # seeds of no recorded run
        logs = [math.log(loss) if math.isfinite(loss) else math.inf for loss, _ in runs]
        found[name] = {
            "regret": [round(log - table.best, 5) if log < math.inf else "inf" for log in logs],
            "cost": round(float(np.mean([steps for _, steps in runs])) / task.budget, 3),
        }
    return {"ways": found}


def main() -> None:
    parser = raw.arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    raw.fill("oneshot", options.tables, lambda name, table: all_of(name, table, options.seeds))


if __name__ == "__main__":
    main()
