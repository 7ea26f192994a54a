"""The digits data: 1,797 images of handwritten digits, 8 x 8 pixels, shipped as ``digits.npz``.

Provenance: "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, licence CC BY 4.0; its test part, as
scikit-learn ships it (``sklearn.datasets.load_digits``, BSD-3-Clause). Changed here: the pixels,
whole numbers from 0 to 16, are stored as bytes; nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

# Sizes of the training and validation parts; what remains, 300 images, is for testing.
_TRAIN, _VALIDATION = 1200, 297
_BRIGHTEST = 16.0


@dataclass(frozen=True, eq=False)
class Part:
    """Images and labels of one part of the data.

    Attributes:
        images: Pixels scaled to [0, 1], minus the pixel's mean over the training part;
            shape (n, 1, 8, 8), float32.
        labels: The digits, shape (n,), int64.
    """

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Digits:
    """The data in three parts that never change: 1,200, 297 and 300 images."""

    train: Part
    validation: Part
    test: Part


@cache
def load_digits() -> Digits:
    """The digits data, read from the package at the first call and shared from then on."""
    with files("lrsearch.tasks").joinpath("digits.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        pixels, digits = stored["images"], stored["labels"]
    # RandomState, for its stream is frozen for ever; no global generator is touched.
    order = np.random.RandomState(0).permutation(len(digits))
    images = torch.from_numpy(pixels[order].astype(np.float32)).unsqueeze(1) / _BRIGHTEST
    labels = torch.from_numpy(digits[order].astype(np.int64))
    images -= images[:_TRAIN].mean(dim=0)
    parts = slice(0, _TRAIN), slice(_TRAIN, _TRAIN + _VALIDATION), slice(_TRAIN + _VALIDATION, None)
    return Digits(*(Part(images[part], labels[part]) for part in parts))
