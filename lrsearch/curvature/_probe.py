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
from lrsearch.curvature._cost import FORWARD
from lrsearch.curvature._generators import undrawn
from lrsearch.curvature._guard import copy_, dot, norm, quiet, restored
from lrsearch.curvature._losses import scalar
from lrsearch.curvature._secant import sharpness_along
from lrsearch.exceptions import MeasurementError

LossFn = Callable[[nn.Module, Any], Tensor]
PROBE_COST = 5 * FORWARD  # three for the sharpness, one after the step, one averaged


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


def signals(step: Step) -> dict[str, Any]:
    """Fields of a reading that cost no loss: norms of gradient, update and weights."""
    plain = _plain(step)
    fields: dict[str, Any] = {
        name: plain[name] for name in ("gradient_norm", "update_norm", "weight_norm")
    }
    fields["finite"] = all(math.isfinite(v) for v in fields.values())
    return fields


def evaluate(
    step: Step,
    model: nn.Module,
    loss_fn: LossFn,
    batch: Any,
    average: WeightAverage,
) -> tuple[dict[str, Any], float]:
    """Fields of a reading that need losses on the batch of the step.

    The model is left bit for bit as it was.

    Args:
        step: What the hooks saw.
        model: The model.
        loss_fn: Its training loss.
        batch: The batch of the step.
        average: The averaged weights.

    Returns:
        The fields, and what they cost in gradients: five forward passes, one less while there is
        no average, two more under a clipped gradient.

    Raises:
        MeasurementError: If ``loss_fn`` cannot be evaluated here; the run is unharmed.
    """
    plain, cost = _plain(step), 0.0

    def loss_at() -> float:
        nonlocal cost
        cost += FORWARD
        return float(scalar(loss_fn(model, batch)))

    try:
        with quiet(model), undrawn():
            after = loss_at()
            with average.swapped_in():
                annealed = loss_at() if average.average is not None else None
            with restored(step.params):
                copy_(step.params, step.before)
                secant = sharpness_along(loss_at, step.params, step.d, plain["slope"])
    except MeasurementError:
        raise
    except Exception as error:  # a user's loss_fn may raise anything
        raise MeasurementError(
            f"loss_fn failed in a probe, where there is no autograd ({type(error).__name__}: "
            f"{error}): pass a loss_fn(model, batch) that only evaluates"
        ) from error
    fields = {
        "batch_loss": secant.loss,
        "annealed_loss": annealed,
        "sharpness": secant.sharpness,
        "threshold": step.threshold,
        "note": secant.note
        if step.threshold is not None
        else "no stability threshold known for this optimizer",
    }
    if secant.slope is not None and plain["predicted"] > 0 and math.isfinite(after):
        # A clipped gradient predicts too little by the factor that the measured slope tells.
        predicted = plain["predicted"] * secant.slope / plain["slope"]
        fields["decrease_ratio"] = (secant.loss - after) / predicted
    return fields, cost


def _plain(step: Step) -> dict[str, float]:
    values = torch.stack(list(step.numbers.values())).tolist()
    return dict(zip(step.numbers, values, strict=True))
