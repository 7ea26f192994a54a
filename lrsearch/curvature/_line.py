"""Losses along a line through the current parameters, ``L(w + a u)``, at no trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lrsearch.curvature._generators import undrawn
from lrsearch.curvature._guard import copy_, quiet, restored
from lrsearch.curvature._objective import Objective
from lrsearch.curvature._vector import flatten, working_dtype
from lrsearch.exceptions import MeasurementError


def fitting(params: Sequence[Tensor], direction: Sequence[Tensor]) -> Tensor:
    """The direction as a vector (n,)."""
    shapes = [tuple(p.shape) for p in params]
    given = [tuple(d.shape) for d in direction]
    if shapes != given:
        raise MeasurementError(
            f"the direction has shapes {given}, the trainable parameters {shapes}: pass one tensor "
            "for each, in their order"
        )
    u = flatten(list(direction)).to(params[0].device, working_dtype(params))
    length = float(u.norm())
    if not (math.isfinite(length) and length > 0):
        raise MeasurementError(f"the direction has length {length}: pass one that is finite, not 0")
    return u


@contextmanager
def moving(objective: Objective) -> Iterator[Callable[[Tensor, float], float]]:
    """Context that yields ``(u, a) -> L(w + a u)``; the weights are put back at its end."""
    params = [p.data for p in objective.params]

    def one(batch: Any) -> Tensor:
        return objective.evaluate(batch).reshape(1)

    with quiet(objective.model), undrawn(), restored(params) as at:

        def loss_at(u: Tensor, a: float) -> float:
            pieces = torch.split(u * a, [p.numel() for p in params])
            moved = [w + d.view(w.shape).to(w.dtype) for w, d in zip(at, pieces, strict=True)]
            copy_(params, moved)
            return float(objective.mean(one))

        yield loss_at
