"""A task: everything that is needed to train one configuration, except the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.exceptions import TaskError


@dataclass(frozen=True)
class Task:
    """Model, data, loss, metric and optimizer of one training problem.

    Attributes:
        name: What leaderboards and studies call the task.
        model: Builds a fresh model; called with the global torch seed set.
        loss: ``loss(model, batch)``, the training loss as a scalar tensor.
        stream: ``stream(seed, epoch)``, the batches of one epoch. A pure function of both
            numbers, so that a resumed run replays the current epoch and no other. Where the
            result has a length, earlier epochs are skipped without being read.
        evaluate: ``evaluate(model)``, the metric that the sweep ranks by. Draws no random
            numbers and leaves the model in the mode in which it came.
        optimizer: ``optimizer(model, learning_rate)``.
        metric: What ``evaluate`` measures, with its unit where it has one.
        direction: Whether a good metric is a small or a large one.
        budget: Length of a run where the caller gives none (optimizer steps).
        device: Where the model and its batches live, as torch spells it.

    Raises:
        TaskError: If a field cannot do its part.
    """

    name: str
    model: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Any], Tensor]
    stream: Callable[[int, int], Iterable[Any]]
    evaluate: Callable[[nn.Module], float]
    optimizer: Callable[[nn.Module, float], Optimizer]
    metric: str = "validation loss"
    direction: Literal["minimize", "maximize"] = "minimize"
    budget: int = 1000
    device: str = "cpu"

    def __post_init__(self) -> None:
        for field in ("name", "metric"):
            text = getattr(self, field)
            if not isinstance(text, str) or not text.strip():
                raise TaskError(f"a task's {field} must be a non-empty string, got {text!r}.")
        for field, call in _CALLS.items():
            value = getattr(self, field)
            if not callable(value):
                raise TaskError(
                    f"task {self.name!r}: {field} must be a function, called as {call}, "
                    f"got {value!r}."
                )
        if self.direction not in ("minimize", "maximize"):
            raise TaskError(
                f"task {self.name!r}: direction must be 'minimize' or 'maximize', "
                f"got {self.direction!r}."
            )
        if not isinstance(self.budget, int) or isinstance(self.budget, bool) or self.budget < 1:
            raise TaskError(
                f"task {self.name!r}: budget must be a whole number of optimizer steps, "
                f"at least 1, got {self.budget!r}."
            )
        if not _is_device(self.device):
            raise TaskError(
                f"task {self.name!r}: device must be a name that torch.device takes, such as "
                f"'cpu' or 'cuda:0', got {self.device!r}."
            )


def loss_of(task: Task, model: nn.Module, batch: Any) -> Tensor:
    """A task's loss, with its graph.

    Raises:
        TaskError: If it is no scalar tensor.
    """
    loss = task.loss(model, batch)
    if not isinstance(loss, Tensor):
        raise TaskError(f"task {task.name!r}: loss must return a scalar tensor, got {loss!r}.")
    if loss.numel() != 1:
        raise TaskError(
            f"task {task.name!r}: loss must be a scalar, got shape {tuple(loss.shape)}: "
            "reduce it, for example with .mean()."
        )
    return loss


def batches(task: Task, seed: int, start_step: int = 0) -> Iterator[Any]:
    """Batches of a task without end, from optimizer step ``start_step`` on.

    The skipping is done when this returns: restore the generators' states after it, and before
    the first batch is drawn, and a stream that touches a global generator (a DataLoader seeds
    its workers from it) leaves no trace in a resumed run.

    Args:
        task: Whose stream to follow.
        seed: First argument of the stream.
        start_step: How many batches have been used already. Whole epochs are skipped by their
            length where the stream tells it, and read through where it does not.

    Raises:
        TaskError: If ``start_step`` is negative; while iterating, if an epoch is empty, cannot
            be iterated, or holds another number of batches than its length claims.
    """
    if start_step < 0:
        raise TaskError(f"start_step counts the batches used so far, got {start_step!r}.")
    epoch, behind = 0, start_step
    while behind > 0:
        length = _length(task.stream(seed, epoch))
        if length is None or not 0 < length <= behind:
            break
        epoch, behind = epoch + 1, behind - length
    endless = _from_epoch(task, seed, epoch)
    for _ in range(behind):
        next(endless)
    return endless


def _from_epoch(task: Task, seed: int, first: int) -> Iterator[Any]:
    for epoch in count(first):
        stream = task.stream(seed, epoch)
        if not isinstance(stream, Iterable):
            raise TaskError(
                f"task {task.name!r}: stream({seed}, {epoch}) must give an epoch's batches to "
                f"iterate over, got {stream!r}."
            )
        read = 0
        for batch in stream:
            read += 1
            yield batch
        if read == 0:
            raise TaskError(
                f"task {task.name!r}: stream({seed}, {epoch}) is empty. Every call must give a "
                "fresh epoch with at least one batch: build the generator or loader inside "
                "stream, and check that the batch size does not exceed the data."
            )
        length = _length(stream)
        if length is not None and length != read:
            raise TaskError(
                f"task {task.name!r}: stream({seed}, {epoch}) has length {length} but gave "
                f"{read} batches, so that a resumed run would miss its place. Correct its "
                "__len__, or return an iterator without one."
            )


def _length(stream: object) -> int | None:
    """Batches in one epoch, where the stream knows."""
    try:
        return len(stream)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return None


def _is_device(name: object) -> bool:
    if not isinstance(name, str):
        return False
    try:
        torch.device(name)
    except RuntimeError:
        return False
    return True


_CALLS = {
    "model": "model()",
    "loss": "loss(model, batch)",
    "stream": "stream(seed, epoch)",
    "evaluate": "evaluate(model)",
    "optimizer": "optimizer(model, learning_rate)",
}
