"""Sharpness along a direction from three losses: no second derivative is taken.

With ``d`` the gradient in the optimizer's metric and a step ``a``::

    d'Hd = (L(w + a d) + L(w - a d) - 2 L(w)) / a^2       g'd = (L(w + a d) - L(w - a d)) / (2 a)
    S = d'Hd / g'd

Both come from the same losses in the same mode, so dropout, clipping or a scaled gradient in the
training step cannot make them disagree. Works through fused attention, compiled models and any
loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# The step changes the loss by a tenth to first order: large enough that float32 resolves the second
# difference (about 5e-3 of the loss on a quadratic), small enough to stay local.
RELATIVE_STEP = 0.1
TRUSTED = 2.0  # a slope further than this factor from the guess asks for a second look


@dataclass(frozen=True, slots=True)
class Secant:
    """A reading along a direction.

    Attributes:
        loss: ``L(w)``.
        slope: ``g'd`` from the losses, or ``None`` with a note.
        sharpness: ``d'Hd / g'd``, or ``None`` with a note.
        note: Why there is no sharpness.
    """

    loss: float
    slope: float | None = None
    sharpness: float | None = None
    note: str | None = None


@torch.no_grad()
def sharpness_along(
    loss_at: Callable[[], float],
    params: list[Tensor],
    d: list[Tensor],
    slope: float,
    *,
    farthest: float = math.inf,
) -> Secant:
    """Sharpness along ``d`` at the current parameters, which are left moved: restore them outside.

    Args:
        loss_at: Loss at the current values of ``params``, without side effects.
        params: Parameters, moved in place (unseen by autograd).
        d: Direction, same shapes.
        slope: First guess of ``g'd``, which sets the step.
        farthest: Largest step: near a floor of the loss a tenth of it lies far outside the valley.

    Cost: three forward passes (about one gradient), five where the guess was wrong by more than a
    factor of two (a clipped gradient) or the step went too far (near a floor of the loss).
    """
    loss = loss_at()
    if not math.isfinite(loss):
        return Secant(loss, note="loss not finite")
    if not (math.isfinite(slope) and slope > 0):
        return Secant(loss, note="no gradient along the update")
    params = [p.data for p in params]

    def pair(a: float) -> tuple[float, float]:
        torch._foreach_add_(params, d, alpha=-a)
        down = loss_at()
        torch._foreach_add_(params, d, alpha=2 * a)
        up = loss_at()
        torch._foreach_add_(params, d, alpha=-a)
        return (up - down) / (2 * a), (up + down - 2 * loss) / a**2

    reach = RELATIVE_STEP * max(abs(loss), 1e-12)
    step = min(reach / slope, farthest)
    rise, bend = pair(step)
    if math.isfinite(rise):
        # The gradient was clipped or scaled, or the step was not local: go by what the losses say.
        # Where the slope is small, the second order sets the reach.
        trusted = slope / TRUSTED <= rise <= slope * TRUSTED
        local = step if trusted else min(reach / max(abs(rise), slope), farthest)
        if abs(bend) * local**2 > 2 * reach:
            local = math.sqrt(2 * reach / abs(bend))
        if local != step:
            rise, bend = pair(local)
    if not math.isfinite(rise):
        return Secant(loss, note="loss not finite near the weights")
    if rise <= 0:
        return Secant(loss, note="the update's direction does not descend in probe mode")
    return Secant(loss, slope=rise, sharpness=bend / rise)
