"""The synthetic task's cells: all rates by all data sets, one seed of training each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tick
import torch
from ensemble import Ensemble, begin, gradient, score, train
from geometry import angle, barrier, path_errors, project, sharpness
from protocol import Stage, first_true
from torch import Tensor

FITTED = 0.01  # an epoch's mean loss below which the data count as fitted


@dataclass(frozen=True)
class Plan:
    """What a cell does; the paper's protocol by default.

    Attributes:
        rates: Which rates of the grid.
        finetune: Which rates of the grid to fine-tune with, ascending.
        datasets: How many data sets.
        pretrain_steps, finetune_steps: Batches of 16.
        averages: How many of the last checkpoints to average.
        spacing: Steps between checkpoints.
        points: On the way between two solutions.
        iterations: Of the power method.
        dtype: Of the training; measures of curvature are in double precision.
    """

    rates: tuple[int, ...] = tuple(range(23))
    finetune: tuple[int, ...] = (0, 4, 7, 9)
    datasets: int = 5
    pretrain_steps: int = 40_000
    finetune_steps: int = 20_000
    averages: tuple[int, ...] = (2, 5, 10, 20, 50)
    spacing: int = 100
    points: int = 11
    iterations: int = 30
    dtype: torch.dtype = torch.float32


PAPER = Plan()
DOUBLE = Plan(rates=(6, 9, 11, 13), finetune=(0,), averages=(5,), iterations=1, dtype=torch.float64)
QUICK = Plan(
    rates=(0, 8, 11, 18),
    finetune=(0, 8),
    datasets=2,
    pretrain_steps=96,
    finetune_steps=64,
    averages=(2, 5),
    spacing=10,
    points=3,
    iterations=2,
)


class TickCell:
    """The networks of one training seed: data sets, and rates within each."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.seed = plan, seed
        self.finetune, self.averages = plan.finetune, plan.averages
        self.sets = [tick.data(s) for s in range(plan.datasets)]
        self.rates = torch.tensor(np.tile(tick.RATES[list(plan.rates)], plan.datasets))
        seeds = [plan.datasets * seed + s for s in range(plan.datasets)]
        w, v = begin(seeds, len(plan.rates), plan.dtype)
        self.start = Ensemble(w, v, self.part("train"), self.part("train_y"))

    def part(self, name: str) -> Tensor:
        return torch.tensor(np.stack([s[name] for s in self.sets])).to(self.plan.dtype)

    def generator(self, stage: int) -> torch.Generator:
        return torch.Generator().manual_seed(10_000 * (1 + stage) + self.seed)

    def about(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "plan": {k: str(v) if k == "dtype" else v for k, v in vars(plan).items()},
            "seed": self.seed,
            "rates": tick.RATES[list(plan.rates)],
            "finetune_rates": tick.RATES[list(plan.finetune)],
        }

    def pretrain(self) -> Stage:
        plan, nets = self.plan, replace(self.start, w=self.start.w.clone())
        sums = {k: torch.zeros_like(nets.w) for k in plan.averages}

        def visit(step: int, w: Tensor) -> None:
            place, rest = divmod(plan.pretrain_steps - step, plan.spacing)
            for k in plan.averages:
                if rest == 0 and place < k:
                    sums[k] += w
            if step % 5_000 == 0:
                print(f"  pre-training: step {step}", flush=True)

        rates = self.rates.to(plan.dtype)
        losses = train(nets, rates, self.generator(0), plan.pretrain_steps, visit)
        made = {f"average_{k}": project(s) for k, s in sums.items()}
        return made | {"last": nets.w, "losses": losses}

    def finetuned(self, index: int, start: Tensor) -> Stage:
        rate = torch.full((len(start),), float(tick.RATES[index]), dtype=self.plan.dtype)
        nets = replace(self.start, w=start.clone())
        losses = train(nets, rate, self.generator(1), self.plan.finetune_steps)
        return {"last": nets.w, "losses": losses}

    def measure(self, w: Tensor, *, whole: bool) -> dict[str, Any]:
        """Of all, loss and accuracy; with ``whole`` also of single features, and the sharpness."""
        nets, result = self.start, {}
        for name in ("train", "test"):
            x, y = self.part(name), self.part(name + "_y")
            result[name + "_loss"], result[name + "_accuracy"] = score(w, nets, x, y)
        if whole:
            single, y = self.part("single"), self.part("single_y")
            each = [score(w, nets, single[:, k], y)[1] for k in range(tick.FEATURES)]
            result["single"] = torch.stack(each, dim=-1)
            x, y = (nets.spread(part).double() for part in (nets.x, nets.y))
            result["sharpness"] = sharpness(
                w, lambda w: gradient(w, nets.v.double(), x, y)[1], self.plan.iterations
            )
        return result

    def between(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        result = {"angle": angle(a, b)}
        for name in ("train", "test"):
            x, y = self.part(name), self.part(name + "_y")
            errors = path_errors(
                a, b, lambda w, x=x, y=y: 1 - score(w, self.start, x, y)[1], self.plan.points
            )
            result[name + "_barrier"] = barrier(errors)
        return result

    def converged_at(self, stage: Stage) -> list[int | None]:
        return first_true(stage["losses"] < FITTED)
