"""Stability constants of optimizers: training along ``d`` is stable while ``eta * S < c``.

``S = d'Hd / g'd`` with ``d = P^-1 g`` the gradient in the optimizer's own metric ``P``.
Sources: Cohen et al. 2021 (full batch, 2103.00065), Cohen et al. 2022 (adaptive, 2207.14484),
Andreyev & Beneventano 2024/2026 (mini-batches, 2412.20553 and 2604.14108).
"""

from __future__ import annotations

from lrsearch.exceptions import UnsupportedError


def full_batch_threshold(
    momentum: float = 0.0,
    *,
    nesterov: bool = False,
    averaged: bool = False,
    share: float | None = None,
) -> float:
    """Constant of deterministic gradient descent ``v = b v + g, w -= eta v``.

    Heavy ball ``2 (1 + b)``; Nesterov (``w -= eta (g + b v)``) ``2 (1 + b) / (1 + 2 b)``; plain
    (b = 0) ``2``. Where the buffer is an average ``m = b m + (1 - b) g`` (``averaged``) these are
    divided by ``1 - b``: 38 for Adam with b = 0.9.

    Args:
        momentum: b.
        nesterov: Whether the step looks ahead.
        averaged: Whether the buffer is an average.
        share: s of a step ``eta ((1 - s) g + s m)`` along an average, ``2 (1 + b) / (1 + b - 2 b
            s)`` (quasi-hyperbolic momentum, Ma & Yarats 2019, 1810.06801; for its threshold we
            solved the recursion): 1 is Adam, b is Nesterov, between them NAdam's warm-up.

    Raises:
        UnsupportedError: If the momentum is outside [0, 1), or the share outside [0, 1].
    """
    _check(momentum)
    if share is not None:
        if not 0.0 <= share <= 1.0:
            raise UnsupportedError(f"share must lie in [0, 1], got {share!r}.")
        return 2.0 * (1.0 + momentum) / (1.0 + momentum - 2.0 * momentum * share)
    constant = 2.0 * (1.0 + momentum) / (1.0 + 2.0 * momentum if nesterov else 1.0)
    return constant / (1.0 - momentum) if averaged else constant


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
