"""The step without learning rate that SGD or Adam is about to make, and how noisy ones agree.

Symbols: ``g`` gradient (L2 decay included), ``t`` the step's number from 1, conventions of torch:

- SGD:   ``s = g``; with momentum ``v = b v + (1 - d) g``, ``s = v``, or ``g + b v`` (Nesterov)
- Adam:  ``s = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)``, the largest ``v`` under amsgrad;
  AdamW's decoupled decay is no part of it

The step made is ``-eta s``. It is computed before the step, from state that stays untouched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from lrsearch.exceptions import UnsupportedError
from lrsearch.tuners._references import nesterov_share

Options = Mapping[str, Any]  # of a parameter group


def require_known(optimizer: Optimizer) -> None:
    """Refuse an optimizer whose step is not known here.

    Raises:
        UnsupportedError: If it is not SGD, Adam or AdamW.
    """
    if not isinstance(optimizer, SGD | Adam | AdamW):
        raise UnsupportedError(
            f"the path of {type(optimizer).__name__}'s steps has no reference here: use "
            "torch.optim.SGD, Adam or AdamW."
        )


def memory_of(optimizer: Optimizer, group: Options) -> tuple[float, float]:
    """Momentum ``b`` and share: steps of independent gradients correlate as ``share * b^k``."""
    if isinstance(optimizer, SGD):
        b = float(group["momentum"])
        return b, nesterov_share(b) if group["nesterov"] else 1.0
    return float(group["betas"][0]), 1.0


def decoupled_decay(optimizer: Optimizer, group: Options) -> float:
    """Share of the weights that a step at learning rate 1 takes off beside ``s``."""
    decoupled = isinstance(optimizer, AdamW) or bool(group.get("decoupled_weight_decay"))
    return float(group["weight_decay"]) if decoupled else 0.0


@torch.no_grad()
def next_step(optimizer: Optimizer, group: Options, p: Tensor) -> Tensor:
    """``s`` of one parameter that has a gradient; its shape, in single precision at least.

    Cost: some passes over the parameter and two temporary copies; no gradient.
    """
    g = p.grad
    assert g is not None
    g = (g.to_dense() if g.is_sparse else g).to(torch.promote_types(g.dtype, torch.float32))
    g = -g if group["maximize"] else g
    decay = float(group["weight_decay"])
    if decay and not decoupled_decay(optimizer, group):
        g = g.add(p, alpha=decay)
    state = optimizer.state.get(p, {})
    return _sgd(group, state, g) if isinstance(optimizer, SGD) else _adam(group, state, g)


def _sgd(group: Options, state: Mapping[str, Any], g: Tensor) -> Tensor:
    b = float(group["momentum"])
    if b == 0.0:
        return g
    last = state.get("momentum_buffer")
    v = g if last is None else g * (1.0 - float(group["dampening"])) + b * last
    return g + b * v if group["nesterov"] else v


def _adam(group: Options, state: Mapping[str, Any], g: Tensor) -> Tensor:
    b1, b2 = (float(beta) for beta in group["betas"])
    t = float(state.get("step", 0.0)) + 1.0
    m, v = g * (1.0 - b1), g.square() * (1.0 - b2)
    if "exp_avg" in state:
        m, v = m + b1 * state["exp_avg"], v + b2 * state["exp_avg_sq"]
        if group["amsgrad"]:
            v = torch.maximum(v, state["max_exp_avg_sq"])
    scale = (v / (1.0 - b2**t)).sqrt_().add_(float(group["eps"]))
    return m.div_(1.0 - b1**t).div_(scale)
