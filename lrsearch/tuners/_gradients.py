"""The closure's loss, and the gradients that the optimizer's parameters have of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrsearch.exceptions import MeasurementError

Closure = Callable[[], Tensor]
"""Returns the loss of the current batch at the current weights with its graph, and does not call
``backward()``. A tuner that evaluates it again says so: it must be the same batch each time."""


def loss_of(closure: Closure) -> Tensor:
    """The closure's loss, if it is one number with its graph.

    Raises:
        MeasurementError: If it is not.
    """
    loss = closure()
    if not isinstance(loss, Tensor):
        raise MeasurementError(
            f"the closure returned a {type(loss).__name__} and not a tensor: return the loss "
            "itself, not .item()"
        )
    if loss.numel() != 1:
        raise MeasurementError(
            f"a loss must be a scalar, got shape {tuple(loss.shape)}: reduce it, for example with "
            ".mean()"
        )
    if not loss.requires_grad:
        raise MeasurementError(
            "the closure's loss has no graph: return the loss itself, not .detach(), of parameters "
            "that require gradients"
        )
    return loss.reshape(())


@contextmanager
def explained() -> Iterator[None]:
    """Context of a backward pass that says what is wrong where the graph is gone already."""
    try:
        yield
    except RuntimeError as error:
        if "a second time" not in str(error):
            raise
        raise MeasurementError(
            "the closure has called backward() itself: leave that to the tuner, and return the "
            "loss alone"
        ) from error


def trained(optimizer: Optimizer) -> list[Tensor]:
    """The optimizer's parameters that have a gradient at the moment, in its order."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def gradients(optimizer: Optimizer) -> list[Tensor]:
    """Gradients of `trained`, in their order."""
    return [p.grad.detach() for p in trained(optimizer) if p.grad is not None]


def found_by(optimizer: Optimizer) -> list[Tensor]:
    """`gradients` after a backward pass.

    Raises:
        MeasurementError: If there is none.
    """
    found = gradients(optimizer)
    if not found:
        raise MeasurementError(
            "the closure's loss depends on none of the optimizer's parameters: return the loss of "
            "the model that it trains"
        )
    return found


def norm(tensors: Sequence[Tensor]) -> float:
    """Euclidean norm of a list of tensors, 0 of none; waits for the device once."""
    dense = [t.to_dense() if t.is_sparse else t for t in tensors]
    if not dense:
        return 0.0
    parts = torch._foreach_norm(dense)
    return float(torch.stack([p.to(parts[0].device, torch.float64) for p in parts]).norm())
