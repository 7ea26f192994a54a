"""The recorded tasks. Which of them may be tuned on is written here, and nowhere else.

Development and evaluation differ in data set, loss and optimizer together:

- development: Fashion-MNIST, cross-entropy; SGD, momentum, Adam
- evaluation: MNIST with squared error, Tiny Shakespeare; Nesterov, RMSprop, AdamW

Digits is for tests of the instrument; no claim rests on it.
"""

from functools import partial
from typing import Any

import models
from judged import Judged
from making import image_task, shakespeare, squared_error
from torch import nn, optim

from lrsearch.tasks import optimizer_by_name


def sgd(model: nn.Module, rate: float, **options: Any) -> optim.Optimizer:
    return optim.SGD(model.parameters(), lr=rate, **options)


def adamw(model: nn.Module, rate: float, **options: Any) -> optim.Optimizer:
    return optim.AdamW(model.parameters(), lr=rate, **options)


DECAYED = partial(sgd, momentum=0.9, weight_decay=5e-4)
NESTEROV = optimizer_by_name("nesterov")

# Development


def fashion_sgd(budget: int = 500) -> Judged:
    return image_task(
        "fashion-sgd" if budget == 500 else f"fashion-sgd-{budget}",
        "fashion_mnist",
        partial(models.perceptron, 128),
        optimizer_by_name("sgd"),
        budget=budget,
    )


def fashion_sgd_4000() -> Judged:
    """The same, eight times as long."""
    return fashion_sgd(4_000)


def fashion_adam() -> Judged:
    """Batches of 16."""
    return image_task(
        "fashion-adam",
        "fashion_mnist",
        partial(models.perceptron, 128),
        optimizer_by_name("adam"),
        batch_size=16,
    )


def fashion_momentum_epochs() -> Judged:
    """5,000 examples twelve times, with weight decay."""
    return image_task(
        "fashion-momentum-epochs",
        "fashion_mnist",
        partial(models.perceptron, 128),
        DECAYED,
        examples=5_000,
        batch_size=128,
        budget=480,
    )


def fashion_cnn() -> Judged:
    """Two convolutions with BatchNorm."""
    return image_task(
        "fashion-cnn",
        "fashion_mnist",
        partial(models.convolutions, 8, "batch"),
        optimizer_by_name("momentum"),
        budget=400,
    )


# Evaluation


def mnist_nesterov(budget: int = 500) -> Judged:
    """Squared error, batches of 32."""
    return image_task(
        "mnist-nesterov" if budget == 500 else f"mnist-nesterov-{budget}",
        "mnist",
        partial(models.perceptron, 128),
        NESTEROV,
        loss=squared_error,
        batch_size=32,
        budget=budget,
    )


def mnist_nesterov_4000() -> Judged:
    """The same, eight times as long."""
    return mnist_nesterov(4_000)


def mnist_nesterov_wide() -> Judged:
    """Four times the width, batches of 512, images of 14 x 14."""
    return image_task(
        "mnist-nesterov-wide",
        "mnist",
        partial(models.perceptron, 512, pooled=True),
        NESTEROV,
        loss=squared_error,
        batch_size=512,
        budget=200,
    )


def mnist_rmsprop() -> Judged:
    """Squared error, 5,000 examples shifted at random, ten times and more."""
    return image_task(
        "mnist-rmsprop",
        "mnist",
        partial(models.perceptron, 128),
        optimizer_by_name("rmsprop"),
        loss=squared_error,
        examples=5_000,
        batch_size=128,
        budget=480,
        shift=True,
    )


def mnist_cnn() -> Judged:
    """Two convolutions with GroupNorm, squared error."""
    return image_task(
        "mnist-cnn",
        "mnist",
        partial(models.convolutions, 8, "group"),
        NESTEROV,
        loss=squared_error,
        budget=400,
    )


def shakespeare_adamw() -> Judged:
    """Width 64, context 32, weight decay 0.1."""
    return shakespeare("shakespeare-adamw", partial(adamw, weight_decay=0.1, betas=(0.9, 0.95)))


DEVELOPMENT = (
    "fashion_sgd",
    "fashion_adam",
    "fashion_momentum_epochs",
    "fashion_cnn",
    "fashion_sgd_4000",
)
EVALUATION = (
    "mnist_nesterov",
    "mnist_rmsprop",
    "shakespeare_adamw",
    "mnist_cnn",
    "mnist_nesterov_4000",
    "mnist_nesterov_wide",
)
# Which optimizers stand for each other: by their step, not by their name.
CLASSES = {
    "fashion_sgd": "sgd",
    "fashion_adam": "adam",
    "fashion_momentum_epochs": "momentum",
    "fashion_cnn": "momentum",
    "fashion_sgd_4000": "sgd",
    "mnist_nesterov": "momentum",
    "mnist_rmsprop": "adam",
    "shakespeare_adamw": "adam",
    "mnist_cnn": "momentum",
    "mnist_nesterov_4000": "momentum",
    "mnist_nesterov_wide": "momentum",
}
