"""Eigenvalue solvers of the neighbours, on a product given as a function: what each column bought.

Every solver returns its estimates after each product, so that its own stop and a perfect stop can
both be read off. `power` is PyHessian's loop and hessian-eigenthings' without momentum; `lobpcg`
has one column and gets both of its images by recurrence, which is cheaper than any in use.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

Matvec = Callable[[Tensor], Tensor]


@dataclass
class History:
    """After each product: the estimate, and its residual relative to it."""

    values: list[float] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)

    def plain(self) -> dict[str, list[float]]:
        return {
            "values": [float(f"{v:.7g}") for v in self.values],
            "residuals": [float(f"{r:.3g}") for r in self.residuals],
        }


def random_start(like: Tensor, seed: int) -> Tensor:
    drawn = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(like)


def power(matvec: Matvec, start: Tensor, most: int = 100) -> History:
    """Power iteration until the cap, or until both rules of the neighbours would have stopped."""
    found, v = History(), start / start.norm()
    for _ in range(most):
        image = matvec(v)
        value = float(v @ image)
        residual = float((image - value * v).norm()) / max(abs(value), 1e-12)
        change = abs(value - found.values[-1]) / max(abs(value), 1e-12) if found.values else 1.0
        found.values.append(value)
        found.residuals.append(residual)
        if change < 1e-6 and residual < 1e-4:
            break
        v = image / (image.norm() + 1e-6)
    return found


def lobpcg(matvec: Matvec, start: Tensor, most: int = 60) -> History:
    """Locally optimal conjugate gradients for the largest eigenvalue, one new column a step."""
    found = History()
    x = (start / start.norm()).double()
    ax = matvec(x.to(start)).double()
    p = ap = None
    while True:
        value = float(x @ ax)
        residual = ax - value * x
        found.values.append(value)
        found.residuals.append(float(residual.norm()) / max(abs(value), 1e-12))
        if found.residuals[-1] < 1e-3 or len(found.values) >= most:
            return found
        r = residual - x * (x @ residual)
        r = r / r.norm()
        columns, images = [x, r], [ax, matvec(r.to(start)).double()]
        if p is not None:
            columns, images = [*columns, p], [*images, ap]
        basis, triangle = torch.linalg.qr(torch.stack(columns, 1))
        moved = torch.linalg.solve_triangular(
            triangle, torch.stack(images, 1), upper=True, left=False
        )
        small = basis.T @ moved
        weights = torch.linalg.eigh((small + small.T) / 2)[1][:, -1]
        rest = weights.clone()
        rest[0] = 0.0  # the first column of the basis is x
        length = float(rest.norm())
        p, ap = (basis @ rest / length, moved @ rest / length) if length > 1e-12 else (None, None)
        x, ax = basis @ weights, moved @ weights
        norm = x.norm()
        x, ax = x / norm, ax / norm


def ritz(vectors: list[Tensor], images: list[Tensor]) -> History:
    """Largest Ritz value after each product of a Lanczos run, from its orthonormal basis."""
    basis, moved = torch.stack(vectors).double(), torch.stack(images).double()
    small = (basis @ moved.T).cpu().numpy()
    small, found = (small + small.T) / 2, History()
    for j in range(1, len(vectors) + 1):
        values, weights = np.linalg.eigh(small[:j, :j])
        top = torch.from_numpy(weights[:, -1].copy()).to(basis)
        rest = top @ moved[:j] - values[-1] * (top @ basis[:j])
        found.values.append(float(values[-1]))
        found.residuals.append(float(rest.norm()) / max(abs(float(values[-1])), 1e-12))
    return found


def eigsh(matvec: Matvec, start: Tensor, tolerance: float) -> tuple[float, int]:
    """scipy's ARPACK with its other settings at their defaults; value and products."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator
    from scipy.sparse.linalg import eigsh as solve

    count = 0

    def product(v: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        return matvec(torch.from_numpy(v.reshape(-1).copy()).to(start)).cpu().numpy()

    n = start.numel()
    operator = LinearOperator((n, n), matvec=product, dtype=np.float32)
    v0 = start.cpu().numpy()
    try:
        value = solve(operator, k=1, which="LA", tol=tolerance, v0=v0, return_eigenvectors=False)
    except ArpackNoConvergence as error:
        value = error.eigenvalues if len(error.eigenvalues) else [float("nan")]
    return float(value[0]), count


def eigenthings(matvec: Matvec, start: Tensor, products: int, seed: int) -> History | None:
    """hessian-eigenthings' Lanczos: its value for every ``max_iter``; None where not installed."""
    try:
        from hessian_eigenthings import LambdaOperator, lanczos
    except ImportError:
        return None
    vectors: list[Tensor] = []
    images: list[Tensor] = []

    def product(v: Tensor) -> Tensor:
        vectors.append(v.clone())
        images.append(matvec(v))
        return images[-1].clone()

    operator = LambdaOperator(product, start.numel(), device=start.device, dtype=start.dtype)
    result = lanczos(operator, k=1, max_iter=products, which="LA", seed=seed)
    found = ritz(vectors, images)
    top, ours = float(result.eigenvalues[0]), found.values[-1]
    if abs(ours - top) > 1e-3 * abs(top):
        raise AssertionError(f"reconstructed {ours}, hessian-eigenthings says {top}")
    return found


def curvlinops_operator(model: torch.nn.Module, batch: tuple[Tensor, Tensor]):
    """curvlinops' Hessian of the mean cross-entropy; None where not installed."""
    try:
        from curvlinops import HessianLinearOperator
    except ImportError:
        return None
    params = [p for p in model.parameters() if p.requires_grad]
    return HessianLinearOperator(
        model, torch.nn.CrossEntropyLoss(), params, [batch], check_deterministic=False
    )


def eigenthings_operator(model: torch.nn.Module, batch: tuple[Tensor, Tensor], loss_fn):
    """hessian-eigenthings' Hessian at its defaults; None where not installed."""
    try:
        from hessian_eigenthings import HessianOperator
    except ImportError:
        return None
    return HessianOperator(model, [batch], loss_fn)
