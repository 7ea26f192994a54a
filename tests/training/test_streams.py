"""Tensor streams: every row once, an order of their own, no trace in global generators."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

from lrsearch.exceptions import TaskError
from lrsearch.training import rng_state, set_rng_state, tensor_stream


def order(seed: int, epoch: int, rows: int = 64) -> list[int]:
    stream = tensor_stream(torch.arange(rows), batch_size=8)
    return [int(row) for (batch,) in stream(seed, epoch) for row in batch]


@pytest.mark.parametrize(
    ("rows", "size", "drop_last", "sizes"),
    [
        (10, 4, True, [4, 4]),
        (10, 4, False, [4, 4, 2]),
        (8, 4, True, [4, 4]),
        (8, 4, False, [4, 4]),
        (3, 4, False, [3]),
        (1, 1, True, [1]),
    ],
)
def test_an_epoch_has_every_row_at_most_once_and_rows_stay_together(
    rows: int, size: int, drop_last: bool, sizes: list[int]
) -> None:
    inputs, labels = torch.arange(rows * 2.0).reshape(rows, 2), torch.arange(rows)
    epoch = tensor_stream(inputs, labels, batch_size=size, drop_last=drop_last)(0, 0)
    batches = list(epoch)
    assert [len(labels) for _, labels in batches] == sizes
    assert len(epoch) == len(sizes)
    seen = torch.cat([labels for _, labels in batches])
    assert len(set(seen.tolist())) == sum(sizes)
    for some_inputs, some_labels in batches:
        assert torch.equal(some_inputs, inputs[some_labels])


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    assert order(3, 5) == order(3, 5)
    orders = [tuple(order(seed, epoch)) for seed in range(12) for epoch in range(12)]
    orders += [tuple(order(seed, epoch)) for seed, epoch in [(2**32, 0), (0, 2**32), (1, 23)]]
    assert len(set(orders)) == len(orders)


def test_seeds_that_differ_only_in_high_bits_differ_in_order() -> None:
    """Torch's CPU generator alone would not tell them apart."""
    assert order(1, 0) != order(1 + 2**32, 0)


def test_an_epoch_can_be_iterated_again() -> None:
    epoch = tensor_stream(torch.arange(9), batch_size=2)(1, 2)
    first = [batch.tolist() for (batch,) in epoch]
    assert [batch.tolist() for (batch,) in epoch] == first


def test_rows_are_shuffled_without_a_favourite_place() -> None:
    """Mean place of the first row over 400 epochs: 31.5 with a standard error of 0.92."""
    places = [order(0, epoch).index(0) for epoch in range(400)]
    assert abs(sum(places) / len(places) - 31.5) < 4


def test_global_generators_are_neither_read_nor_changed() -> None:
    before = rng_state()
    expected = order(2, 3)
    after = rng_state()
    assert torch.equal(before["torch"], after["torch"])
    assert torch.equal(before["numpy"]["key"], after["numpy"]["key"])
    assert before["numpy"]["position"] == after["numpy"]["position"]
    assert torch.equal(before["python"]["words"], after["python"]["words"])
    torch.manual_seed(12345)
    assert order(2, 3) == expected
    set_rng_state(before)


def test_a_stream_survives_pickling() -> None:
    stream = tensor_stream(torch.arange(6), batch_size=3)
    copied = pickle.loads(pickle.dumps(stream))
    assert [batch.tolist() for (batch,) in copied(1, 1)] == [
        batch.tolist() for (batch,) in stream(1, 1)
    ]


@pytest.mark.parametrize(
    ("tensors", "arguments", "message"),
    [
        ([], {"batch_size": 1}, r"one or more tensors .* got shapes \[\]"),
        ([torch.tensor(1.0)], {"batch_size": 1}, r"got shapes \[\(\)\]"),
        ([torch.zeros(3), torch.zeros(4)], {"batch_size": 1}, r"same number of rows.*\[3, 4\]"),
        ([torch.zeros(0, 2)], {"batch_size": 1}, "at least one row"),
        ([torch.zeros(3)], {"batch_size": 0}, "at least 1, got 0"),
        ([torch.zeros(3)], {"batch_size": 2.0}, r"at least 1, got 2\.0"),
        ([torch.zeros(3)], {"batch_size": True}, "got True"),
        ([torch.zeros(3)], {"batch_size": 4}, "batch_size 4 exceeds the 3 rows.*drop_last=False"),
    ],
)
def test_arguments_are_checked(
    tensors: list[torch.Tensor], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(TaskError, match=message):
        tensor_stream(*tensors, **arguments)
