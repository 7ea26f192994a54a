"""Part D, new runs: what a short descent from a copy tells, beside loss and averaged weights.

    python studies/gradient_flow_solution/proxies.py [--quick] [--out FOLDER]

One raw file per task; resumes rate by rate. At each look a copy takes `DESCENT` mini-batch steps at
an eighth of the rate; its loss and its sharpness stand for those of the flow's solution.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common import environment, images, parsed, read, write
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD

from lrsearch.curvature import WeightAverage, sharpness, threshold
from lrsearch.exceptions import MeasurementError
from lrsearch.schedules import Schedule
from lrsearch.tasks import load_digits

Batch = tuple[Tensor, Tensor]
SCHEDULES = {"constant": {}, "linear": {}, "wsd": {"cooldown": 0.2}}
LOOKS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8)  # of the budget
DESCENT, SLOWER = 16, 8
HVPS = 10
SEEDS = (0, 1)


@dataclass(frozen=True)
class Small:
    """A task.

    Attributes:
        data: Of the neighbouring study; ``None`` for digits.
        squared: Squared error to the one-hot target; else cross-entropy.
        momentum: Of SGD.
        batch: Examples of a step.
        rates: log2 of the peak rates.
        split: What its runs may be used for.
        budget: Steps.
        width: Of the two hidden layers.
    """

    data: str | None
    squared: bool
    momentum: float
    batch: int
    rates: tuple[float, ...]
    split: str
    budget: int = 300
    width: int = 32

    @property
    def probe(self) -> int:
        """Examples of a sharpness."""
        return 4 * self.batch

    def parts(self) -> list[Batch]:
        if self.data is None:
            return [(p.images.flatten(1), p.labels) for p in (load_digits().train,) * 3]
        return [(functional.avg_pool2d(x, 2).flatten(1), y) for x, y in images(self.data, 5_000)]

    def model(self, inputs: int, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        layers = [nn.Linear(inputs, self.width), nn.ReLU(), nn.Linear(self.width, self.width)]
        return nn.Sequential(*layers, nn.ReLU(), nn.Linear(self.width, 10))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        out, y = model(batch[0]), batch[1]
        if self.squared:
            return (out - functional.one_hot(y, 10)).square().sum(1).mean()
        return functional.cross_entropy(out, y)


SCALES = {
    "fashion": (-6.0, -5.0, -4.5, -4.0, -3.5, -3.0, -2.5, -2.25, -2.0, -1.75, -1.5, -1.0),
    "mnist": (
        *(-5.0, -4.0, -3.0, -2.5, -2.0, -1.75, -1.5, -1.25, -1.0, -0.75, -0.5, -0.25),
        *(-2.75, -2.25, -1.875, -1.625, -1.375, -1.125),  # added for want of good and of hot runs
    ),
}
TASKS = {
    "fashion": Small("fashion_mnist", False, 0.9, 64, SCALES["fashion"], "development"),
    "mnist": Small("mnist", True, 0.0, 32, SCALES["mnist"], "evaluation"),
    "quick": Small(None, False, 0.9, 32, (-5.0, 0.0), "development", budget=20, width=8),
}


def value(task: Small, model: nn.Module, part: Batch) -> float:
    with torch.no_grad():
        return float(task.loss(model, part))


def top(task: Small, model: nn.Module, probe: Batch) -> tuple[float, float]:
    """Sharpness on the probe, and its cost in gradients of the task's own batch."""
    with suppress(MeasurementError):
        found = sharpness(model, task.loss, probe, tolerance=0.1, max_hvps=HVPS)
        return found.value, found.cost * len(probe[0]) / task.batch
    return math.nan, 0.0


def look(
    task: Small, model: nn.Module, average: WeightAverage, rate: float, parts: list[Batch],
    draw: Callable[[], Batch], probe: Batch,
) -> dict[str, float]:  # fmt: skip
    """All readings at the current weights, which stay what they are."""
    found = {"rate": rate, "loss": value(task, model, parts[1])}
    found["sharpness"], found["cost_sharpness"] = top(task, model, probe)
    with average.swapped_in():
        found["averaged_loss"] = value(task, model, parts[1])
        found["averaged_sharpness"], _ = top(task, model, probe)
    params, here = list(model.parameters()), [p.detach().clone() for p in model.parameters()]
    for _ in range(DESCENT):
        slopes = torch.autograd.grad(task.loss(model, draw()), params)
        with torch.no_grad():
            for p, slope in zip(params, slopes, strict=True):
                p -= rate / SLOWER * slope
    found["descended_loss"] = value(task, model, parts[1])
    found["descended_sharpness"], cost = top(task, model, probe)
    found["cost_descended_loss"] = float(DESCENT)
    found["cost_descended_sharpness"] = DESCENT + cost
    with torch.no_grad():
        for p, w in zip(params, here, strict=True):
            p.copy_(w)
    return found


def run(task: Small, exponent: float, family: str, seed: int, parts: list[Batch]) -> dict[str, Any]:
    """One training run with its looks."""
    x, y = parts[0]
    model = task.model(x.shape[1], seed)
    optimizer = SGD(model.parameters(), lr=1.0, momentum=task.momentum)
    generators = [torch.Generator().manual_seed(1_000 * seed + i) for i in range(3)]

    def draw(which: int = 0, size: int = task.batch) -> Batch:
        at = torch.randint(len(x), (size,), generator=generators[which])
        return x[at], y[at]

    probe, average = draw(2, task.probe), WeightAverage(model)
    values = Schedule(family, 2.0**exponent, task.budget, dict(SCHEDULES[family])).values()
    at = {round(share * task.budget) for share in LOOKS}
    looks: list[dict[str, float]] = []
    losses: list[float] = []
    diverged = 0
    for step, rate in enumerate(values, start=1):
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.zero_grad()
        loss = task.loss(model, draw())
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            diverged = step
            break
        loss.backward()
        optimizer.step()
        average.update(step)
        if step in at:
            found = look(task, model, average, float(rate), parts, lambda: draw(1), probe)
            looks.append({"step": step, "train_loss": sum(losses) / len(losses), **found})
            losses = []
    return {
        "rate": exponent,
        "schedule": family,
        "seed": seed,
        "looks": looks,
        "diverged_at": diverged,
        "validation": value(task, model, parts[1]),
        "test": value(task, model, parts[2]),
        "threshold": threshold(optimizer, full_batch=True),
    }


def fill(path: Path, name: str, quick: bool) -> None:
    """Make the runs that the file lacks; it is written after each rate."""
    task = TASKS[name]
    cell: dict[str, Any] = {
        "task": name, "split": task.split, "budget": task.budget, "descent": DESCENT,
        "slower": SLOWER, "runs": [], "environment": environment(),
    }  # fmt: skip
    cell = read(path) if path.exists() else cell
    done = {(r["rate"], r["schedule"], r["seed"]) for r in cell["runs"]}
    parts, begun = task.parts(), time.perf_counter()
    for exponent in task.rates:
        wanted = [(exponent, f, s) for f in SCHEDULES for s in (SEEDS[:1] if quick else SEEDS)]
        lacking = [key for key in wanted if key not in done]
        if lacking:
            cell["runs"] += [run(task, *key, parts) for key in lacking]
            write(path, cell)
            ends = [f"{r['test']:.3f}" for r in cell["runs"][-len(lacking) :]]
            print(f"{name} 2^{exponent}: {' '.join(ends)}, {time.perf_counter() - begun:.0f} s",
                  flush=True)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    options = parsed(__doc__, arguments, "proxies")
    for name in ("quick",) if options.quick else ("fashion", "mnist"):
        fill(options.out / f"{name}.json.gz", name, options.quick)


if __name__ == "__main__":
    main()
