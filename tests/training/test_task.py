"""What a task must be, and where its endless batches stand after any number of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lrsearch.exceptions import TaskError
from lrsearch.training import Task, batches, rng_state, set_rng_state, tensor_stream

Stream = Callable[[int, int], Any]


def make_task(stream: Stream) -> Task:
    return Task(
        name="line",
        model=lambda: nn.Linear(1, 1),
        loss=lambda model, batch: model(batch).square().mean(),
        stream=stream,
        evaluate=lambda model: 0.0,
        optimizer=lambda model, lr: torch.optim.SGD(model.parameters(), lr=lr),
    )


def uneven_generator(seed: int, epoch: int) -> Iterator[tuple[int, int, int]]:
    """Epochs of 1, 2, 3, 1, ... batches, without a length."""
    for index in range(1 + epoch % 3):
        yield seed, epoch, index


def uneven_list(seed: int, epoch: int) -> list[tuple[int, int, int]]:
    return list(uneven_generator(seed, epoch))


def mixed(seed: int, epoch: int) -> Any:
    """Every second epoch knows its length."""
    return (uneven_list if epoch % 2 else uneven_generator)(seed, epoch)


@pytest.mark.parametrize("stream", [uneven_generator, uneven_list, mixed])
@pytest.mark.parametrize("start", range(14))
def test_a_resumed_stream_stands_where_the_uninterrupted_one_would(
    stream: Stream, start: int
) -> None:
    task = make_task(stream)
    expected = list(islice(batches(task, 7), 30))[start:]
    assert list(islice(batches(task, 7, start), 30 - start)) == expected


def test_epochs_follow_each_other() -> None:
    assert list(islice(batches(make_task(uneven_generator), 4), 5)) == [
        (4, 0, 0),
        (4, 1, 0),
        (4, 1, 1),
        (4, 2, 0),
        (4, 2, 1),
    ]


def test_epochs_with_a_length_are_skipped_unread() -> None:
    read: list[int] = []

    class Epoch:
        def __init__(self, epoch: int) -> None:
            self.epoch = epoch

        def __len__(self) -> int:
            return 10

        def __iter__(self) -> Iterator[int]:
            read.append(self.epoch)
            return iter(range(10))

    stream = batches(make_task(lambda seed, epoch: Epoch(epoch)), 0, 1_000_003)
    assert next(stream) == 3
    assert read == [100_000]


def test_restoring_the_generators_after_the_skip_hides_what_the_stream_drew() -> None:
    """A DataLoader takes a number from the global generator whenever an epoch begins."""
    data = TensorDataset(torch.arange(12.0))

    def stream(seed: int, epoch: int) -> DataLoader[Any]:
        return DataLoader(data, batch_size=3)

    def draws(running: Iterator[Any], steps: int) -> list[float]:
        return [next(running)[0].sum().item() + torch.rand(()).item() for _ in range(steps)]

    task = make_task(stream)
    for cut in (1, 3, 4, 5, 8):
        torch.manual_seed(0)
        whole = batches(task, 0)
        draws(whole, cut)
        state = rng_state()
        expected = draws(whole, 9)
        torch.manual_seed(99)
        resumed = batches(task, 0, cut)
        set_rng_state(state)
        assert draws(resumed, 9) == expected


def test_an_empty_epoch_ends_with_an_error() -> None:
    with pytest.raises(TaskError, match=r"stream\(3, 0\) is empty.*fresh epoch"):
        next(batches(make_task(lambda seed, epoch: []), 3))


@pytest.mark.parametrize("start", [0, 2, 5])
def test_a_generator_that_is_shared_between_epochs_is_reported(start: int) -> None:
    once = iter(range(2))
    with pytest.raises(TaskError, match="is empty"):
        list(islice(batches(make_task(lambda seed, epoch: once), 0, start), 10))


def test_a_length_that_does_not_hold_is_reported() -> None:
    class Epoch(list[int]):
        def __len__(self) -> int:
            return 5

    with pytest.raises(TaskError, match=r"has length 5 but gave 2 batches.*__len__"):
        list(islice(batches(make_task(lambda seed, epoch: Epoch([1, 2])), 0), 3))


def test_a_stream_that_cannot_be_iterated_is_reported() -> None:
    with pytest.raises(TaskError, match=r"stream\(0, 0\) must give .* got None"):
        next(batches(make_task(lambda seed, epoch: None), 0))


def test_a_negative_start_is_refused_at_once() -> None:
    with pytest.raises(TaskError, match="got -1"):
        batches(make_task(uneven_list), 0, -1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name must be a non-empty string, got ''"),
        ({"name": None}, "name must be a non-empty string, got None"),
        ({"metric": " "}, "metric must be a non-empty string"),
        ({"model": nn.Linear}, None),
        ({"model": 3}, r"task 'line': model must be a function, called as model\(\), got 3"),
        ({"loss": None}, r"called as loss\(model, batch\)"),
        ({"stream": [1]}, r"called as stream\(seed, epoch\), got \[1\]"),
        ({"evaluate": 0.0}, r"called as evaluate\(model\)"),
        ({"optimizer": "sgd"}, r"called as optimizer\(model, learning_rate\), got 'sgd'"),
        ({"direction": "min"}, "must be 'minimize' or 'maximize', got 'min'"),
        ({"direction": "maximize"}, None),
        ({"budget": 0}, "budget must be a whole number .* got 0"),
        ({"budget": 10.0}, r"got 10\.0"),
        ({"budget": True}, "got True"),
        ({"device": "gpu"}, "'cpu' or 'cuda:0', got 'gpu'"),
        ({"device": 0}, "'cpu' or 'cuda:0', got 0"),
        ({"device": "cuda:1"}, None),
    ],
)
def test_fields_are_checked(change: dict[str, Any], message: str | None) -> None:
    task = make_task(tensor_stream(torch.zeros(4, 1), batch_size=2))
    if message is None:
        replace(task, **change)
    else:
        with pytest.raises(TaskError, match=message):
            replace(task, **change)
