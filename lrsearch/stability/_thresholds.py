"""Stability constants of optimizers: training along ``d`` is stable while ``eta * S < c``.

``S = d'Hd / g'd`` with ``d = P^-1 g`` the gradient in the optimizer's own metric ``P``.
Sources: Cohen et al. 2021 (full batch, 2103.00065), Cohen et al. 2022 (adaptive, 2207.14484),
Andreyev & Beneventano 2024/2026 (mini-batches, 2412.20553 and 2604.14108).
"""

from __future__ import annotations

from lrsearch.exceptions import UnsupportedError


def full_batch_threshold(momentum: float = 0.0, *, nesterov: bool = False) -> float:
    """Constant of deterministic gradient descent ``v = b v + g, w -= eta v``.

    Heavy ball ``2 (1 + b)``; Nesterov ``2 (1 + b) / (1 + 2 b)``; plain (b = 0) ``2``.

    Raises:
        UnsupportedError: If the momentum is outside [0, 1).
    """
    _check(momentum)
    if nesterov:
        return 2.0 * (1.0 + momentum) / (1.0 + 2.0 * momentum)
    return 2.0 * (1.0 + momentum)


def small_batch_threshold(momentum: float = 0.0, *, averaged: bool = False) -> float:
    """Constant when gradient noise dominates: ``2 (1 - b)`` for ``v = b v + g``, else 2.

    Noise makes successive gradients nearly independent, so momentum only stretches a step to
    ``eta / (1 - b)``. Where the buffer is an average ``m = b m + (1 - b) g`` (Adam, ``averaged``)
    the stretch is already divided out and the constant is 2.

    Raises:
        UnsupportedError: If the momentum is outside [0, 1).
    """
    _check(momentum)
    return 2.0 if averaged else 2.0 * (1.0 - momentum)


def _check(momentum: float) -> None:
    if not 0.0 <= momentum < 1.0:
        raise UnsupportedError(
            f"momentum must lie in [0, 1) to have a stability threshold, got {momentum!r}."
        )
