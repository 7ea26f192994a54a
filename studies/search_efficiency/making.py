"""What the recorded tasks are made of: losses, streams, and the two kinds of task."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import data
import models
import torch
from judged import Judged
from torch import Tensor, nn, optim
from torch.nn import functional

from lrsearch.training import tensor_stream

Batch = Any
CHUNK = 100  # examples of one forward pass of an evaluation: they stay in the cache


def cross_entropy(model: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1])


def squared_error(model: nn.Module, batch: Batch) -> Tensor:
    """Mean over examples of the squared distance to the one-hot target."""
    return (model(batch[0]) - functional.one_hot(batch[1], 10)).square().sum(1).mean()


def next_character(model: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())


def mean_loss(loss: Callable[[nn.Module, Batch], Tensor], part: Batch, model: nn.Module) -> float:
    """Loss over a whole part, in evaluation mode."""
    training = model.training
    model.eval()
    total = 0.0
    with torch.no_grad():
        for first in range(0, len(part[0]), CHUNK):
            chunk = tuple(t[first : first + CHUNK] for t in part)
            total += float(loss(model, chunk)) * len(chunk[0])
    model.train(training)
    return total / len(part[0])


def image_task(
    name: str,
    dataset: str,
    model: Callable[[], nn.Module],
    optimizer: Callable[[nn.Module, float], optim.Optimizer],
    *,
    loss: Callable[[nn.Module, Batch], Tensor] = cross_entropy,
    examples: int = 20_000,
    batch_size: int = 64,
    budget: int = 500,
    shift: bool = False,
) -> Judged:
    """One of the image tasks; ``shift`` moves every training image by up to two pixels."""
    train, validation, test = data.images(dataset, examples)
    stream: Callable[[int, int], Any] = tensor_stream(*train, batch_size=batch_size)
    if shift:
        stream = partial(Shifted, stream)
    return Judged(
        name=name,
        model=model,
        loss=loss,
        stream=stream,
        evaluate=partial(mean_loss, loss, validation),
        test=partial(mean_loss, loss, test),
        optimizer=optimizer,
        budget=budget,
        device=data.DEVICE,
    )


@dataclass(frozen=True)
class Shifted:
    """An epoch whose images are moved, by a generator of the epoch's own."""

    stream: Callable[[int, int], Any]
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.stream(self.seed, self.epoch))

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        for x, y in self.stream(self.seed, self.epoch):
            down, right = torch.randint(0, 5, (2,), generator=generator).tolist()
            yield functional.pad(x, (2, 2, 2, 2))[:, :, down : down + 28, right : right + 28], y


@dataclass(frozen=True)
class Windows:
    """An epoch of character windows: random places, by a generator of the epoch's own."""

    codes: Tensor
    context: int
    batch_size: int
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.codes) // (self.context * self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        last = len(self.codes) - self.context - 1
        for _ in range(len(self)):
            places = torch.randint(0, last, (self.batch_size,), generator=generator)
            yield windows(self.codes, places.to(self.codes.device), self.context)


def windows(codes: Tensor, places: Tensor, context: int) -> tuple[Tensor, Tensor]:
    """Characters after each place, and those one further: inputs and targets (n, context)."""
    rows = places[:, None] + torch.arange(context + 1, device=codes.device)
    found = codes[rows]
    return found[:, :-1], found[:, 1:]


def shakespeare(
    name: str,
    optimizer: Callable[[nn.Module, float], optim.Optimizer],
    *,
    width: int = 64,
    context: int = 32,
    batch_size: int = 16,
    budget: int = 500,
) -> Judged:
    """Next characters of Tiny Shakespeare by a two-block transformer."""
    train, validation, test, vocabulary = data.characters()

    def spread(codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
        places = torch.linspace(0, len(codes) - context - 1, count).long()
        return windows(codes, places.to(codes.device), context)

    return Judged(
        name=name,
        model=partial(models.Transformer, vocabulary, width, context=context),
        loss=next_character,
        stream=partial(Windows, train, context, batch_size),
        evaluate=partial(mean_loss, next_character, spread(validation, 500)),
        test=partial(mean_loss, next_character, spread(test, 2_000)),
        optimizer=optimizer,
        budget=budget,
        device=data.DEVICE,
    )
