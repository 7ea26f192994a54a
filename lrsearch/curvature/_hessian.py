"""Hessian-vector products, in the optimizer's own metric, as one symmetric linear operator.

``A v = P^-1/2 H P^-1/2 v`` with ``H`` the Hessian of the mean loss (or its Gauss-Newton part) and
``P`` the preconditioner (identity without one). Vectors are flat (n,), stay on the device, and no
product waits for the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature._metric import inverse_root
from lrsearch.curvature._objective import LossFn, Objective
from lrsearch.curvature._products import FLAVOURS, Product
from lrsearch.curvature._vector import flatten, unflatten
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
        self._stack: ExitStack | None = None

    @property
    def size(self) -> int:
        """Number n of rows."""
        return self.objective.size

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._stack.enter_context(self.objective.measuring())
        if self._optimizer is not None:
            roots = inverse_root(
                self._optimizer, self.objective.params, full_batch=self._full_batch
            )
            self._scale = None if roots is None else flatten(roots)
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
        """Mean loss, and ``P^-1/2 g`` (n,); cost: one gradient, none if a product has built one."""
        self._open()
        held = None
        if self._product is None and self.method in ("auto", "double-backward"):
            self._product = FLAVOURS["double-backward"](self.objective)
        if self._product is not None:
            before = self._product.cost
            try:
                held = self._product.base()
            except (RuntimeError, NotImplementedError):  # no graph of the gradient can be built
                if self.method != "auto":
                    raise
                self._product = None
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
        wide = any(p.dtype == torch.float64 for p in self.objective.params)
        return torch.float64 if wide else torch.float32

    def parameters(self, vector: Tensor) -> list[Tensor]:
        """A direction (n,) of the metric as changes of the parameters, ``P^-1/2 v``, in shapes."""
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

    def _scaled(self, vector: Tensor) -> Tensor:
        return vector if self._scale is None else vector * self._scale

    def _multiply(self, moved: Tensor) -> Tensor:
        names: Sequence[str] = AUTOMATIC if self.method == "auto" else (self.method,)
        reasons = []
        for name in names:
            try:
                if self._product is None:
                    self._product = FLAVOURS[name](self.objective)
                before = self._product.cost
                found = self._product(moved)
            except MeasurementError:
                raise
            except (RuntimeError, NotImplementedError, TypeError) as error:
                reasons.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
                self._product = None
                continue
            self.cost += self._product.cost - before
            self.method = name
            return found
        raise MeasurementError(
            "no Hessian-vector product can be taken of this loss ("
            + "; ".join(reasons)
            + '): pass method="finite-difference", or a loss_fn made of operations that can be '
            "differentiated twice"
        )

    def _open(self) -> None:
        if self._stack is None:
            raise MeasurementError("a Hessian is used outside its block: write `with Hessian(...)`")
