"""Development tasks of the first edge: what its constant is fitted on, and nothing is claimed on.

Digits ship with the package. Fashion-MNIST is read from `../shared/data` beside the repository
(or `$LRSEARCH_DATA`) where it is present. MNIST and Tiny Shakespeare are left alone: they are for
others to judge by.
"""

import gzip
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lrsearch.tasks import digits, digits_cnn, optimizer_by_name
from lrsearch.training import Task, tensor_stream

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LRSEARCH_DATA", ROOT.parent / "shared" / "data")) / "fashion_mnist"


def _idx(name: str) -> np.ndarray:
    with gzip.open(DATA / name) as file:
        raw = file.read()
    dimensions = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(dimensions)


def _perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def _loss(model: nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def fashion(optimizer: str) -> Task:
    """Fashion-MNIST, 10,000 training and 2,000 validation examples, a perceptron, batch 64."""
    images = torch.tensor(_idx("train-images-idx3-ubyte.gz")[:12_000].reshape(-1, 784) / 255.0)
    images = (images.float() - 0.286) / 0.353
    labels = torch.tensor(_idx("train-labels-idx1-ubyte.gz")[:12_000].astype(np.int64))

    def evaluate(model: nn.Module) -> float:
        model.eval()
        with torch.no_grad():
            value = _loss(model, (images[10_000:], labels[10_000:])).item()
        model.train()
        return value

    return Task(
        name=f"fashion-{optimizer}",
        model=_perceptron,
        loss=_loss,
        stream=tensor_stream(images[:10_000], labels[:10_000], batch_size=64),
        evaluate=evaluate,
        optimizer=optimizer_by_name(optimizer),
        budget=600,
    )


def tasks() -> dict[str, tuple[Task, int, str]]:
    """Name -> task, budget, optimizer class."""
    found = {
        "digits-sgd": (digits(optimizer="sgd"), 600, "sgd"),
        "digits-sgd-batch128": (digits(optimizer="sgd", batch_size=128, width=256), 600, "sgd"),
        "cnn-sgd": (digits_cnn(optimizer="sgd"), 400, "sgd"),
        "digits-momentum": (digits(), 600, "momentum"),
        "digits-momentum-batch8": (digits(batch_size=8, width=64), 600, "momentum"),
        "digits-momentum-2400": (digits(), 2400, "momentum"),
        "cnn-momentum": (digits_cnn(optimizer="momentum"), 400, "momentum"),
        "digits-adam": (digits(optimizer="adam"), 600, "adam"),
        "digits-rmsprop-batch16": (digits(optimizer="rmsprop", batch_size=16), 600, "adam"),
        "digits-adam-2400": (digits(optimizer="adam"), 2400, "adam"),
        "cnn-adamw": (digits_cnn(), 400, "adam"),
    }
    if DATA.exists():
        found |= {
            f"fashion-{kind}": (fashion(kind), 600, kind) for kind in ("sgd", "momentum", "adam")
        }
    return found
