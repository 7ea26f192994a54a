"""Shuffled batches of tensors held in memory, as a task's ``stream`` in one line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lrsearch.exceptions import TaskError


@dataclass(frozen=True, eq=False)
class TensorEpoch:
    """One epoch: every row at most once, in an order fixed by seed and epoch.

    Iterable again and again, with the same batches each time; ``len`` is their number.
    """

    tensors: tuple[Tensor, ...]
    batch_size: int
    drop_last: bool
    seed: int
    epoch: int

    def __len__(self) -> int:
        rows = len(self.tensors[0])
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        generator = torch.Generator().manual_seed(_mixed(self.seed, self.epoch))
        order = torch.randperm(len(self.tensors[0]), generator=generator)
        for batch in range(len(self)):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield tuple(tensor[rows.to(tensor.device)] for tensor in self.tensors)


@dataclass(frozen=True, eq=False)
class TensorStream:
    """``stream(seed, epoch)`` over tensors; see :func:`tensor_stream`."""

    tensors: tuple[Tensor, ...]
    batch_size: int
    drop_last: bool

    def __call__(self, seed: int, epoch: int) -> TensorEpoch:
        return TensorEpoch(self.tensors, self.batch_size, self.drop_last, seed, epoch)


def tensor_stream(*tensors: Tensor, batch_size: int, drop_last: bool = True) -> TensorStream:
    """A task's stream over tensors: ``Task(..., stream=tensor_stream(x, y, batch_size=32))``.

    A batch is a tuple with the same rows of every tensor, on the tensor's own device. The order
    comes from a generator of its own: no global random state is read or changed.

    Args:
        tensors: Data with one row per example (inputs, labels, ...).
        batch_size: Rows in a batch.
        drop_last: Leave out the last, smaller batch of an epoch. Batches of one size keep the
            noise of the gradient, and with it the edge of stability, the same in every step.

    Raises:
        TaskError: If there are no tensors or no rows, the tensors have different numbers of
            rows, or not even one batch can be filled.
    """
    if not tensors or any(tensor.dim() == 0 for tensor in tensors):
        raise TaskError(
            "tensor_stream needs one or more tensors with one row per example, got shapes "
            f"{[tuple(tensor.shape) for tensor in tensors]}."
        )
    rows = [len(tensor) for tensor in tensors]
    if len(set(rows)) > 1:
        raise TaskError(f"tensor_stream needs the same number of rows in every tensor, got {rows}.")
    if rows[0] == 0:
        raise TaskError("tensor_stream needs at least one row, got tensors without any.")
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise TaskError(f"batch_size must be a whole number, at least 1, got {batch_size!r}.")
    if drop_last and batch_size > rows[0]:
        raise TaskError(
            f"batch_size {batch_size} exceeds the {rows[0]} rows, so that no batch is full: use "
            f"at most {rows[0]}, or drop_last=False."
        )
    return TensorStream(tensors, batch_size, drop_last)


def _mixed(seed: int, epoch: int) -> int:
    """A generator seed without pattern in either number.

    Torch's CPU generator uses 32 bits of its seed, so that sums such as ``seed + epoch`` would
    give seed 1 the second epoch of seed 0.
    """
    digest = hashlib.blake2b(f"{seed}:{epoch}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
