"""One probe: what a step hook saw of a step, and the few losses evaluated after it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import _metric as metric
from lrsearch.curvature._average import WeightAverage
from lrsearch.curvature._cost import CENTRAL_READING, FORWARD
from lrsearch.curvature._guard import copy_, dot, norm, quiet, restored
from lrsearch.curvature._secant import sharpness_along

LossFn = Callable[[nn.Module, Any], Tensor]
PROBE_COST = CENTRAL_READING + 2 * FORWARD


@dataclass(slots=True)
class Step:
    """What the hooks saw of one optimizer step; tensors on the device, no synchronisation yet."""

    params: list[Tensor]
    before: list[Tensor]
    d: list[Tensor]
    learning_rate: float
    threshold: float | None
    numbers: dict[str, Tensor]

    @classmethod
    @torch.no_grad()
    def seen(cls, optimizer: Optimizer, params: list[Tensor], before: list[Tensor]) -> Step | None:
        """Read a step just done: ``before`` holds copies of ``params`` from just before it.

        A closure may have given gradients to other parameters than had one before: what counts is
        where there was a gradient both times; ``None`` if nowhere.
        """
        along = dict(zip(metric.trained(optimizer), metric.direction(optimizer), strict=True))
        common = [(p, b) for p, b in zip(params, before, strict=True) if p in along]
        if not common:
            return None
        params, before = [p for p, _ in common], [b for _, b in common]
        d = [along[p] for p in params]
        gradient = [p.grad.detach() for p in params if p.grad is not None]
        update = torch._foreach_sub(params, before)
        return cls(
            params=params,
            before=before,
            d=d,
            learning_rate=metric.learning_rate(optimizer),
            threshold=metric.threshold(optimizer),
            numbers={
                "gradient_norm": norm(gradient),
                "update_norm": norm(update),
                "weight_norm": norm(before),
                "slope": dot(gradient, d),
                "predicted": -dot(gradient, update),
            },
        )


def measure(
    step: Step, model: nn.Module, loss_fn: LossFn | None, batch: Any, average: WeightAverage
) -> tuple[dict[str, Any], float]:
    """Turn a step into the fields of a reading.

    Returns:
        The fields, and what they cost in gradients: at most five forward passes on the batch of
        the step (one less while there is no average), none without a ``loss_fn``.

    The model is left bit for bit as it was.
    """
    plain = dict(zip(step.numbers, torch.stack(list(step.numbers.values())).tolist(), strict=True))
    fields: dict[str, Any] = {
        name: plain[name] for name in ("gradient_norm", "update_norm", "weight_norm")
    }
    fields["finite"] = all(math.isfinite(v) for v in fields.values())
    if loss_fn is None or batch is None:
        fields["note"] = "no loss_fn or batch: only gradient and update signals"
        return fields, 0.0
    if not fields["finite"]:
        fields["note"] = "weights or gradients not finite"
        return fields, 0.0

    cost = 0.0

    def loss_at() -> float:
        nonlocal cost
        cost += FORWARD
        return float(loss_fn(model, batch))

    with quiet(model):
        after = loss_at()
        with average.swapped_in():
            annealed = loss_at() if average.average is not None else None
        with restored(step.params):
            copy_(step.params, step.before)
            secant = sharpness_along(loss_at, step.params, step.d, plain["slope"])
    fields |= {
        "batch_loss": secant.loss,
        "annealed_loss": annealed,
        "sharpness": secant.sharpness,
        "threshold": step.threshold,
        "note": secant.note
        if step.threshold is not None
        else "no stability threshold known for this optimizer",
    }
    if plain["predicted"] > 0 and math.isfinite(after):
        fields["decrease_ratio"] = (secant.loss - after) / plain["predicted"]
    return fields, cost
