"""Images with one band of frequencies left (2410.22113, section 5): which of them does a net use?

Bands of the paper's 32 x 32 images are |kx| + |ky| = 0; 1 to 8; 9 to 24; 25 to 32. Those of images
of another size are scaled with the largest such sum.
"""

from __future__ import annotations

import torch
from torch import Tensor

PAPER = ((0, 0), (1, 8), (9, 24), (25, 32))
LARGEST = 32
NAMES = ("constant", "low", "middle", "high")


def masks(size: int) -> Tensor:
    """Which coefficients of a ``size`` x ``size`` transform each band has; (4, size, size)."""
    k = torch.fft.fftfreq(size, 1 / size).abs()
    total = k.unsqueeze(0) + k.unsqueeze(1)
    scaled = (total * LARGEST / (2 * (size // 2))).ceil()
    return torch.stack([(scaled >= low) & (scaled <= high) for low, high in PAPER])


def band(images: Tensor, which: int) -> Tensor:
    """Only one band of images (n, 1, size, size)."""
    mask = masks(images.shape[-1])[which]
    return torch.fft.ifft2(torch.fft.fft2(images) * mask).real


def banded(images: Tensor, train: Tensor) -> list[Tensor]:
    """The bands of images, each standardised by the mean and deviation of the training part's."""
    made = []
    for which in range(len(PAPER)):
        base = band(train, which)
        made.append((band(images, which) - base.mean()) / base.std())
    return made
