"""Data-parallel runs: the bare module, and means over its ranks.

Double backward through a DDP wrapper gives every rank its own value without a word, and no forward
derivative passes it; so everything is measured on the bare module and averaged explicitly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lrsearch.exceptions import MeasurementError

T = TypeVar("T")


def bare(model: nn.Module) -> nn.Module:
    """The module inside a DDP wrapper (compiled or not), or the model itself."""
    found = _wrapper(model)
    inner: nn.Module = model if found is None else found.module
    return inner


def _wrapper(model: nn.Module) -> DistributedDataParallel | None:
    inner = getattr(model, "_orig_mod", model)  # torch.compile around DDP
    return inner if isinstance(inner, DistributedDataParallel) else None


@dataclass(frozen=True)
class Ranks:
    """The processes that train one model together; one alone costs nothing."""

    group: Any = None
    count: int = 1
    rank: int = 0

    @classmethod
    def of(cls, model: nn.Module) -> Self:
        """The ranks of a DDP wrapper; a single one for any other model."""
        wrapper = _wrapper(model)
        if wrapper is None:
            return cls()
        group = wrapper.process_group
        return cls(group, dist.get_world_size(group), dist.get_rank(group))

    @classmethod
    def within(cls, group: Any = None) -> Self:
        """The ranks of a process group, of the default one unless told; a single one without any.

        For a host that has no model at hand, or whose model is averaged by other means than DDP.
        """
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(group, dist.get_world_size(group), dist.get_rank(group))

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the ranks, the same bits on each; every rank must call it."""
        if self.count == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total, group=self.group)
        return total / self.count

    def agree(self, local: Callable[[], T]) -> T:
        """What ``local`` returns here; what fails on one rank fails on all.

        Raises:
            MeasurementError: If some ranks failed; this rank's own error if all did.
        """
        if self.count == 1:
            return local()
        value, error = None, None
        try:
            value = local()
        except Exception as caught:  # it is raised below, when all ranks know of it
            error = caught
        failed = self._share(error is not None)
        if error is not None and failed == 1.0:
            raise error
        if failed:
            raise MeasurementError(
                "the measurement failed on some ranks: give each rank a batch of the same kind"
            ) from error
        return cast(T, value)

    def together(self, local: Callable[[], Tensor]) -> Tensor:
        """Mean over the ranks of what each computes; fails on all where it fails on one."""
        return self.mean(self.agree(local))

    def first(self, value: Any) -> Any:
        """What the first rank holds, on every rank; any object that can be pickled."""
        if self.count == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=self._source(), group=self.group)
        return held[0]

    def decided_by_first(self, decide: Callable[[], T]) -> T:
        """What ``decide`` returns on the first rank, on every rank; if it raises there, all do.

        Raises:
            MeasurementError: On the others, if it raised on the first.
        """
        if self.count == 1:
            return decide()
        answer, error = None, None
        if self.rank == 0:
            try:
                answer = decide()
            except BaseException as caught:  # also an interrupt: the others must not wait
                error = caught
        answer, failed = self.first((answer, None if error is None else repr(error)))
        if error is not None:
            raise error
        if failed:
            raise MeasurementError(f"the first rank's host failed: {failed}")
        return cast(T, answer)

    def gather(self, value: Any) -> list[Any]:
        """What each rank holds, by rank, on every rank; any object that can be pickled."""
        if self.count == 1:
            return [value]
        held: list[Any] = [None] * self.count
        dist.all_gather_object(held, value, group=self.group)
        return held

    def number(self, local: Callable[[], float]) -> float:
        """Mean over the ranks of a number that each computes; fails on all where it fails on one.

        Raises:
            MeasurementError: As `agree`.
        """
        return cast(float, self.mean_of(self.agree(local)))

    def mean_of(self, value: float | None) -> float | None:
        """Mean of a number over the ranks that have one."""
        if self.count == 1:
            return value
        known = value is not None
        both = torch.tensor([value if known else 0.0, float(known)], dtype=torch.float64)
        total, count = self.mean(both.to(self._device())).tolist()
        return total / count if count else None

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        return flag if self.count == 1 else self._share(flag) > 0

    def _share(self, flag: bool) -> float:
        return float(self.mean(torch.tensor(float(flag), device=self._device())))

    def _device(self) -> str:
        return "cuda" if dist.get_backend(self.group) == "nccl" else "cpu"

    def _source(self) -> int:
        return 0 if self.group is None else dist.get_global_rank(self.group, 0)
