"""One probe: what a step hook saw of a step, and the few losses evaluated after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import _metric as metric
from lrsearch.curvature._average import WeightAverage
from lrsearch.curvature._cost import FORWARD
from lrsearch.curvature._generators import undrawn
from lrsearch.curvature._guard import dot, exchanged, norm, quiet
from lrsearch.curvature._losses import scalar
from lrsearch.curvature._objective import LossFn, check_batch
from lrsearch.curvature._parallel import Ranks
from lrsearch.curvature._secant import Secant, sharpness_along
from lrsearch.exceptions import MeasurementError
from lrsearch.stability import Reading

PROBE_COST = 5 * FORWARD  # three for the sharpness, one after the step, one averaged
WINDOW = 5  # readings that a batch sharpness is averaged over


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
        where there was a gradient both times; ``None`` if nowhere, or if a gradient scaler that
        works inside the optimizer (fused kernels) has skipped the step.
        """
        if _skipped(optimizer):
            return None
        along = dict(zip(metric.trained(optimizer), metric.direction(optimizer), strict=True))
        common = [(p, b) for p, b in zip(params, before, strict=True) if p in along]
        if not common:
            return None
        params, before = [p for p, _ in common], [b for _, b in common]
        d = [along[p] for p in params]
        gradient = [p.grad.detach() for p in params if p.grad is not None]
        squares, along_update = _update(params, before, gradient)
        return cls(
            params=params,
            before=before,
            d=d,
            learning_rate=metric.learning_rate(optimizer),
            threshold=metric.threshold(optimizer),
            numbers={
                "gradient_norm": norm(gradient),
                "update_norm": squares.sqrt(),
                "weight_norm": norm(before),
                "slope": dot(gradient, d),
                "predicted": -along_update,
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
    ranks: Ranks,
) -> tuple[dict[str, Any], float]:
    """Fields of a reading that need losses on the batch of the step.

    The model is left bit for bit as it was.

    Args:
        step: What the hooks saw.
        model: The model.
        loss_fn: Its training loss.
        batch: The batch of the step.
        average: The averaged weights.
        ranks: Over which losses are averaged.

    Returns:
        The fields, and what they cost in gradients: five forward passes, one less while there is
        no average, two more where the step has to be chosen anew (see `sharpness_along`).

    Raises:
        MeasurementError: If ``loss_fn`` cannot be evaluated here; the run is unharmed.
    """
    plain, cost = _plain(step), 0.0

    def loss_at() -> float:
        nonlocal cost
        cost += FORWARD
        return float(ranks.together(lambda: scalar(loss_fn(model, batch)).detach().reshape(1)))

    def measured() -> tuple[float, float | None, Secant]:
        check_batch(batch)
        with quiet(model), undrawn():
            after = loss_at()
            with average.swapped_in():
                annealed = loss_at() if average.average is not None else None
            with exchanged(step.params, step.before):
                secant = sharpness_along(loss_at, step.params, step.d, plain["slope"])
        return after, annealed, secant

    try:
        after, annealed, secant = measured()
    except MeasurementError:
        raise
    except Exception as error:  # a user's loss_fn may raise anything
        raise MeasurementError(
            f"loss_fn failed in a probe, where there is no autograd ({type(error).__name__}: "
            f"{error}): pass a loss_fn(model, batch) that only evaluates"
        ) from error
    fields: dict[str, Any] = {
        "batch_loss": secant.loss,
        "annealed_loss": annealed,
        "sharpness": secant.sharpness,
        "slope": secant.slope,
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


def batch_sharpness(readings: Sequence[Reading], fields: dict[str, Any]) -> float | None:
    """Ratio of means of ``d'Hd`` and ``g'd`` over the last readings and the one at hand."""
    pairs = [(r.sharpness, r.slope) for r in readings[1 - WINDOW :]]
    pairs.append((fields.get("sharpness"), fields.get("slope")))
    known = [(s, w) for s, w in pairs if s is not None and w is not None]
    weight = sum(w for _, w in known)
    return sum(s * w for s, w in known) / weight if weight > 0 else None


def _update(
    params: Sequence[Tensor], before: Sequence[Tensor], gradient: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """``u'u`` and ``g'u`` of the update, one tensor of it at a time."""
    squares, along = [], []
    for p, b, g in zip(params, before, gradient, strict=True):
        u = p.detach() - b
        squares.append(dot([u], [u]))
        along.append(dot([g], [u]))
    first = squares[0].device
    return torch.stack([s.to(first) for s in squares]).sum(), torch.stack(
        [a.to(first) for a in along]
    ).sum()


def _skipped(optimizer: Optimizer) -> bool:
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found > 0)


def _plain(step: Step) -> dict[str, float]:
    values = torch.stack(list(step.numbers.values())).tolist()
    return dict(zip(step.numbers, values, strict=True))
