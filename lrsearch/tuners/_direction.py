"""The update that an optimizer would make at learning rate 1, without making it.

A twin of the optimizer, with copies of its state and stand-ins for its parameters, makes the step.
For the optimizers of `COUPLED` and `DECOUPLED` the update does not depend on where the parameters
are, weight decay aside: their stand-ins are zero, so that ``u`` is what the stand-in has become,
with no rounding at the size of the weights.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import (
    ASGD,
    LBFGS,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
)

from lrsearch.exceptions import UnsupportedError
from lrsearch.tuners._groups import Group, paired, ratios_of

COUPLED = (SGD, Adam, NAdam, RAdam, RMSprop, Adagrad, Adadelta, Adamax)
"""Their weight decay is the gradient of ``decay / 2 |w|^2``: a part of the objective."""

DECOUPLED = (AdamW,)
"""Their weight decay shrinks the weights beside the update, as it does for groups of the others
that say ``decoupled_weight_decay``: a part of the step, but not of the objective."""

NOT_PROPORTIONAL = (ASGD, Adafactor, LBFGS, Rprop)
"""Their steps are not the learning rate times an update."""


@torch.no_grad()
def proposed(optimizer: Optimizer, ratios: Sequence[float] | None = None) -> list[Tensor]:
    """``u`` for each parameter that has a gradient: ``w + eta u`` is the step at rate ``eta``.

    Parameters, gradients, state and hooks of the optimizer are left alone. Decoupled weight decay
    is no part of ``u``; the gradient of the other kind (L2) is.

    Args:
        optimizer: Any whose step is proportional to its learning rate.
        ratios: Of the groups' learning rates to the first one's; else as they are now.

    Cost: one pass over parameters and state; memory: a copy of the state, and of the gradients.

    Raises:
        UnsupportedError: If the step is not proportional to the learning rate, needs a closure,
            goes uphill (``maximize``), or has sparse or complex gradients.
    """
    check(optimizer)
    ratios = ratios_of(optimizer) if ratios is None else ratios
    groups: list[Group] = []
    state: dict[Any, Any] = {k: copy.deepcopy(v) for k, v in _shared(optimizer)}
    stands: list[Tensor] = []
    starts: list[Tensor] = []
    for group, ratio in paired(optimizer, ratios):
        pairs = [(p, _stand_in(optimizer, group, p)) for p in group["params"] if p.grad is not None]
        for p, stand in pairs:
            if p in optimizer.state:
                state[stand] = {name: _cloned(value) for name, value in optimizer.state[p].items()}
        if pairs:
            options = {name: _cloned(v) for name, v in group.items() if name != "params"}
            rate = group["lr"]
            options["lr"] = torch.full_like(rate, ratio) if isinstance(rate, Tensor) else ratio
            options |= {"weight_decay": 0.0} if "weight_decay" in group else {}
            groups.append({**options, "params": [stand for _, stand in pairs]})
            stands += [stand for _, stand in pairs]
            starts += [stand.clone() for _, stand in pairs]
    if stands:
        _step(optimizer, groups, state)
    return [stand - start for stand, start in zip(stands, starts, strict=True)]


def l2_decay(optimizer: Optimizer) -> list[float]:
    """``c`` of ``c / 2 |w|^2`` that the optimizer adds to the loss, for each of `proposed`."""
    return [
        0.0 if _is_decoupled(optimizer, group) else float(group.get("weight_decay", 0.0))
        for group in optimizer.param_groups
        for p in group["params"]
        if p.grad is not None
    ]


def check(optimizer: Optimizer) -> None:
    """Raise an `UnsupportedError` unless `proposed` can tell the optimizer's update."""
    name = type(optimizer).__name__
    if isinstance(optimizer, NOT_PROPORTIONAL):
        raise UnsupportedError(
            f"a step of {name} is not its learning rate times an update: use SGD, Adam, AdamW or "
            "another optimizer whose step is."
        )
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise UnsupportedError(
            f"{name} has maximize=True, and a tuner lowers a loss: return the negative from the "
            "closure instead."
        )
    if not _is_known(optimizer) and any(g.get("weight_decay") for g in optimizer.param_groups):
        raise UnsupportedError(
            f"whether the weight decay of {name} is a part of the loss or of the step is not "
            "known: give it weight_decay=0, and add the penalty to the loss in the closure."
        )
    params = [p for group in optimizer.param_groups for p in group["params"]]
    if any(p.is_complex() or (p.grad is not None and p.grad.is_sparse) for p in params):
        raise UnsupportedError(
            "a tuner needs the curvature along the update, and here gradients are sparse or "
            "complex: use dense real parameters (sparse=False in an embedding)."
        )


def _is_known(optimizer: Optimizer) -> bool:
    return type(optimizer) in COUPLED + DECOUPLED


def _is_decoupled(optimizer: Optimizer, group: Group) -> bool:
    return bool(group.get("decoupled_weight_decay")) or isinstance(optimizer, DECOUPLED)


def _stand_in(optimizer: Optimizer, group: Group, p: Tensor) -> Tensor:
    """In place of a parameter, with the gradient that its optimizer would use."""
    known = _is_known(optimizer)
    stand = torch.zeros_like(p.detach()) if known else p.detach().clone()
    assert p.grad is not None
    decay = 0.0 if _is_decoupled(optimizer, group) else float(group.get("weight_decay", 0.0))
    gradient = p.grad.detach()
    stand.grad = gradient.add(p.detach(), alpha=decay) if decay else gradient.clone()
    return stand


def _step(optimizer: Optimizer, groups: list[Group], state: dict[Any, Any]) -> None:
    """One step of a twin, made as `copy.copy` would: of what pickling carries, so of no hooks."""
    kind = type(optimizer)
    plain: dict[str, Any] = dict(optimizer.__getstate__())
    own = type(optimizer.state)(dict, state)
    twin = kind.__new__(kind)
    twin.__setstate__(plain | {"param_groups": groups, "state": own})
    step: Any = kind.step
    if getattr(step, "hooked", False):  # without the hooks that all optimizers share
        step = step.__wrapped__
    try:
        step(twin)
    except (AttributeError, TypeError) as error:
        raise UnsupportedError(
            f"what {kind.__name__} would do cannot be told from a copy of it ({error}): use an "
            "optimizer that can be pickled and steps without a closure."
        ) from error


def _shared(optimizer: Optimizer) -> Iterator[tuple[Any, Any]]:
    """State that belongs to no parameter."""
    return ((k, v) for k, v in optimizer.state.items() if not isinstance(k, Tensor))


def _cloned(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
