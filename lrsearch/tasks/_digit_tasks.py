"""Two tasks that train in seconds on the embedded digits: a perceptron and a small CNN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lrsearch.exceptions import TaskError
from lrsearch.tasks._digits import load_digits
from lrsearch.tasks._optimizers import optimizer_by_name
from lrsearch.training import Task, TensorEpoch, tensor_stream

Batch = tuple[Tensor, ...]


def digits(*, optimizer: str = "momentum", width: int = 128, batch_size: int = 32) -> Task:
    """Digits with a perceptron: 64 pixels, ``width`` ReLU units, half as many, 10 classes.

    Args:
        optimizer: A kind that :func:`optimizer_by_name` knows.
        width: Units of the first hidden layer, at least 2.
        batch_size: Images in a batch, at most 1,200.

    Raises:
        TaskError: If an argument is out of range.
    """
    _check_whole("width", width, 2, None)
    changed = _changed(optimizer, "momentum", width, 128, batch_size)
    return _task("digits" + changed, partial(_perceptron, width), optimizer, batch_size, 600)


def digits_cnn(*, optimizer: str = "adamw", width: int = 8, batch_size: int = 32) -> Task:
    """Digits with two convolutions, each with BatchNorm, ReLU and 2 x 2 max pooling.

    Args:
        optimizer: A kind that :func:`optimizer_by_name` knows.
        width: Channels of the first convolution; the second has twice as many.
        batch_size: Images in a batch, at most 1,200.

    Raises:
        TaskError: If an argument is out of range.
    """
    _check_whole("width", width, 1, None)
    changed = _changed(optimizer, "adamw", width, 8, batch_size)
    return _task("digits-cnn" + changed, partial(_cnn, width), optimizer, batch_size, 400)


EMBEDDED: Mapping[str, Callable[[], Task]] = {"digits": digits, "digits-cnn": digits_cnn}


def _task(
    name: str, model: Callable[[], nn.Module], optimizer: str, batch_size: int, budget: int
) -> Task:
    _check_whole("batch_size", batch_size, 1, 1200)
    return Task(
        name=name,
        model=model,
        loss=_loss,
        stream=partial(_stream, batch_size),
        evaluate=_validation_loss,
        optimizer=optimizer_by_name(optimizer),
        budget=budget,
    )


def _perceptron(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, width),
        nn.ReLU(),
        nn.Linear(width, width // 2),
        nn.ReLU(),
        nn.Linear(width // 2, 10),
    )


def _cnn(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * 4, 10),
    )


def _loss(model: nn.Module, batch: Batch) -> Tensor:
    images, labels = batch
    return cross_entropy(model(images), labels)


def _stream(batch_size: int, seed: int, epoch: int) -> TensorEpoch:
    train = load_digits().train
    return tensor_stream(train.images, train.labels, batch_size=batch_size)(seed, epoch)


def _validation_loss(model: nn.Module) -> float:
    """Mean cross-entropy over the validation part (nats)."""
    part = load_digits().validation
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return _loss(model, (part.images.to(device), part.labels.to(device))).item()
    finally:
        model.train(was_training)


def _check_whole(name: str, value: int, low: int, high: int | None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"from {low} to {high}"
        raise TaskError(f"{name} must be a whole number, {span}, got {value!r}.")


def _changed(optimizer: str, usual: str, width: int, usual_width: int, batch_size: int) -> str:
    """What to add to a task's name, so that variants do not share a leaderboard."""
    parts = [f"-{optimizer}"] if optimizer != usual else []
    parts += [f"-width{width}"] if width != usual_width else []
    parts += [f"-batch{batch_size}"] if batch_size != 32 else []
    return "".join(parts)
