"""Optimizers by name, so that a task can be had with each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn, optim
from torch.optim import Optimizer

from lrsearch.exceptions import TaskError

# Everything but the learning rate is torch's default, except for the momentum of 0.9 that
# 'momentum' and 'nesterov' stand for.
_KINDS: dict[str, Callable[..., Optimizer]] = {
    "adagrad": optim.Adagrad,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "momentum": partial(optim.SGD, momentum=0.9),
    "nesterov": partial(optim.SGD, momentum=0.9, nesterov=True),
    "rmsprop": optim.RMSprop,
    "sgd": optim.SGD,
}


def optimizer_by_name(kind: str) -> Callable[[nn.Module, float], Optimizer]:
    """``optimizer(model, learning_rate)`` for a :class:`~lrsearch.training.Task`.

    Args:
        kind: 'sgd', 'momentum', 'nesterov' (both 0.9), 'adam', 'adamw', 'rmsprop' or 'adagrad'.

    Raises:
        TaskError: If there is no such kind.
    """
    if kind not in _KINDS:
        raise TaskError(f"no optimizer is called {kind!r}: choose one of {sorted(_KINDS)}.")
    return partial(_build, kind)


def _build(kind: str, model: nn.Module, learning_rate: float) -> Optimizer:
    return _KINDS[kind](model.parameters(), lr=learning_rate)
