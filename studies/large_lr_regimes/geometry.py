"""Weights on a sphere: the projection, the angle between two of them, the barrier on the way.

Every function takes weights (n, d), one network a row, and is invariant to its scale where the
networks are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def project(w: Tensor, radius: float = 1.0) -> Tensor:
    """Put each row back on the sphere: ``radius * w / |w|``; (n, d) -> (n, d), a new tensor."""
    return w * (radius / torch.linalg.vector_norm(w, dim=-1, keepdim=True))


def step(w: Tensor, gradient: Tensor, elr: Tensor | float, radius: float = 1.0) -> Tensor:
    """One projected step ``project(w - elr radius^2 g)`` (2410.22113, section 3); ``elr`` (n, 1).

    A scale-invariant loss has a gradient that shrinks as 1 / radius; with the factor radius^2 the
    path on the sphere is the same for every radius.
    """
    return step_(w.clone(), gradient, elr, radius)


def step_(w: Tensor, gradient: Tensor, elr: Tensor | float, radius: float = 1.0) -> Tensor:
    """`step`, with ``w`` written over."""
    w.sub_(gradient * (elr * radius**2))
    return w.mul_(radius / torch.linalg.vector_norm(w, dim=-1, keepdim=True))


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Radians between rows, in [0, pi]; (n, d), (n, d) -> (n,), in double precision.

    By ``2 atan2(|u - v|, |u + v|)`` of the unit vectors, which stays exact near 0 and pi, where the
    arc cosine loses half of the digits.
    """
    u, v = (project(x.double()) for x in (a, b))
    norm = torch.linalg.vector_norm
    return 2 * torch.atan2(norm(u - v, dim=-1), norm(u + v, dim=-1))


def barrier(errors: Tensor) -> Tensor:
    """Largest rise above the chord, ``max_a [err(a) - (1 - a) err(0) - a err(1)]_+``.

    ``errors`` (..., points) at equally spaced ``a`` in [0, 1]; (...,), never negative.
    """
    a = torch.linspace(0, 1, errors.shape[-1], dtype=torch.float64)
    errors = errors.double()
    chord = (1 - a) * errors[..., :1] + a * errors[..., -1:]
    return (errors - chord).amax(dim=-1).clamp(min=0.0)


def path_errors(
    a: Tensor, b: Tensor, error: Callable[[Tensor], Tensor], points: int, radius: float = 1.0
) -> Tensor:
    """``error`` (n, d) -> (n,) along the chord from a to b, each point put back on the sphere."""
    places = torch.linspace(0, 1, points).tolist()
    return torch.stack([error(project((1 - t) * a + t * b, radius)) for t in places], dim=-1)


def sharpness(
    w: Tensor, gradient: Callable[[Tensor], Tensor], iterations: int, h: float = 1e-4
) -> Tensor:
    """Largest curvature along the sphere of radius one, by power iteration; (n, d) -> (n,).

    ``gradient`` (n, d) -> (n, d) of a scale-invariant loss, in double precision; products with the
    Hessian are its central differences. Times ``|w|^2``: what a rate on the sphere feels. Comes
    close to the eigenvalue from below. Cost: two gradients an iteration.
    """
    w = w.double()
    radius = torch.linalg.vector_norm(w, dim=-1, keepdim=True)
    unit, reach = w / radius, h * radius
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(w.shape, generator=generator, dtype=torch.float64)
    value = torch.zeros(len(w), dtype=torch.float64)
    for _ in range(iterations):
        u = project(u - (u * unit).sum(dim=-1, keepdim=True) * unit)
        product = (gradient(w + reach * u) - gradient(w - reach * u)) / (2 * reach)
        value = (u * product).sum(dim=-1) * radius.squeeze(-1) ** 2
        u = product  # what of it points along w is taken out in the next turn
    return value
