"""Extreme eigenvalues of a symmetric operator by Lanczos with full reorthogonalisation.

After j products with ``A`` the start vector spans a Krylov space; the Ritz values of ``A`` in it
are its best guesses, and a residual ``|A y - theta y|`` bounds the distance to *an* eigenvalue.
The distance of theta from it is smaller, ``residual^2 / gap`` with the gap to the other eigenvalues
(Kato & Temple; Parlett 1998, ch. 11). A short Krylov space sees its neighbours too far off, so the
gap is taken as the distance to the next Ritz value, but a twentieth of theta at most: a relative
error of 0.02 is believed at a relative residual of about 0.03.

Small residuals do not prove that no larger eigenvalue exists: a start vector without a component
along its eigenvector never sees it. So cold starts hold a random part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from lrsearch.exceptions import UnsupportedError

Ends = Literal["top", "both"]
FARTHEST = 0.05  # gap to other eigenvalues that an estimated error counts on, relative, at most
CHUNK = 4  # vectors that the basis grows by at first; then it doubles


@dataclass(frozen=True, slots=True)
class Eigenvalues:
    """Ritz values of a symmetric operator, with what is known of their errors.

    Attributes:
        values: The k largest, in descending order.
        residuals: ``|A y - theta y|`` of each: an eigenvalue lies this close.
        errors: Estimated distance from it, ``min(residual, residual^2 / gap)``.
        lowest: Smallest Ritz value; an upper bound of the smallest eigenvalue.
        lowest_error: Its estimated error.
        hvps: Products with the operator.
        cost: What they and the start cost, in gradients.
        steady: False where products are finite differences and give another value over a longer
            distance, as the kinks of a ReLU make them do: do not believe the values then.
        converged: Whether all that was asked for is within the tolerance.
        reason: Why it stopped.
        vectors: Unit Ritz vectors (k, n), on the device.
        quotient: ``v'Av / v'v`` of the start vector.
    """

    values: tuple[float, ...]
    residuals: tuple[float, ...]
    errors: tuple[float, ...]
    lowest: float
    lowest_error: float
    hvps: int
    converged: bool
    reason: str
    vectors: Tensor = field(repr=False, compare=False)
    quotient: float = math.nan
    cost: float = 0.0
    steady: bool = True

    @property
    def value(self) -> float:
        """The largest."""
        return self.values[0]

    @property
    def residual(self) -> float:
        """Of the largest."""
        return self.residuals[0]


def lanczos(
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    k: int = 1,
    ends: Ends = "top",
    tolerance: float = 0.02,
    max_products: int = 32,
    seed: int = 0,
) -> Eigenvalues:
    """Largest eigenvalues (and the smallest) of a symmetric operator; no convergence, no error.

    Args:
        product: ``A v`` for a vector (n,), without side effects.
        start: Vector (n,); not zero.
        k: How many of the largest.
        ends: ``"both"`` asks for convergence of the smallest as well.
        tolerance: Largest estimated error, relative to the largest magnitude asked for.
        max_products: Where to stop at the latest.
        seed: Of the random vectors that are drawn where the Krylov space is exhausted.

    Returns:
        The Ritz values; memory: one vector per product.

    Raises:
        UnsupportedError: If a number makes no sense.
    """
    if k < 1 or max_products < 1 or not tolerance >= 0 or ends not in ("top", "both"):
        raise UnsupportedError(
            "k and the products to take must be at least 1, the tolerance not negative and the "
            f"ends 'top' or 'both', got k={k!r}, {max_products!r} products, "
            f"tolerance={tolerance!r}, ends={ends!r}."
        )
    n = start.numel()
    k, last = min(k, n), min(max_products, n)
    basis = start.new_empty((min(last, CHUNK), n))
    basis[0] = start / start.norm()
    diagonal: list[float] = []
    below: list[float] = []
    ritz, failed = _Ritz.none(), False
    reason = f"stopped after {last} products, the most it may take"
    for j in range(last):
        w = product(basis[j])
        held = basis[: j + 1]
        alpha = w @ basis[j]
        for _ in range(2):  # once loses orthogonality, twice is enough
            w = w - held.T @ (held @ w)
        alpha_, beta_ = torch.stack([alpha, w.norm()]).tolist()
        if not (math.isfinite(alpha_) and math.isfinite(beta_)):
            reason, failed = "a product is not finite", True
            break
        diagonal.append(alpha_)
        scale = max(abs(a) for a in diagonal)
        dependent = beta_ <= 1e3 * torch.finfo(start.dtype).eps * max(scale, *below, 1e-300)
        ritz = _Ritz.of(diagonal, below, 0.0 if dependent or j + 1 == n else beta_)
        if j + 1 == n:
            reason = "complete: as many products as rows"
            break
        if j + 1 >= k and ritz.converged(k, ends, tolerance):
            reason = f"estimated error within {tolerance:g}"
            break
        if j + 1 < last:
            below.append(0.0 if dependent else beta_)
            if j + 1 == len(basis):
                basis = torch.cat([basis, torch.empty_like(basis[: last - len(basis)])])
            basis[j + 1] = _fresh(held, seed + j + 1) if dependent else w / w.norm()
    count = len(diagonal)
    if not count:  # nothing is known at all
        nothing = (math.nan,) * k
        return Eigenvalues(nothing, nothing, nothing, math.nan, math.nan, 1, False, reason,
                           basis[:1].expand(k, n))  # fmt: skip
    top = list(range(len(ritz.values) - 1, max(len(ritz.values) - 1 - k, -1), -1))
    weights = torch.as_tensor(ritz.weights[:, top].T.copy(), dtype=start.dtype).to(start.device)
    return Eigenvalues(
        values=tuple(float(ritz.values[i]) for i in top),
        residuals=tuple(float(ritz.residuals[i]) for i in top),
        errors=tuple(ritz.error(i) for i in top),
        lowest=float(ritz.values[0]),
        lowest_error=ritz.error(0),
        hvps=count + failed,
        converged=len(top) == k and (count == n or ritz.converged(k, ends, tolerance)),
        reason=reason,
        vectors=weights @ basis[:count],
        quotient=diagonal[0],
    )


@dataclass(frozen=True, slots=True)
class _Ritz:
    """Eigenvalues of the tridiagonal matrix in ascending order, with residuals and weights."""

    values: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray

    @classmethod
    def none(cls) -> _Ritz:
        return cls(np.empty(0), np.empty(0), np.empty((0, 0)))

    @classmethod
    def of(cls, diagonal: list[float], below: list[float], beta: float) -> _Ritz:
        values, weights = eigh_tridiagonal(np.array(diagonal), np.array(below))
        return cls(values, abs(beta * weights[-1]), weights)

    def error(self, i: int) -> float:
        """Estimated distance of the i-th Ritz value from an eigenvalue."""
        residual, value = float(self.residuals[i]), float(self.values[i])
        others = np.delete(self.values, i)
        space = min([FARTHEST * abs(value), *abs(others - value)])
        return float(min(residual, residual**2 / space)) if space > 0 else residual

    def converged(self, k: int, ends: Ends, tolerance: float) -> bool:
        """Whether the errors of what was asked for are small against the largest magnitude."""
        count = len(self.values)
        asked = set(range(count - k, count)) | ({0} if ends == "both" else set())
        if min(asked) < 0 or (ends == "both" and count < 2):
            return False
        scale = max(abs(float(self.values[i])) for i in asked)
        return all(self.error(i) <= tolerance * scale for i in asked)


def _fresh(held: Tensor, seed: int) -> Tensor:
    """A random unit vector orthogonal to the rows of ``held``."""
    generator = torch.Generator(held.device).manual_seed(seed)
    vector: Tensor = torch.empty_like(held[0]).normal_(generator=generator)
    for _ in range(2):
        vector = vector - held.T @ (held @ vector)
    unit: Tensor = vector / vector.norm()
    return unit
