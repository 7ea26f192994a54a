"""Learning rates of an optimizer's parameter groups: one number, and their ratios to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from lrsearch.exceptions import UnsupportedError

Group = dict[str, Any]


def paired(optimizer: Optimizer, ratios: Sequence[float]) -> list[tuple[Group, float]]:
    """Each group with its ratio.

    Raises:
        UnsupportedError: If groups were added or removed since the ratios were read.
    """
    if len(ratios) != len(optimizer.param_groups):
        raise UnsupportedError(
            f"the optimizer has {len(optimizer.param_groups)} parameter groups and had "
            f"{len(ratios)} when the tuner was built: build the tuner after all groups are added."
        )
    return list(zip(optimizer.param_groups, ratios, strict=True))


def set_rates(optimizer: Optimizer, rate: float, ratios: Sequence[float]) -> None:
    """Give the groups the rates ``rate * ratio``, in place where they are tensors."""
    for group, ratio in paired(optimizer, ratios):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate * ratio)
        else:
            group["lr"] = rate * ratio


def ratios_of(optimizer: Optimizer) -> list[float]:
    """Each group's learning rate over the first one's.

    Raises:
        UnsupportedError: If the first one is not positive.
    """
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    if not (rates[0] > 0 and all(math.isfinite(rate) and rate >= 0 for rate in rates)):
        raise UnsupportedError(
            f"a tuner keeps the ratios of the groups' learning rates to the first one's, and they "
            f"are {rates}: give the first group a positive one."
        )
    return [rate / rates[0] for rate in rates]
