"""Models, losses and data of this study: small, so that a full-batch run takes seconds."""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, Optimizer, RMSprop

import lrsearch
from lrsearch.tasks import load_digits

STUDIES = Path(__file__).resolve().parents[1]
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Problem:
    """A model, a loss and a fixed set of examples.

    Attributes:
        name: Of the files.
        build: The model, from torch's generator as it is.
        data: Inputs and labels.
        squared: Whether the loss is ``1/2 |output - one hot|^2``; else cross-entropy.
        steps: Of a full-batch run.
    """

    name: str
    build: Callable[[], nn.Module]
    data: Callable[[], Pair]
    squared: bool
    steps: int

    def model(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return self.build()

    def loss(self, model: nn.Module, batch: Pair) -> Tensor:
        """Mean over the batch."""
        x, y = batch
        out = model(x)
        if not self.squared:
            return functional.cross_entropy(out, y)
        return 0.5 * (out - functional.one_hot(y, 10)).square().sum(dim=1).mean()


def perceptron(activation: type[nn.Module], inputs: int = 196, width: int = 64) -> nn.Module:
    """Two hidden layers; 196 inputs are the means of 2 x 2 pixels."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, width),
        activation(),
        nn.Linear(width, width),
        activation(),
        nn.Linear(width, 10),
    )


def convolutions() -> nn.Module:
    """Two convolutions of 8 and 16 channels with stride 2; GELU has a second derivative."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


@cache
def images(name: str, examples: int) -> Pair:
    """The first examples of a data set, pooled to 14 x 14 pixels."""
    path = STUDIES / "search_efficiency" / "data.py"
    spec = importlib.util.spec_from_file_location("search_efficiency_data", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (x, y), _, _ = module.images(name, examples)
    return functional.avg_pool2d(x, 2), y


def digits(examples: int) -> Pair:
    part = load_digits().train
    return part.images[:examples], part.labels[:examples]


PROBLEMS = {
    p.name: p
    for p in (
        Problem(
            "relu-ce",
            lambda: perceptron(nn.ReLU),
            lambda: images("fashion_mnist", 512),
            squared=False,
            steps=600,
        ),
        Problem(
            "tanh-sq",
            lambda: perceptron(nn.Tanh),
            lambda: images("fashion_mnist", 512),
            squared=True,
            steps=600,
        ),
        Problem(
            "conv-ce", convolutions, lambda: images("fashion_mnist", 256), squared=False, steps=600
        ),
        Problem(
            "quick",
            lambda: perceptron(nn.Tanh, inputs=64, width=8),
            lambda: digits(64),
            squared=True,
            steps=24,
        ),
    )
}

OPTIMIZERS: dict[str, Callable[[Any, float], Optimizer]] = {
    "gd": lambda params, lr: SGD(params, lr=lr),
    "momentum": lambda params, lr: SGD(params, lr=lr, momentum=0.9),
    "rmsprop": lambda params, lr: RMSprop(params, lr=lr, alpha=0.99),
    "adam": lambda params, lr: Adam(params, lr=lr),
}
START = {"gd": -3, "momentum": -6, "rmsprop": -11, "adam": -9}  # log2 of the first constant rate


def environment() -> dict[str, str]:
    return {
        "lrsearch": lrsearch.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": str(torch.get_num_threads()),
    }


def short(value: Any) -> Any:
    """Plain values with five digits; what is not finite becomes ``None``."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {k: short(v) for k, v in value.items()}
    return [short(v) for v in value] if isinstance(value, list | tuple) else value


def write(path: Path, document: dict[str, Any]) -> None:
    """In one stroke, so that a killed run leaves whole files only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    text = json.dumps(short(document), separators=(",", ":")).encode()
    scratch.write_bytes(gzip.compress(text, mtime=0))
    scratch.replace(path)


def read(path: Path) -> dict[str, Any]:
    with gzip.open(path) as file:
        return json.load(file)


def parsed(about: str, arguments: list[str] | None, out: Path, cells: str) -> argparse.Namespace:
    """What a script was asked for; it resumes, so that it may be stopped at any time."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one tiny problem, seconds")
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("cells", nargs="*", help=cells)
    torch.set_num_threads(1)
    return parser.parse_args(arguments)
