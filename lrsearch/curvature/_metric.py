"""The gradient in the optimizer's own metric, ``d = P^-1 g``, and its stability constants.

``P`` is the preconditioner of `Rule`. A parameter whose gradient has been zero so far (a dead
unit) has ``P = eps`` but also ``g = 0``, so it adds nothing to ``d``; one that comes back to life
is bounded, since ``v`` already contains its gradient: ``|g| / sqrt(v_hat) <= 1 / sqrt(1 - b2)``.
Groups keep their learning-rate ratios inside ``d``, so that one learning rate, the first group's,
stands for the step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrsearch.curvature._optimizers import rule_of
from lrsearch.stability import full_batch_threshold, small_batch_threshold

FLOOR = 1e-4
"""Smallest ``P`` that `inverse_root` believes, in units of its tensor's root mean square: under it
a gradient is what rounding leaves, and ``1 / P`` would turn that into curvature."""


def trained(optimizer: Optimizer) -> list[Tensor]:
    """Parameters that have a dense gradient at the moment, in the optimizer's order."""
    return [p for group in optimizer.param_groups for p in group["params"] if _dense(p)]


def learning_rate(optimizer: Optimizer) -> float:
    """Current learning rate of the first parameter group."""
    return float(optimizer.param_groups[0]["lr"])


@torch.no_grad()
def direction(optimizer: Optimizer) -> list[Tensor]:
    """``d = P^-1 g`` for `trained` parameters, new tensors; cost: one pass over the parameters."""
    found = []
    for p, ratio, scale, _ in _scales(optimizer):
        if _dense(p):
            assert p.grad is not None
            d = p.grad.detach() * ratio
            found.append(d if scale is None else d / scale)
    return found


@torch.no_grad()
def inverse_root(
    optimizer: Optimizer, params: Sequence[Tensor], *, full_batch: bool = True
) -> list[Tensor] | None:
    """``P^-1/2`` for each parameter, ``None`` where all are the identity.

    For ``full_batch``, ``P`` has the factor ``1 - b^t`` that bias correction puts on early steps
    (Cohen et al. 2022, 2207.14484), so that ``lr * lambda_max(P^-1/2 H P^-1/2)`` compares with
    `threshold` at full batch; else it is that of `direction`, for its small-batch threshold.

    Coordinates whose state is all zero (dead units: every gradient so far was zero, so the
    optimizer does not move them) are taken out, their ``P^-1/2`` is 0; for others ``P`` is at least
    `FLOOR` of their tensor's root mean square.
    """
    found: dict[Tensor, Tensor | None] = {}
    for p, ratio, scale, early in _scales(optimizer):
        correction = early if full_batch else 1.0
        if scale is not None:
            scale = scale.to(torch.promote_types(scale.dtype, torch.float32))
            least = FLOOR * scale.square().mean().sqrt()
            root = (ratio / (scale.maximum(least) * correction)).sqrt()
            found[p] = root.masked_fill(_dead(optimizer, p), 0.0)
        else:
            found[p] = (
                None if ratio == correction else torch.full_like(p, ratio / correction).sqrt()
            )
    if all(found.get(p) is None for p in params):
        return None
    roots = []
    for p in params:
        root_or_none = found.get(p)
        roots.append(torch.ones_like(p) if root_or_none is None else root_or_none)
    return roots


def threshold(optimizer: Optimizer, *, full_batch: bool = False) -> float | None:
    """Constant c of ``learning_rate * S < c``; ``None`` where not known.

    Args:
        optimizer: Whose momentum and kind count.
        full_batch: For exact gradients and `inverse_root`'s metric; else for noisy gradients and
            `direction`'s.
    """
    group, rule = optimizer.param_groups[0], rule_of(optimizer)
    if rule is None or group.get("maximize"):
        return None
    momentum, dampening = rule.momentum(group), rule.dampening(group)
    if not 0.0 <= momentum < 1.0 or dampening >= 1.0:
        return None
    if full_batch:
        share = None
        if rule.share is not None:
            states = (optimizer.state.get(p) for p in group["params"])  # frozen ones have none
            share = rule.share(group, next(filter(None, states), {}))
        nesterov = rule.nesterov(group)
        constant = full_batch_threshold(
            momentum, nesterov=nesterov, averaged=rule.averaged, share=share
        )
        return constant / (1.0 - dampening)
    return small_batch_threshold(momentum, averaged=rule.averaged) / (1.0 - dampening)


def momentum(optimizer: Optimizer) -> float:
    """The momentum of the first group, 0 where the kind of optimizer is not known."""
    rule = rule_of(optimizer)
    return 0.0 if rule is None else rule.momentum(optimizer.param_groups[0])


def usual_rate(optimizer: Optimizer) -> float | None:
    """The usual learning rate for this kind of optimizer; ``None`` where there is none."""
    rule = rule_of(optimizer)
    return None if rule is None else rule.usual(optimizer.param_groups[0])


def _dense(p: Tensor) -> bool:
    return p.grad is not None and not p.grad.is_sparse


def _dead(optimizer: Optimizer, p: Tensor) -> Tensor:
    """Where all state of a parameter is zero: nowhere, if it holds none of the same shape."""
    values = [
        value
        for name, value in optimizer.state.get(p, {}).items()
        if isinstance(value, Tensor) and value.shape == p.shape and name != "step"
    ]
    if not values:
        return torch.zeros_like(p, dtype=torch.bool)
    return torch.stack([value == 0 for value in values]).all(0)


def _scales(optimizer: Optimizer) -> Iterator[tuple[Tensor, float, Tensor | None, float]]:
    """Each parameter with its rate's ratio to the first group's, its ``P``, its correction."""
    first, rule = learning_rate(optimizer), rule_of(optimizer)
    for group in optimizer.param_groups:
        ratio = float(group["lr"]) / first if first > 0 else 1.0
        for p in group["params"]:
            state = optimizer.state.get(p, {})
            if rule is None:
                yield p, ratio, None, 1.0
            else:
                yield p, ratio, rule.scale(group, state), rule.correction(group, state)
