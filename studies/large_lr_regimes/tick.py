"""The synthetic task of many features (2410.22113, section 5): its data and its rates.

Sixteen features of two coordinates each, every one of which tells the classes apart by itself: in
[-2, 2]^2 class 0 lies between two ticks, ``|x1| - 2 + m <= x2 <= |x1| - m``; class 1 outside.
"""

from __future__ import annotations

import numpy as np

FEATURES, TRAIN, TEST, SINGLE = 16, 512, 2000, 1000
MARGIN = 0.1 * np.sqrt(2)
RATES = np.concatenate(
    [
        np.logspace(-4.5, -2.25, 10)[:-1],
        np.logspace(-2.25, -1.25, 9)[:-1],
        np.logspace(-1.25, 0, 6),
    ]
)


def sample(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coordinates (n, 2) of one feature for labels (n,), by rejection."""
    x = np.empty((len(labels), 2))
    for label in (0, 1):
        wanted = int((labels == label).sum())
        found = np.empty((0, 2))
        while len(found) < wanted:
            u = rng.uniform(-2, 2, (4 * wanted + 16, 2))
            found = np.concatenate([found, u[inside(u, label)]])
        x[labels == label] = found[:wanted]
    return x


def inside(x: np.ndarray, label: int) -> np.ndarray:
    """Whether points (n, 2) belong to a class, the margin kept; (n,) of bool."""
    height, tick = x[:, 1], np.abs(x[:, 0])
    if label == 0:
        return (height >= tick - 2 + MARGIN) & (height <= tick - MARGIN)
    return (height >= tick + MARGIN) | (height <= tick - 2 - MARGIN)


def border(n: int, rng: np.random.Generator) -> np.ndarray:
    """Points (n, 2) on the decision boundary, which say nothing of the class."""
    first = rng.uniform(-2, 2, n)
    return np.stack([first, np.abs(first) - 2 * rng.integers(0, 2, n)], axis=1)


def data(seed: int) -> dict[str, np.ndarray]:
    """Training and test sets, and one set a feature in which only that feature says anything.

    ``train`` (512, 32), ``test`` (2000, 32), ``single`` (16, 1000, 32) with labels ``train_y``,
    ``test_y``, ``single_y`` (1000,) of 0 and 1; float32.
    """
    rng = np.random.default_rng([2410, seed])
    parts: dict[str, np.ndarray] = {}
    for name, n in (("train", TRAIN), ("test", TEST)):
        y = rng.integers(0, 2, n)
        parts[name] = np.concatenate([sample(y, rng) for _ in range(FEATURES)], axis=1)
        parts[name + "_y"] = y
    y = rng.integers(0, 2, SINGLE)
    single = np.empty((FEATURES, SINGLE, 2 * FEATURES))
    for k in range(FEATURES):
        columns = [sample(y, rng) if i == k else border(SINGLE, rng) for i in range(FEATURES)]
        single[k] = np.concatenate(columns, axis=1)
    parts |= {"single": single, "single_y": y}
    return {name: part.astype(np.float32) for name, part in parts.items()}
