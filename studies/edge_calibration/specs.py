"""The tasks that edges are judged on, and which of them may be tuned on.

Development and evaluation differ in data set and loss, and in the optimizer where that can be: SGD
without momentum has no sibling. Evaluation tasks were written down before any ladder of them was
recorded; those with 60,000 examples were added when development tasks had shown a need for them,
and so were development tasks of 1,500 steps and with moved images.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn, optim

sys.path.append(str(Path(__file__).parents[1] / "search_efficiency"))

import making
import models
from judged import Judged

from lrsearch.curvature._optimizers import rule_of

OPTIMIZERS: dict[str, tuple[str, Callable[..., optim.Optimizer], dict[str, object]]] = {
    # name: (class, constructor, options)
    "sgd": ("sgd", optim.SGD, {}),
    "momentum": ("momentum", optim.SGD, {"momentum": 0.9}),
    "momentum95": ("momentum", optim.SGD, {"momentum": 0.95}),
    "nesterov": ("momentum", optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "nesterov95": ("momentum", optim.SGD, {"momentum": 0.95, "nesterov": True}),
    "adam": ("adam", optim.Adam, {}),
    "adam-b2": ("adam", optim.Adam, {"betas": (0.9, 0.95)}),
    "adam-b1": ("adam", optim.Adam, {"betas": (0.95, 0.999)}),
    "adamw": ("adam", optim.AdamW, {"weight_decay": 0.1, "betas": (0.9, 0.999)}),
    "adamw-b2": ("adam", optim.AdamW, {"weight_decay": 0.1, "betas": (0.9, 0.95)}),
    "adamw-b1": ("adam", optim.AdamW, {"weight_decay": 0.1, "betas": (0.95, 0.999)}),
    "rmsprop": ("adam", optim.RMSprop, {}),
}


KINDS = ("sgd", "momentum", "adam")


@dataclass(frozen=True)
class Spec:
    """One task: what differs between tasks, and nothing else.

    Attributes:
        data: "fashion" (cross-entropy), "mnist" (squared error) or "shakespeare".
        model: "mlp" (two hidden layers), "bn", "gn" (two convolutions, normalised), "transformer".
        width: Hidden units, channels of the first convolution, or width of the residual stream.
        optimizer: One of `OPTIMIZERS`.
        batch: Examples of a batch.
        budget: Optimizer steps.
        scale: Factor on all initial weight matrices.
        examples: Images that are trained on; how often each is seen follows from it.
        moved: Whether every training image is moved by up to two pixels.
    """

    data: str
    model: str
    width: int
    optimizer: str
    batch: int
    budget: int = 500
    scale: float = 1.0
    examples: int = 20_000
    moved: bool = False

    @property
    def name(self) -> str:
        scale = "" if self.scale == 1 else f"-x{self.scale:g}"
        examples = "" if self.examples == 20_000 else f"-n{self.examples}"
        return (
            f"{self.data}-{self.model}{self.width}{scale}-{self.optimizer}-b{self.batch}"
            f"-t{self.budget}{examples}{'-moved' if self.moved else ''}"
        )

    @property
    def kind(self) -> str:
        """Class of the optimizer: "sgd", "momentum" or "adam"."""
        return OPTIMIZERS[self.optimizer][0]

    def task(self) -> Judged:
        """The task itself; its data must be present."""
        build = self.optimizer_for
        if self.data == "shakespeare":
            return making.shakespeare(
                self.name, build, width=self.width, batch_size=self.batch, budget=self.budget
            )
        return making.image_task(
            self.name,
            {"fashion": "fashion_mnist", "mnist": "mnist"}[self.data],
            partial(scaled, self.plain, self.scale),
            build,
            loss=making.cross_entropy if self.data == "fashion" else making.squared_error,
            examples=self.examples,
            batch_size=self.batch,
            budget=self.budget,
            shift=self.moved,
        )

    def optimizer_for(self, model: nn.Module, rate: float) -> optim.Optimizer:
        return optimizer_of(self.optimizer, model, rate)

    def plain(self) -> nn.Module:
        if self.model == "mlp":
            return models.perceptron(self.width)
        return models.convolutions(self.width, {"bn": "batch", "gn": "group"}[self.model])


def optimizer_of(name: str, model: nn.Module, rate: float) -> optim.Optimizer:
    _, build, options = OPTIMIZERS[name]
    return build(model.parameters(), lr=rate, **options)


def scaled(build: Callable[[], nn.Module], factor: float) -> nn.Module:
    """A model whose weight matrices start ``factor`` times as large."""
    model = build()
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.mul_(factor)
    return model


DEVELOPMENT = (
    Spec("fashion", "mlp", 128, "sgd", 64),
    Spec("fashion", "mlp", 128, "sgd", 16, scale=2.0),
    Spec("fashion", "mlp", 64, "sgd", 256),
    Spec("fashion", "bn", 8, "sgd", 64),
    Spec("fashion", "gn", 8, "sgd", 32, scale=0.5),
    Spec("fashion", "mlp", 128, "momentum", 64),
    Spec("fashion", "mlp", 256, "momentum95", 128, scale=0.5),
    Spec("fashion", "bn", 8, "momentum", 64),
    Spec("fashion", "gn", 8, "momentum", 32),
    Spec("fashion", "mlp", 128, "adam", 64),
    Spec("fashion", "mlp", 128, "adam-b2", 16),
    Spec("fashion", "bn", 8, "adam", 128),
    Spec("fashion", "gn", 8, "adam-b1", 64),
    Spec("fashion", "mlp", 256, "adam", 256, scale=2.0),
    Spec("fashion", "mlp", 128, "sgd", 64, 4_000),
    Spec("fashion", "mlp", 128, "momentum", 64, 4_000),
    Spec("fashion", "mlp", 128, "adam", 64, 4_000),
    Spec("fashion", "mlp", 128, "sgd", 16, 4_000, examples=60_000),
    Spec("fashion", "mlp", 128, "adam", 16, 4_000, examples=60_000),
    Spec("fashion", "mlp", 128, "momentum", 16, 4_000, examples=60_000),
    Spec("fashion", "mlp", 128, "sgd", 64, 1_500),
    Spec("fashion", "mlp", 128, "adam", 64, 1_500),
    Spec("fashion", "mlp", 128, "sgd", 64, 4_000, moved=True),
    Spec("fashion", "mlp", 128, "momentum", 64, 4_000, moved=True),
    Spec("fashion", "mlp", 128, "adam", 64, 4_000, moved=True),
)
EVALUATION = (
    Spec("mnist", "mlp", 128, "sgd", 32),
    Spec("mnist", "gn", 8, "sgd", 128),
    Spec("mnist", "mlp", 256, "sgd", 512, scale=2.0),
    Spec("mnist", "bn", 8, "sgd", 16),
    Spec("mnist", "mlp", 128, "nesterov", 32),
    Spec("mnist", "mlp", 512, "nesterov95", 128, scale=0.5),
    Spec("mnist", "bn", 8, "nesterov", 16),
    Spec("mnist", "gn", 16, "nesterov95", 64),
    Spec("shakespeare", "transformer", 32, "nesterov", 16),
    Spec("mnist", "mlp", 128, "rmsprop", 64),
    Spec("mnist", "mlp", 256, "adamw-b2", 128),
    Spec("mnist", "bn", 8, "adamw", 64, scale=2.0),
    Spec("mnist", "gn", 8, "rmsprop", 32),
    Spec("shakespeare", "transformer", 32, "adamw", 64),
    Spec("shakespeare", "transformer", 64, "adamw-b1", 16),
    Spec("mnist", "mlp", 128, "sgd", 32, 4_000),
    Spec("mnist", "mlp", 128, "nesterov", 32, 4_000),
    Spec("mnist", "mlp", 128, "rmsprop", 64, 4_000),
    Spec("mnist", "mlp", 128, "nesterov", 16, 4_000, examples=60_000),
    Spec("shakespeare", "transformer", 32, "adamw-b2", 16, 4_000),
)
# Small and 16 times larger: width 32 -> 512, then batch 16 -> 256. Nothing is fitted to them.
PAIRS = tuple(
    (Spec(data, "mlp", *small), Spec(data, "mlp", *large))
    for data, kinds in (
        ("fashion", ("sgd", "momentum", "adam")),
        ("mnist", ("sgd", "nesterov", "adamw-b2")),
    )
    for kind in kinds
    for small, large in (
        ((32, kind, 64), (512, kind, 64)),
        ((128, kind, 16), (128, kind, 256)),
    )
)
BY_NAME = {
    spec.name: spec
    for spec in (*DEVELOPMENT, *EVALUATION, *(spec for pair in PAIRS for spec in pair))
}


def momentum_of(name: str) -> float:
    """The momentum of an optimizer: how much of the last direction is kept."""
    optimizer = optimizer_of(name, nn.Linear(1, 1), 1.0)
    rule = rule_of(optimizer)
    assert rule is not None
    return rule.momentum(optimizer.param_groups[0])
