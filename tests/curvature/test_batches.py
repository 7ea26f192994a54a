"""Batches for a calibration: enough of them, and no generator moves."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lrsearch.curvature import hold
from lrsearch.exceptions import CalibrationError


@pytest.mark.parametrize(
    ("available", "steps", "trained", "judged"),
    [
        (1, 50, 1, 1),
        (3, 50, 3, 3),  # fewer than four serve both
        (4, 50, 3, 1),
        (16, 50, 12, 4),
        (40, 50, 32, 8),
        (500, 50, 50, 8),
        (500, 400, 128, 8),  # memory is bounded
    ],
)
def test_splits_what_there_is(available: int, steps: int, trained: int, judged: int) -> None:
    batches, fresh = hold(list(range(available)), steps)
    assert (len(batches), len(fresh)) == (trained, judged)
    assert batches[0] == 0
    if available >= 4:
        assert not set(batches) & set(fresh)
    else:
        assert batches == fresh


def test_reads_no_further_than_it_needs() -> None:
    read: list[int] = []

    class Loader:
        def __iter__(self) -> Any:
            for index in range(10_000):
                read.append(index)
                yield index

    hold(Loader(), 20)
    assert len(read) <= 20 + 8 + 1


@pytest.mark.parametrize("loader", [iter([1, 2]), (x for x in range(9)), map(str, [1, 2])])
def test_an_iterator_is_refused_before_it_is_used_up(loader: Any) -> None:
    with pytest.raises(CalibrationError, match=r"iterator.*pass what it was made from"):
        hold(loader, 10)
    assert next(loader) is not None


def test_an_empty_loader_is_refused() -> None:
    with pytest.raises(CalibrationError, match="no batch"):
        hold([], 10)


class Augmented(Dataset[Tensor]):
    """Draws from every global generator, as data augmentation does."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Tensor:
        return torch.rand(2) + random.random() + np.random.rand()


@pytest.mark.parametrize("own", [False, True])
def test_a_shuffling_loader_leaves_no_trace(own: bool) -> None:
    generator = torch.Generator().manual_seed(1) if own else None
    torch.manual_seed(2)
    loader = DataLoader(Augmented(), batch_size=4, shuffle=True, generator=generator)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    state = None if generator is None else generator.get_state()
    first, _ = hold(loader, 5)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert random.getstate() == states[2]
    if generator is not None:
        assert torch.equal(generator.get_state(), state)
    assert torch.equal(next(iter(loader)), first[0])  # the run sees what it would have seen


def test_a_generator_of_the_sampler_alone_is_put_back_too() -> None:
    from torch.utils.data import BatchSampler, RandomSampler

    data = TensorDataset(torch.arange(64.0))
    for batched in (False, True):
        generator = torch.Generator().manual_seed(1)
        state = generator.get_state()
        sampler = RandomSampler(data, generator=generator)
        loader: Any = (
            DataLoader(data, batch_sampler=BatchSampler(sampler, 4, False))
            if batched
            else DataLoader(data, batch_size=4, sampler=sampler)
        )
        hold(loader, 5)
        assert torch.equal(generator.get_state(), state)
