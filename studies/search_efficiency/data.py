"""The recorded data sets, split in three: training, validation (seen by searches), test (not)."""

import gzip
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LRSEARCH_DATA", ROOT.parent / "shared" / "data"))
DEVICE = os.environ.get("LRSEARCH_DEVICE", "cpu")
VALIDATION, TEST = 2_000, 8_000  # of the 10,000 that the data set keeps for testing

Pair = tuple[Tensor, Tensor]


def idx(path: Path) -> np.ndarray:
    """An IDX file's array."""
    with gzip.open(path) as file:
        raw = file.read()
    dimensions = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(dimensions)


@lru_cache(maxsize=4)
def images(name: str, examples: int) -> tuple[Pair, Pair, Pair]:
    """Training, validation and test part of ``fashion_mnist`` or ``mnist``.

    Pixels (n, 1, 28, 28) are standardised by the training part's mean and deviation; labels (n,)
    are classes. ``examples`` is how many of the 60,000 are trained on.
    """
    folder = DATA / name
    x = torch.tensor(idx(folder / "train-images-idx3-ubyte.gz")[:examples] / 255.0).float()
    y = torch.tensor(idx(folder / "train-labels-idx1-ubyte.gz")[:examples].astype(np.int64))
    held = torch.tensor(idx(folder / "t10k-images-idx3-ubyte.gz") / 255.0).float()
    classes = torch.tensor(idx(folder / "t10k-labels-idx1-ubyte.gz").astype(np.int64))
    mean, deviation = x.mean(), x.std()
    x, held = ((t - mean).unsqueeze(1) / deviation for t in (x, held))
    parts = [(x, y), (held[:VALIDATION], classes[:VALIDATION])]
    parts.append((held[VALIDATION : VALIDATION + TEST], classes[VALIDATION : VALIDATION + TEST]))
    moved = [(a.to(DEVICE), b.to(DEVICE)) for a, b in parts]
    return moved[0], moved[1], moved[2]


@lru_cache(maxsize=1)
def characters() -> tuple[Tensor, Tensor, Tensor, int]:
    """Tiny Shakespeare as character codes: 90 % to train on, 2 % to validate, 8 % to test; and how
    many characters there are."""
    text = (DATA / "tinyshakespeare" / "input.txt").read_text()
    alphabet = {c: i for i, c in enumerate(sorted(set(text)))}
    codes = torch.tensor([alphabet[c] for c in text]).to(DEVICE)
    first, second = int(0.90 * len(codes)), int(0.92 * len(codes))
    return codes[:first], codes[first:second], codes[second:], len(alphabet)
