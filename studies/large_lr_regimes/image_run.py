"""The image task's cells: all rates on one subset of Fashion-MNIST, one seed of training each."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from bands import banded
from convnets import Nets
from files import HERE
from geometry import angle, barrier, path_errors, sharpness, step_
from protocol import Stage, first_true
from torch import Tensor
from torch.nn import functional

from lrsearch.tasks import load_digits

Pair = tuple[Tensor, Tensor]
FITTED = 0.9995  # accuracy in an epoch's batches from which on the data count as fitted


@dataclass(frozen=True)
class Plan:
    """What a cell does.

    Attributes:
        rates: Effective rates, in units of the sphere of radius one.
        finetune: Indices of the rates to fine-tune with, ascending.
        nets: The architecture.
        examples: To train on; every seed has its own.
        batch: Examples in a step.
        pretrain_epochs, finetune_epochs: Of ``examples // batch`` steps.
        averages: Checkpoints of an average, one an epoch from the end of pre-training on.
        points: On the way between two solutions.
        iterations: Of the power method.
        curved: Training examples that it is run on.
        between: Test examples for the test error on the way.
        digits: Whether the data are the package's own digits, for quick runs.
    """

    rates: tuple[float, ...] = tuple(
        2.0**k for k in (-12, -10, -9, -8.5, -8, -7.5, -7, -6.5, -6, -5.5, -5, -4, -2)
    )
    finetune: tuple[int, ...] = (0, 3)
    nets: Nets = field(default_factory=Nets)
    examples: int = 1000
    batch: int = 50
    pretrain_epochs: int = 200
    finetune_epochs: int = 100
    averages: tuple[int, ...] = (2, 5, 10, 20)
    points: int = 11
    iterations: int = 12
    curved: int = 250
    between: int = 2000
    digits: bool = False


FASHION = Plan()
QUICK = Plan(
    rates=(2.0**-10, 2.0**-6, 1.0),
    finetune=(0, 1),
    nets=Nets(side=8, channels=(4, 6), strides=(2, 2)),
    examples=60,
    batch=20,
    pretrain_epochs=3,
    finetune_epochs=2,
    averages=(2, 5),
    points=3,
    iterations=2,
    curved=20,
    between=50,
    digits=True,
)


@cache
def fashion() -> tuple[Pair, Pair]:
    """10,000 training and 8,000 test images (n, 1, 14, 14) with labels, pooled to 14 x 14."""
    path = HERE.parent / "search_efficiency" / "data.py"
    spec = importlib.util.spec_from_file_location("search_efficiency_data", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (x, y), _, (u, v) = module.images("fashion_mnist", 10_000)
    return (functional.avg_pool2d(x, 2), y), (functional.avg_pool2d(u, 2), v)


def digits() -> tuple[Pair, Pair]:
    found = load_digits()
    return (found.train.images, found.train.labels), (found.test.images, found.test.labels)


class ImageCell:
    """The networks of one seed, one for each rate; they start equal and see the same batches."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.seed = plan, seed
        self.finetune, self.averages = plan.finetune, plan.averages
        (x, y), (u, v) = digits() if plan.digits else fashion()
        mine = slice(plan.examples * seed, plan.examples * (seed + 1))
        if len(x[mine]) < plan.examples:
            raise ValueError(
                f"seed {seed} has no {plan.examples} examples left: take a smaller one"
            )
        self.images, self.y, self.test_images, self.test_y = x[mine], y[mine], u, v
        self.x, self.test = (plan.nets.first_rows(part) for part in (x[mine], u))
        self.w, self.head = plan.nets.begin(seed)
        self.radius = float(self.w.norm())

    def about(self) -> dict[str, Any]:
        plan = {k: v if k != "nets" else vars(v) for k, v in vars(self.plan).items()}
        return {
            "plan": plan,
            "seed": self.seed,
            "rates": self.plan.rates,
            "finetune_rates": [self.plan.rates[i] for i in self.plan.finetune],
            "weights": len(self.w),
            "radius": self.radius,
        }

    def train(
        self, w: Tensor, rates: Tensor, stage: int, epochs: int,
        visit: Callable[[int, Tensor], None] | None = None,
    ) -> Stage:  # fmt: skip
        """Projected SGD in place; mean loss and accuracy of the batches of each epoch."""
        plan, nets = self.plan, self.plan.nets
        order = torch.Generator().manual_seed(10_000 * (1 + stage) + self.seed)
        losses, rights = [], []
        for epoch in range(1, epochs + 1):
            chosen = torch.randperm(plan.examples, generator=order)
            parts = chosen.split(plan.batch)[: plan.examples // plan.batch]
            loss, right = (torch.zeros(len(w)) for _ in range(2))
            for pick in parts:
                value, g, hit = nets.gradient(w, self.head, self.x[pick], self.y[pick])
                step_(w, g, rates.unsqueeze(-1), self.radius)
                loss += value / len(parts)
                right += hit / len(parts)
            losses.append(loss)
            rights.append(right)
            if visit is not None:
                visit(epoch, w)
            if epoch % 50 == 0:
                print(f"  stage {stage}: epoch {epoch}", flush=True)
        return {"last": w, "losses": torch.stack(losses), "accuracies": torch.stack(rights)}

    def pretrain(self) -> Stage:
        """At every rate, and on at the same rate for the averages."""
        plan = self.plan
        w = self.w.expand(len(plan.rates), -1).clone()
        made: Stage = {}
        sums = {k: torch.zeros_like(w) for k in plan.averages}

        def visit(epoch: int, w: Tensor) -> None:
            after = epoch - plan.pretrain_epochs
            if after == 0:
                made["last"] = w.clone()
            for k in plan.averages:
                if 0 <= after < k:
                    sums[k] += w / k

        epochs = plan.pretrain_epochs + max(plan.averages) - 1
        found = self.train(w, torch.tensor(plan.rates), 0, epochs, visit)
        made |= {k: v[: plan.pretrain_epochs] for k, v in found.items() if k != "last"}
        return made | {f"average_{k}": s for k, s in sums.items()}

    def finetuned(self, index: int, start: Tensor) -> Stage:
        rates = torch.full((len(start),), self.plan.rates[index])
        return self.train(start.clone(), rates, 1, self.plan.finetune_epochs)

    def measure(self, w: Tensor, *, whole: bool) -> dict[str, Any]:
        """With ``whole`` also the accuracy on each band of the test images, and the sharpness."""
        nets, plan = self.plan.nets, self.plan
        parts = [(self.x, self.y), (self.test, self.test_y)]
        if whole:
            half = len(self.test_y) // 2
            for images in banded(self.test_images[:half], self.images):
                parts.append((nets.first_rows(images), self.test_y[:half]))
        scores = torch.tensor([nets.score(row, self.head, self.x, parts) for row in w])
        names = ("train_loss", "train_accuracy"), ("test_loss", "test_accuracy")
        result: dict[str, Any] = {
            name: scores[:, p, i] for p, pair in enumerate(names) for i, name in enumerate(pair)
        }
        if whole:
            result["bands"] = scores[:, 2:, 1]
            x, y, head = self.x[: plan.curved].double(), self.y[: plan.curved], self.head.double()
            result["sharpness"] = sharpness(
                w, lambda w: nets.gradient(w, head, x, y)[1], plan.iterations
            )
        return result

    def between(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        nets, n = self.plan.nets, self.plan.between
        parts = [(self.x, self.y), (self.test[:n], self.test_y[:n])]

        def error(w: Tensor) -> Tensor:
            return torch.tensor([[1 - s[1] for s in nets.score(v, self.head, self.x, parts)]
                                 for v in w])  # fmt: skip

        errors = path_errors(a, b, error, self.plan.points, self.radius)  # (n, 2, points)
        heights = barrier(errors)
        return {
            "angle": angle(a, b),
            "train_barrier": heights[:, 0],
            "test_barrier": heights[:, 1],
        }

    def converged_at(self, stage: Stage) -> list[int | None]:
        return first_true(stage["accuracies"] >= FITTED)
