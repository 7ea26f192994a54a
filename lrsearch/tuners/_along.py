"""Curvature ``u' Hess f u`` along a step's update, of the step's own batch: two ways.

- by a product: the graph of the step's gradient is differentiated once more
- by losses: ``(f(w + h u) + f(w - h u) - 2 f(w)) / h^2``; no second derivative is taken
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from lrsearch.curvature import DOUBLE_BACKWARD, FORWARD, doubtful, restored, sharpness_along
from lrsearch.exceptions import MeasurementError
from lrsearch.tuners._gradients import Closure
from lrsearch.tuners._line import Line, inner
from lrsearch.tuners._replay import Replay


@contextmanager
def twice() -> Iterator[None]:
    """Context of derivatives that says what to pass where a second one cannot be taken."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        if "a second time" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise
        first = next(iter(str(error).strip().splitlines()), "")
        raise _once(first) from error


def _once(why: str) -> MeasurementError:
    return MeasurementError(
        f'this loss cannot be differentiated twice ({why}): pass curvature="forward", which needs '
        "losses only (in a search space: cdat.curvature)"
    )


class Graph:
    """Gradients with their graph, for one product.

    Args:
        loss: With its graph.
        params: To differentiate by; their ``.grad`` is filled, and left ``None`` where not used.
        suspicious: Whether to search the graph for functions of which autograd may silently drop
            the second derivative; cost: a walk over it.

    Raises:
        MeasurementError: If no second derivative can be taken, or not be trusted.
    """

    def __init__(self, loss: Tensor, params: Sequence[Tensor], *, suspicious: bool) -> None:
        with twice():
            found = torch.autograd.grad(loss, params, create_graph=True, allow_unused=True)
            kept = [(p, g) for p, g in zip(params, found, strict=True) if g is not None]
        if suspicious and doubtful([loss, *(g for _, g in kept)]):
            raise _once("it has an autograd.Function written by hand")
        for p, g in kept:
            dense = g.detach().to_dense() if g.is_sparse else g.detach()
            p.grad = torch.empty_like(p).copy_(dense)  # own memory: an optimizer may write to it
        self._kept = kept

    def curvature(self, line: Line) -> float:
        """``u' Hess f u``; cost: `DOUBLE_BACKWARD` gradients. The graph is gone afterwards."""
        kept, self._kept = self._kept, []
        bent = [(g, u) for (_, g), u in zip(kept, line.u, strict=True) if g.requires_grad]
        if not bent:  # the loss is linear in the weights
            return line.bend()
        with twice():
            product = torch.autograd.grad(
                [g for g, _ in bent],
                [p for p, _ in kept],
                [u for _, u in bent],
                materialize_grads=True,
            )
        return inner(product, line.u) + line.bend()

    cost = DOUBLE_BACKWARD


def by_losses(
    replay: Replay, closure: Closure, loss: float, line: Line
) -> tuple[float | None, float, str | None]:
    """``u' Hess f u`` from losses, what it has cost, and why there is none.

    ``h`` changes the objective by a tenth to first order (see `sharpness_along`, which looks again
    nearer where that was too far). The weights are put back bit for bit.

    Cost: two forward passes, four where it looks twice.
    """
    if line.slope == 0:
        return None, 0.0, "no gradient along the update"
    sign = -1.0 if line.slope < 0 else 1.0  # along +-u, whichever ascends
    data = [p.data for p in line.params]
    taken = 0
    with replay.losses(closure) as again, restored(data):

        def loss_at() -> float:
            nonlocal taken
            taken += 1
            return (loss if taken == 1 else again()) + line.penalty()  # the first is at hand

        found = sharpness_along(loss_at, data, [sign * u for u in line.u], abs(line.slope))
    cost = FORWARD * (taken - 1)
    if found.sharpness is None or found.slope is None:
        return None, cost, found.note
    return found.sharpness * found.slope, cost, None
