"""What every second-order measurement is taken of: a mean loss at a model's current parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves

from lrsearch.curvature._generators import undrawn
from lrsearch.curvature._guard import quiet
from lrsearch.curvature._losses import scalar
from lrsearch.curvature._parallel import Ranks, bare
from lrsearch.curvature._vector import flatten
from lrsearch.exceptions import MeasurementError

LossFn = Callable[[nn.Module, Any], Tensor]


class Objective:
    """Mean of ``loss_fn(model, batch)`` over one or more batches (and over the ranks of DDP).

    Args:
        model: The model; a DDP wrapper is taken off, and every rank must take part.
        loss_fn: ``loss_fn(model, batch) -> scalar``.
        batches: One batch, or several micro-batches that count alike.
        optimizer: Whose parameters to differentiate by; without it all trainable ones of the model.

    Raises:
        MeasurementError: If there is no batch or no trainable parameter, or if the parameters are
            sharded or on two devices.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFn,
        batches: Sequence[Any],
        *,
        optimizer: Optimizer | None = None,
    ) -> None:
        self.model, self.ranks = bare(model), Ranks.of(model)
        self.loss_fn, self.batches = loss_fn, list(batches)
        self.params = trainable(self.model, optimizer)
        self.ranks.agree(self._check)

    def _check(self) -> None:
        if not self.batches:
            raise MeasurementError("there is no batch to measure on: pass at least one")
        for batch in self.batches:
            check_batch(batch)

    @property
    def size(self) -> int:
        """Number n of coordinates."""
        return sum(p.numel() for p in self.params)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Context in which losses and derivatives may be taken; nothing is left behind in the run.

        Raises:
            MeasurementError: If ``loss_fn`` draws random numbers.
        """
        with quiet(self.model, graph=True), undrawn():
            yield

    def evaluate(self, batch: Any) -> Tensor:
        """Loss of one batch.

        Raises:
            MeasurementError: If it fails or is no scalar.
        """
        try:
            return number(self.loss_fn(self.model, batch))
        except MeasurementError:
            raise
        except Exception as error:  # a user's loss_fn may raise anything
            raise MeasurementError(
                f"loss_fn failed in a probe ({told(error)}): pass a loss_fn(model, batch) that "
                "works in evaluation mode, and a batch that it takes"
            ) from error

    def loss(self, batch: Any) -> Tensor:
        """Loss of one batch, with its graph.

        Raises:
            MeasurementError: If it fails, is no scalar, or does not depend on the parameters.
        """
        value = self.evaluate(batch)
        if not value.requires_grad:
            raise MeasurementError(
                "the loss does not depend on any trainable parameter: pass a loss_fn that returns "
                "the loss itself, not .item() or .detach(), of the model that was given"
            )
        return value

    def gradients(self, batch: Any, *, graph: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Loss of one batch and its gradients, zero where a parameter is not used; cost one."""
        value = self.loss(batch)
        found = torch.autograd.grad(value, self.params, create_graph=graph, allow_unused=True)
        return value if graph else value.detach(), _filled(found, self.params)

    def gradient(self) -> tuple[float, Tensor]:
        """Mean loss and gradient (n,) over all batches and ranks; cost: one gradient.

        Raises:
            MeasurementError: If there is none, or either is not finite.
        """
        try:
            mean = self.mean(lambda batch: joined(*self.gradients(batch)))
        except MeasurementError:
            raise
        except Exception as error:  # of anything that a backward pass may call
            raise MeasurementError(
                f"no gradient can be taken of this loss ({told(error)}): pass a loss_fn whose "
                "gradient torch.autograd.grad gives"
            ) from error
        loss, gradient = float(mean[0]), mean[1:]
        check_finite(loss, float(gradient.norm()))
        return loss, gradient

    def mean(self, one: Callable[[Any], Tensor]) -> Tensor:
        """Mean of a vector over all batches and ranks, one batch's graph at a time."""

        def local() -> Tensor:
            total = one(self.batches[0])
            for batch in self.batches[1:]:
                total = total + one(batch)
            return total / len(self.batches)

        return self.ranks.together(local)


def joined(value: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """A loss and its gradients as one vector (1 + n,), to be averaged in one go."""
    vector = flatten(gradients)
    return torch.cat([value.reshape(1).to(vector), vector])


def number(loss: Any) -> Tensor:
    """What a loss_fn returned, if it is one number with its graph.

    Raises:
        MeasurementError: If it is not.
    """
    if not isinstance(loss, Tensor):
        raise MeasurementError(
            f"loss_fn returned a {type(loss).__name__} and not a tensor: pass one that returns the "
            "loss itself, not .item()"
        )
    return scalar(loss)


def told(error: Exception) -> str:
    """An error in one line."""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def trainable(model: nn.Module, optimizer: Optimizer | None) -> list[Tensor]:
    """Trainable parameters of the optimizer's groups, or of the model.

    Raises:
        MeasurementError: If there is none, or if they are sharded or on two devices.
    """
    if optimizer is None:
        candidates: list[Tensor] = list(model.parameters())
    else:
        candidates = [p for group in optimizer.param_groups for p in group["params"]]
    params = [p for p in candidates if p.requires_grad]
    if not params:
        raise MeasurementError(
            "there is no trainable parameter: pass a model in which some have requires_grad=True"
        )
    if any(hasattr(p, "device_mesh") for p in params):
        raise MeasurementError(
            "the parameters are sharded (FSDP or tensor parallel): measure on an unsharded copy"
        )
    devices = sorted({str(p.device) for p in params})
    if len(devices) > 1:
        raise MeasurementError(
            f"the parameters are on several devices ({', '.join(devices)}): pass a model on one"
        )
    return params


def check_finite(loss: float, gradient_norm: float = 0.0) -> None:
    """Raise a `MeasurementError` unless both are finite."""
    for name, value in (("loss", loss), ("gradient's norm", gradient_norm)):
        if not math.isfinite(value):
            raise MeasurementError(
                f"the {name} is {value}: measure where it is finite, on a batch that has examples, "
                "before the run diverges"
            )


def check_batch(batch: Any) -> None:
    """Raise a `MeasurementError` for a batch without examples, or of one example repeated."""
    leaves = [leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)]
    if leaves and all(leaf.numel() == 0 for leaf in leaves):
        raise MeasurementError(
            f"the batch is empty (a tensor of shape {tuple(leaves[0].shape)}): pass one with "
            "examples"
        )
    plain = [t for t in leaves if t.layout == torch.strided and not t.is_nested]
    inputs = [t for t in plain if t.dim() >= 2 and t.shape[0] >= 2 and t.numel() > 0]
    if inputs and all(bool((t[1:] == t[:1]).all()) for t in inputs):
        raise MeasurementError(
            "the batch is constant (one example repeated), so its curvature says nothing about "
            "the data: pass a batch of different examples"
        )


def _filled(found: Sequence[Tensor | None], params: Sequence[Tensor]) -> list[Tensor]:
    pairs = zip(found, params, strict=True)
    return [
        torch.zeros_like(p) if g is None else g.to_dense() if g.is_sparse else g for g, p in pairs
    ]
