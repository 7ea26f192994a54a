"""The gradient in the optimizer's own metric, ``d = P^-1 g``, and its stability constant.

``P`` is read from the optimizer's state after a step:

- SGD, with or without momentum: ``P = I``
- Adam family: ``P = sqrt(v / (1 - b2^t)) + eps``
- RMSprop: ``P = sqrt(v) + eps`` (variance where centered); Adagrad: ``P = sqrt(sum) + eps``

A parameter whose gradient has been zero so far (a dead unit) has ``P = eps`` but also ``g = 0``, so
it adds nothing to ``d``; one that comes back to life is bounded, since ``v`` already contains its
gradient: ``|g| / sqrt(v_hat) <= 1 / sqrt(1 - b2)``. Groups keep their learning-rate ratios inside
``d``, so that one learning rate, the first group's, stands for the step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from lrsearch.stability import small_batch_threshold

ADAM_FAMILY = (Adam, AdamW, NAdam, RAdam)


def trained(optimizer: Optimizer) -> list[Tensor]:
    """Parameters that have a dense gradient at the moment, in the optimizer's order."""
    return [p for group in optimizer.param_groups for p in group["params"] if _dense(p)]


def learning_rate(optimizer: Optimizer) -> float:
    """Current learning rate of the first parameter group."""
    return float(optimizer.param_groups[0]["lr"])


@torch.no_grad()
def direction(optimizer: Optimizer) -> list[Tensor]:
    """``d = P^-1 g`` for `trained` parameters, new tensors; cost: one pass over the parameters."""
    first = learning_rate(optimizer)
    found = []
    for group in optimizer.param_groups:
        ratio = float(group["lr"]) / first if first > 0 else 1.0
        for p in group["params"]:
            if _dense(p):
                assert p.grad is not None
                scale = _preconditioner(optimizer, group, optimizer.state.get(p, {}))
                d = p.grad.detach() * ratio
                found.append(d if scale is None else d / scale)
    return found


def threshold(optimizer: Optimizer) -> float | None:
    """Constant c of ``learning_rate * S < c`` for noisy gradients; ``None`` where not known."""
    group = optimizer.param_groups[0]
    momentum = float(group["betas"][0] if "betas" in group else group.get("momentum", 0.0))
    if group.get("maximize") or not 0.0 <= momentum < 1.0:
        return None
    if isinstance(optimizer, SGD):
        dampening = float(group["dampening"]) if momentum else 0.0  # torch ignores it then
        return small_batch_threshold(momentum) / (1.0 - dampening) if dampening < 1.0 else None
    if isinstance(optimizer, ADAM_FAMILY):
        return small_batch_threshold(momentum, averaged=True)
    if isinstance(optimizer, RMSprop):
        return small_batch_threshold(momentum)
    if isinstance(optimizer, Adagrad):
        return small_batch_threshold()
    return None


# Rates that tutorials and model zoos start from; where the calibration begins to look.
_USUAL = {Adam: 1e-3, AdamW: 1e-3, NAdam: 2e-3, RAdam: 1e-3, RMSprop: 1e-3, Adagrad: 1e-2}


def usual_rate(optimizer: Optimizer) -> float | None:
    """The usual learning rate for this kind of optimizer; ``None`` where there is none."""
    if isinstance(optimizer, SGD):
        return 0.1 if optimizer.param_groups[0]["momentum"] < 0.5 else 0.02
    for kind in type(optimizer).__mro__:
        if kind in _USUAL:
            return _USUAL[kind]
    return None


def _dense(p: Tensor) -> bool:
    return p.grad is not None and not p.grad.is_sparse


def _preconditioner(
    optimizer: Optimizer, group: Mapping[str, Any], state: Mapping[str, Any]
) -> Tensor | None:
    if isinstance(optimizer, ADAM_FAMILY) and "exp_avg_sq" in state:
        second = state["max_exp_avg_sq"] if group.get("amsgrad") else state["exp_avg_sq"]
        correction = 1.0 - group["betas"][1] ** float(state["step"])
        return second.sqrt() / math.sqrt(correction) + group["eps"]  # type: ignore[no-any-return]
    if isinstance(optimizer, RMSprop) and "square_avg" in state:
        second = state["square_avg"]
        if group["centered"]:
            second = (second - state["grad_avg"] ** 2).clamp_min(0.0)
        return second.sqrt() + group["eps"]  # type: ignore[no-any-return]
    if isinstance(optimizer, Adagrad) and "sum" in state:
        return state["sum"].sqrt() + group["eps"]  # type: ignore[no-any-return]
    return None
