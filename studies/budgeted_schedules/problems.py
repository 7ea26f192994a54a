"""The tasks of this study: data, batches, model. All of them are development tasks.

None is a task of studies/search_efficiency: they differ in model, batch size and examples. What it
keeps for testing (the images of t10k, the last tenth of the text) is never read here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nets import Convolutions, Net, Perceptron, Transformer
from torch import Tensor
from torch.nn import functional

STUDIES = Path(__file__).resolve().parents[1]
CONTEXT = 16
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Problem:
    """A model, its examples in three parts, and the order in which a seed meets them.

    Attributes:
        name: Of the files.
        net: The model in both forms.
        data: Training, validation and test part.
        batch: Examples of a batch.
        decay: Weight decay of SGD (AdamW has torch's default, 0.01).
    """

    name: str
    net: Callable[[], Net]
    data: Callable[[], tuple[Pair, Pair, Pair]]
    batch: int
    decay: float = 0.0

    def order(self, seed: int, steps: int) -> Tensor:
        """Examples of every step, (steps, batch): epochs, each in a new order."""
        generator = torch.Generator().manual_seed(10_000 + seed)
        n, needed = len(self.data()[0][1]), steps * self.batch
        epochs = [torch.randperm(n, generator=generator) for _ in range(-(-needed // n))]
        return torch.cat(epochs)[:needed].view(steps, self.batch)


@cache
def _loader() -> Any:
    """The helper that knows where the data lie: studies/search_efficiency/data.py."""
    path = STUDIES / "search_efficiency" / "data.py"
    spec = importlib.util.spec_from_file_location("search_efficiency_data", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def images(name: str, first: int, last: int) -> tuple[Pair, Pair, Pair]:
    """Images ``first`` to ``last`` to train on, 2,000 to validate, 8,000 to test; 14 x 14."""
    load = _loader()
    folder = load.DATA / name
    raw = torch.tensor(load.idx(folder / "train-images-idx3-ubyte.gz") / 255.0).float()
    x = functional.avg_pool2d(raw.unsqueeze(1), 2)
    y = torch.tensor(load.idx(folder / "train-labels-idx1-ubyte.gz").astype(np.int64))
    x = (x - x[first:last].mean()) / x[first:last].std()
    a, b, c = slice(first, last), slice(50_000, 52_000), slice(52_000, 60_000)
    return (x[a], y[a]), (x[b], y[b]), (x[c], y[c])


@cache
def text() -> tuple[Pair, Pair, Pair]:
    """Passages of 16 characters and the next ones: 80 % of the text to train on, from 80 to 90 % to
    validate and to test."""
    load = _loader()
    kept, _, _, _ = load.characters()  # the first nine tenths
    first, second = int(8 / 9 * len(kept)), int(8.3 / 9 * len(kept))

    def passages(codes: Tensor, stride: int) -> Pair:
        starts = torch.arange(0, len(codes) - CONTEXT - 1, stride)
        at = starts[:, None] + torch.arange(CONTEXT + 1)
        return codes[at][:, :-1].contiguous(), codes[at][:, 1:].contiguous()

    train = passages(kept[:first], 5)
    validation, test = passages(kept[first:second], 60), passages(kept[second:], 60)
    return train, validation, test


def vocabulary() -> int:
    return int(_loader().characters()[3])


PROBLEMS = {
    p.name: p
    for p in (
        # Seen once and a quarter.
        Problem("perceptron", Perceptron, lambda: images("fashion_mnist", 20_000, 50_000), 32),
        # 4,000 examples, five times.
        Problem("cnn", Convolutions, lambda: images("fashion_mnist", 20_000, 24_000), 16, 5e-4),
        # A twentieth of the text's passages.
        Problem("transformer", lambda: Transformer(vocabulary()), text, 8),
    )
}
OPTIMIZERS = ("momentum", "adamw")
