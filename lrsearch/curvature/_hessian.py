"""Hessian-vector products, in the optimizer's own metric, as one symmetric linear operator.

``A v = P^-1/2 H P^-1/2 v`` with ``H`` the Hessian of the mean loss (or its Gauss-Newton part) and
``P`` the preconditioner (identity without one). Vectors are flat (n,), stay on the device, and no
product waits for the host.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature._differences import FiniteDifference
from lrsearch.curvature._metric import inverse_root
from lrsearch.curvature._objective import LossFn, Objective, told
from lrsearch.curvature._products import FLAVOURS, Product
from lrsearch.curvature._vector import flatten, unflatten, working_dtype
from lrsearch.curvature._verify import disagreement
from lrsearch.exceptions import MeasurementError, UnsupportedError

AUTOMATIC = ("double-backward", "forward-over-reverse", "finite-difference")


class Hessian:
    """The Hessian of a loss at a model's current parameters, as an operator; a context manager.

    Inside the block the model must not be changed; afterwards it is bit for bit what it was, and
    all graphs are gone. ``hessian @ v`` costs one product.

    Args:
        model: The model; of a DDP wrapper the bare module, averaged over its ranks.
        loss_fn: ``loss_fn(model, batch) -> scalar``.
        batches: One batch, or several micro-batches whose mean is meant: with several, one graph is
            held at a time, and built anew for each product.
        optimizer: Gives the parameters and the metric ``P`` (see `inverse_root`); without it all
            trainable parameters, and ``P = I``.
        full_batch: Whether the metric is that of exact gradients or of noisy ones.
        method: ``"double-backward"``, ``"forward-over-reverse"``, ``"finite-difference"`` (central,
            of gradients), ``"gauss-newton"`` (another operator: positive semi-definite for convex
            losses), or ``"auto"``: the first of the first three that works here.

    Raises:
        MeasurementError: If the loss cannot be evaluated or differentiated; it says what to pass.
        UnsupportedError: If there is no such method.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFn,
        *batches: Any,
        optimizer: Optimizer | None = None,
        full_batch: bool = True,
        method: str = "auto",
    ) -> None:
        if method != "auto" and method not in FLAVOURS:
            known = ", ".join(["auto", *FLAVOURS])
            raise UnsupportedError(f"no way to take a product is called {method!r}: use {known}.")
        self.objective = Objective(model, loss_fn, batches, optimizer=optimizer)
        self.method = method
        self.products = 0
        self.cost = 0.0
        self._optimizer, self._full_batch = optimizer, full_batch
        self._scale: Tensor | None = None
        self._product: Product | None = None
        self._reasons: dict[str, str] = {}  # methods that do not work here
        self._stack: ExitStack | None = None

    @property
    def size(self) -> int:
        """Number n of rows."""
        return self.objective.size

    def __enter__(self) -> Self:
        if self._optimizer is not None:
            roots = inverse_root(
                self._optimizer, self.objective.params, full_batch=self._full_batch
            )
            self._scale = None if roots is None else flatten(roots)
        stack = ExitStack()
        stack.enter_context(self.objective.measuring())
        self._stack = stack
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._stack is not None
        self._product, stack, self._stack = None, self._stack, None
        self._scale = None
        stack.__exit__(kind, error, trace)

    def gradient(self) -> tuple[float, Tensor]:
        """Mean loss, and ``P^-1/2 g`` (n,); cost: one gradient, none if a product has built one.

        Raises:
            MeasurementError: If it cannot be taken, or is not finite.
        """
        self._open()
        held = None
        if self._product is None and self._candidates()[:1] == ["double-backward"]:
            self._product = FLAVOURS["double-backward"](self.objective)
        if self._product is not None:
            before = self._product.cost
            try:
                held = self._product.base()
            except MeasurementError:
                raise
            except Exception as error:  # no graph of the gradient can be built
                self.cost += 1.0
                self._reject("double-backward", error)
            else:
                self.cost += self._product.cost - before
        if held is None:
            self.cost += 1.0
            held = self.objective.gradient()
        loss, vector = held
        return loss, self._scaled(vector)

    def random(self, seed: int = 0) -> Tensor:
        """A unit vector (n,) from a generator of its own; the same for the same seed."""
        vector = torch.zeros(self.size, dtype=self.dtype, device=self.device)
        generator = torch.Generator(self.device).manual_seed(seed)
        vector.normal_(generator=generator)
        unit: Tensor = vector / vector.norm()
        return unit

    @property
    def device(self) -> torch.device:
        """Where the vectors are."""
        return self.objective.params[0].device

    @property
    def dtype(self) -> torch.dtype:
        """Of the vectors."""
        return working_dtype(self.objective.params)

    def parameters(self, vector: Tensor) -> list[Tensor]:
        """A direction (n,) of the metric as changes of the parameters, ``P^-1/2 v``, in shapes."""
        self._open()
        return unflatten(self._scaled(vector), self.objective.params)

    def __matmul__(self, vector: Tensor) -> Tensor:
        """``P^-1/2 H P^-1/2 v`` (n,), mean over batches and ranks.

        Raises:
            MeasurementError: If no method works here, with the reason of each.
        """
        self._open()
        moved = self._scaled(vector)
        found = self._multiply(moved)
        self.products += 1
        return self._scaled(found)

    def quotient_further(self, vector: Tensor) -> float | None:
        """``v'Av / v'v`` by finite differences over three times the distance; cost: one product.

        ``None`` for other methods, whose products have no distance.
        """
        product = self._product
        if not isinstance(product, FiniteDifference):
            return None
        product.stretch = 3.0
        try:
            return float(vector @ (self @ vector) / (vector @ vector))
        finally:
            product.stretch = 1.0

    def _scaled(self, vector: Tensor) -> Tensor:
        return vector if self._scale is None else vector * self._scale

    def _candidates(self) -> list[str]:
        names = AUTOMATIC if self.method == "auto" else (self.method,)
        return [name for name in names if name not in self._reasons]

    def _multiply(self, moved: Tensor) -> Tensor:
        for name in self._candidates():
            try:
                found = self._attempt(name, moved)
            except MeasurementError:
                raise
            except Exception as error:  # of anything that a backward pass may call
                self._reject(name, error)
                continue
            self.method = name
            return found
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self._reasons.items())
        raise MeasurementError(
            f"no Hessian-vector product can be taken of this loss ({reasons}): pass "
            'method="finite-difference", or a loss_fn made of operations that can be '
            "differentiated twice"
        )

    def _attempt(self, name: str, moved: Tensor) -> Tensor:
        if self._product is None:
            self._product = FLAVOURS[name](self.objective)
        product, before = self._product, self._product.cost
        try:
            found = product(moved)
            if self.method == "auto" and product.doubtful:
                self._check(product, moved)
        finally:
            self.cost += product.cost - before
        return found

    def _check(self, product: Product, moved: Tensor) -> None:
        reference = FLAVOURS[AUTOMATIC[-1]](self.objective)
        wrong = disagreement(product, reference, moved, self.random()) if moved.any() else None
        self.cost += reference.cost
        if wrong is not None:
            raise NotImplementedError(wrong)

    def _reject(self, name: str, error: Exception) -> None:
        self._reasons[name], self._product = told(error), None

    def _open(self) -> None:
        if self._stack is None:
            raise MeasurementError("a Hessian is used outside its block: write `with Hessian(...)`")
