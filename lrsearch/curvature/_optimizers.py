"""What lrsearch knows of each kind of optimizer: its preconditioner and its momentum.

An optimizer steps along ``P^-1`` times some momentum of the gradient. ``P`` is read from its state
after a step (``t`` steps done, ``v`` the second moment):

- SGD, with or without momentum: ``P = I``
- Adam, AdamW, NAdam: ``P = sqrt(v / (1 - b2^t)) + eps`` (the largest ``v`` under amsgrad); RAdam
  divides it by its rectification ``r_t``, and has ``P = I`` in the first steps, as its steps do
- RMSprop: ``P = sqrt(v) + eps`` (variance where centered); Adagrad: ``P = sqrt(sum) + eps``,
  times ``1 + (t - 1) lr_decay``

Kingma & Ba 2015 (1412.6980), Dozat 2016, Liu et al. 2020 (1908.03265); conventions are torch's.
Others: `register_optimizer`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from lrsearch.exceptions import UnsupportedError

Options = Mapping[str, Any]  # of a parameter group
State = Mapping[str, Any]  # of a parameter


def _zero(_: Options) -> float:
    return 0.0


def _one(_: Options, __: State) -> float:
    return 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one kind of optimizer makes a step from gradients.

    Attributes:
        scale: ``P`` of one parameter from its group and state, or ``None`` for the identity.
        momentum: ``b`` from the group.
        dampening: ``d`` of ``v = b v + (1 - d) g`` from the group.
        nesterov: Whether the step looks ahead, from the group.
        averaged: Whether the buffer is an average, ``m = b m + (1 - b) g``.
        share: s of a step along ``(1 - s) g + s m`` from group and state, where s is not 1.
        correction: What early averages are divided by in the step (``1 - b^t``), from group, state.
        usual: Learning rate that tutorials start from, from the group.
    """

    scale: Callable[[Options, State], Tensor | None] = lambda group, state: None
    momentum: Callable[[Options], float] = _zero
    dampening: Callable[[Options], float] = _zero
    nesterov: Callable[[Options], bool] = lambda group: False
    averaged: bool = False
    share: Callable[[Options, State], float] | None = None
    correction: Callable[[Options, State], float] = _one
    usual: Callable[[Options], float] = lambda group: 1e-3


def rule_of(optimizer: Optimizer) -> Rule | None:
    """The rule of an optimizer's nearest known class; ``None`` where none is known."""
    return next((_RULES[kind] for kind in type(optimizer).__mro__ if kind in _RULES), None)


def register_optimizer(kind: type[Optimizer], rule: Rule) -> None:
    """Say how an optimizer of your own steps, so that its metric and threshold are known.

    Raises:
        UnsupportedError: If it is no optimizer class or no rule.
    """
    if not (isinstance(kind, type) and issubclass(kind, Optimizer) and isinstance(rule, Rule)):
        raise UnsupportedError(
            f"register_optimizer takes an optimizer class and a Rule, got {kind!r} and {rule!r}."
        )
    _RULES[kind] = rule


def _adam_scale(group: Options, state: State) -> Tensor | None:
    if "exp_avg_sq" not in state:
        return None
    second = state["max_exp_avg_sq"] if group.get("amsgrad") else state["exp_avg_sq"]
    root = math.sqrt(1.0 - group["betas"][1] ** float(state["step"]))
    scale: Tensor = second.sqrt() / root + group["eps"]
    return scale


def _radam_scale(group: Options, state: State) -> Tensor | None:
    if "exp_avg_sq" not in state:
        return None
    beta, step = group["betas"][1], float(state["step"])
    longest = 2.0 / (1.0 - beta) - 1.0
    length = longest - 2.0 * step * beta**step / (1.0 - beta**step)
    if length <= 5.0:
        return None
    rectified = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    root = math.sqrt(1.0 - beta**step)
    scale: Tensor = (state["exp_avg_sq"].sqrt() + group["eps"]) / (root * math.sqrt(rectified))
    return scale


def _rmsprop_scale(group: Options, state: State) -> Tensor | None:
    if "square_avg" not in state:
        return None
    second: Tensor = state["square_avg"]
    if group["centered"]:
        second = (second - state["grad_avg"] ** 2).clamp_min(0.0)
    scale: Tensor = second.sqrt() + group["eps"]
    return scale


def _adagrad_scale(group: Options, state: State) -> Tensor | None:
    if float(state.get("step", 0.0)) == 0.0:  # torch makes the state before the first step
        return None
    slower = 1.0 + (float(state["step"]) - 1.0) * group["lr_decay"]
    scale: Tensor = (state["sum"].sqrt() + group["eps"]) * slower
    return scale


def _adam_correction(group: Options, state: State) -> float:
    passed: float = float(group["betas"][0]) ** float(state.get("step", math.inf))
    return 1.0 - passed


def _nadam_share(group: Options, state: State) -> float:
    """``mu_t``, which grows from a half of b to b over some ten thousand steps."""
    step = float(state.get("step", 0.0)) + 1.0
    share: float = float(group["betas"][0]) * (1.0 - 0.5 * 0.96 ** (step * group["momentum_decay"]))
    return share


def _nadam_correction(group: Options, state: State) -> float:
    return 1.0 - float(state.get("mu_product", 0.0)) * _nadam_share(group, state)


def _beta(group: Options) -> float:
    return float(group["betas"][0])


def _momentum(group: Options) -> float:
    return float(group["momentum"])


def _sgd_dampening(group: Options) -> float:
    return float(group["dampening"]) if group["momentum"] else 0.0  # torch ignores it then


_ADAM = Rule(scale=_adam_scale, momentum=_beta, averaged=True, correction=_adam_correction)
_RULES: dict[type[Optimizer], Rule] = {
    SGD: Rule(
        momentum=_momentum,
        dampening=_sgd_dampening,
        nesterov=lambda group: bool(group["nesterov"]),
        usual=lambda group: 0.1 if group["momentum"] < 0.5 else 0.02,
    ),
    Adam: _ADAM,
    AdamW: _ADAM,
    NAdam: Rule(
        scale=_adam_scale,
        momentum=_beta,
        averaged=True,
        share=_nadam_share,
        correction=_nadam_correction,
        usual=lambda group: 2e-3,
    ),
    RAdam: Rule(scale=_radam_scale, momentum=_beta, averaged=True, correction=_adam_correction),
    RMSprop: Rule(scale=_rmsprop_scale, momentum=_momentum),
    Adagrad: Rule(scale=_adagrad_scale, usual=lambda group: 1e-2),
}
