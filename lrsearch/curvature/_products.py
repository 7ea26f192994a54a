"""Four ways to take a Hessian-vector product ``H v``; each is a class with one method.

- double backward: the gradient's graph is built once and differentiated for each vector
- forward over reverse: ``jvp`` of the gradient; survives some operations that the first does not
- finite difference: ``(g(w + e v) - g(w - e v)) / (2 e)``; first-order passes only, works wherever
  training does; on kinked activations (ReLU) it measures curvature over the distance ``e``
- Gauss-Newton: ``J' H_L J v``, ``J`` the derivative of the model's outputs, ``H_L`` the Hessian of
  the loss in them; positive semi-definite where the loss is convex in the outputs

Vectors are flat (n,), unscaled; results are means over batches and ranks.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp
from torch.utils._pytree import tree_leaves

from lrsearch.curvature import _cost as cost
from lrsearch.curvature._differences import FiniteDifference
from lrsearch.curvature._objective import Objective, check_finite, joined, number
from lrsearch.curvature._vector import flatten, unflatten
from lrsearch.curvature._verify import doubtful
from lrsearch.exceptions import MeasurementError


class Product(Protocol):
    """A way to take products.

    ``cost`` is what they have cost so far, in gradients; ``doubtful`` says that autograd may have
    dropped a part of them without a word.
    """

    cost: float
    doubtful: bool

    def __init__(self, objective: Objective) -> None: ...

    def __call__(self, vector: Tensor) -> Tensor: ...

    def base(self) -> tuple[float, Tensor] | None:
        """Mean loss and gradient (n,), where products need them anyway."""


class DoubleBackward:
    """Cost: one gradient for the graph and two and a half per product; with several batches 3.5."""

    def __init__(self, objective: Objective) -> None:
        self.objective, self.cost = objective, 0.0
        self.doubtful, self._walked = False, False
        self._held: tuple[Tensor, list[Tensor]] | None = None

    def _graph(self, batch: Any) -> tuple[Tensor, list[Tensor]]:
        if self._held is not None:
            return self._held
        value, found = self.objective.gradients(batch, graph=True)
        if not self._walked:
            self.doubtful, self._walked = doubtful([value, *found]), True
        graphs = value.detach(), found
        self._held = graphs if len(self.objective.batches) == 1 else None
        return graphs

    def base(self) -> tuple[float, Tensor] | None:
        if len(self.objective.batches) > 1:
            return None
        fresh = self._held is None

        both = self.objective.mean(lambda batch: joined(*self._graph(batch)))
        self.cost += cost.GRAPH * fresh
        check_finite(float(both[0]), float(both[1:].norm()))
        return float(both[0]), both[1:]

    def __call__(self, vector: Tensor) -> Tensor:
        params = self.objective.params
        self.cost += cost.DOUBLE_BACKWARD + cost.GRAPH * (self._held is None)

        def one(batch: Any) -> Tensor:
            _, gradient = self._graph(batch)
            used = [(g, v) for g, v in zip(gradient, unflatten(vector, params), strict=True)]
            used = [(g, v) for g, v in used if g.requires_grad]  # the rest is linear in w
            if not used:
                return torch.zeros_like(vector)
            found = torch.autograd.grad(
                [g for g, _ in used],
                params,
                [v for _, v in used],
                retain_graph=len(self.objective.batches) == 1,
                materialize_grads=True,
            )
            return flatten(found)

        return self.objective.mean(one)


class ForwardOverReverse:
    """Cost: five gradients per product where it runs eagerly; no graph is kept."""

    doubtful = False  # what it cannot differentiate, it refuses

    def __init__(self, objective: Objective) -> None:
        self.objective, self.cost = objective, 0.0
        with warnings.catch_warnings(), suppress(ImportError):
            warnings.simplefilter("ignore")  # torch imports this late, with a deprecation warning
            import_module("torch._decomp.decompositions_for_jvp")
        self._call = _Call(objective)
        names: dict[Tensor, str] = {p: name for name, p in self._call.named_parameters()}
        missing = sum(p not in names for p in objective.params)
        if missing:
            raise TypeError(f"{missing} parameters of the optimizer are not of the model")
        self._names = [names[p] for p in objective.params]

    def base(self) -> None:
        return None

    def __call__(self, vector: Tensor) -> Tensor:
        params = self.objective.params
        self.cost += cost.FORWARD_OVER_REVERSE

        def one(batch: Any) -> Tensor:
            def loss(values: list[Tensor]) -> Tensor:
                named = dict(zip(self._names, values, strict=True))
                value: Tensor = functional_call(self._call, named, (batch,))
                return value

            values = [p.detach() for p in params]
            found = jvp(grad(loss), (values,), (unflatten(vector, params),))[1]
            return flatten(found)

        return self.objective.mean(one)


class _Call(nn.Module):
    """The loss as a module's forward pass, so that its parameters can be given as a function's."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.model, self._loss_fn = objective.model, objective.loss_fn

    def forward(self, batch: Any) -> Tensor:
        return number(self._loss_fn(self.model, batch)).reshape(())


class GaussNewton:
    """Cost: 1.1 gradients for the graphs and 1.6 per product; with several batches 2.7."""

    doubtful = False  # no other way is at hand to check it against

    def __init__(self, objective: Objective) -> None:
        self.objective, self.cost = objective, 0.0
        self._held: _Graphs | None = None

    def base(self) -> None:
        return None

    def __call__(self, vector: Tensor) -> Tensor:
        params = self.objective.params
        self.cost += cost.GAUSS_NEWTON + cost.GAUSS_NEWTON_GRAPHS * (self._held is None)
        single = len(self.objective.batches) == 1

        def one(batch: Any) -> Tensor:
            graphs = self._held or _Graphs.of(self.objective, batch)
            self._held = graphs if single else None
            return graphs.product(unflatten(vector, params), params)

        return self.objective.mean(one)


class _Graphs:
    """Graphs of one batch: the outputs, the loss's gradient in them, and ``J' u`` for dummy u."""

    def __init__(
        self, outputs: list[Tensor], slopes: list[Tensor], dummies: list[Tensor], back: list[Tensor]
    ) -> None:
        self.outputs, self.slopes, self.dummies, self.back = outputs, slopes, dummies, back

    @classmethod
    def of(cls, objective: Objective, batch: Any) -> _Graphs:
        captured: list[Any] = []
        hook = objective.model.register_forward_hook(lambda *call: captured.append(call[-1]))
        try:
            loss = objective.loss(batch)
        finally:
            hook.remove()
        leaves = [t for t in tree_leaves(captured) if isinstance(t, Tensor) and t.requires_grad]
        if not leaves or any(t.dim() == 0 for t in leaves):
            raise MeasurementError(
                "the Gauss-Newton product needs the model's outputs, and loss_fn does not call "
                "model(...) for predictions that it then compares: pass such a loss_fn, or a model "
                "that returns predictions and not the loss"
            )
        found = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
        pairs = [(z, s) for z, s in zip(leaves, found, strict=True) if s is not None]
        if not pairs:
            raise MeasurementError(
                "the Gauss-Newton product needs a loss that is computed from the model's outputs, "
                "and this one is not: pass a loss_fn that compares what model(...) returns"
            )
        outputs, slopes = [z for z, _ in pairs], [s for _, s in pairs]
        dummies = [torch.zeros_like(z, requires_grad=True) for z in outputs]
        back = torch.autograd.grad(
            outputs, objective.params, dummies, create_graph=True, materialize_grads=True
        )
        doubtful([*slopes, *back])
        return cls(outputs, slopes, dummies, list(back))

    def product(self, vector: list[Tensor], params: list[Tensor]) -> Tensor:
        linear = [(b, v) for b, v in zip(self.back, vector, strict=True) if b.requires_grad]
        moved = torch.autograd.grad(  # J v
            [b for b, _ in linear], self.dummies, [v for _, v in linear],
            retain_graph=True, materialize_grads=True,
        )  # fmt: skip
        bent = [(s, m) for s, m in zip(self.slopes, moved, strict=True) if s.requires_grad]
        if not bent:  # a loss that is linear in the outputs
            return flatten([torch.zeros_like(p) for p in params])
        forces = torch.autograd.grad(  # H_L J v
            [s for s, _ in bent], self.outputs, [m for _, m in bent],
            retain_graph=True, materialize_grads=True,
        )  # fmt: skip
        return flatten(
            torch.autograd.grad(
                self.outputs, params, forces, retain_graph=True, materialize_grads=True
            )
        )


FLAVOURS: dict[str, type[Product]] = {
    "double-backward": DoubleBackward,
    "forward-over-reverse": ForwardOverReverse,
    "finite-difference": FiniteDifference,
    "gauss-newton": GaussNewton,
}
