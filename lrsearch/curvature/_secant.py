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
NEARER = 0.1  # of a step that found less slope than the guess
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
    loss_at: Callable[[], float], params: list[Tensor], d: list[Tensor], slope: float
) -> Secant:
    """Sharpness along ``d`` at the current parameters, which are left moved: restore them outside.

    Args:
        loss_at: Loss at the current values of ``params``, without side effects.
        params: Parameters, moved in place (unseen by autograd).
        d: Direction, same shapes.
        slope: First guess of ``g'd``, which sets the step.

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
    step = reach / slope
    rise, bend = pair(step)
    if math.isfinite(rise):
        near = _nearer(step, reach, slope, rise, bend)
        if near != step:
            again = pair(near)
            # Too little of a rise from afar: either the guess was too large, or the valley is small
            # and its walls are flat; then the nearer look finds more of it.
            if not (abs(rise) < slope / TRUSTED and again[0] < TRUSTED * abs(rise)):
                rise, bend = again
    if not math.isfinite(rise):
        return Secant(loss, note="loss not finite near the weights")
    if rise <= 0:
        return Secant(loss, note="the update's direction does not descend in probe mode")
    return Secant(loss, slope=rise, sharpness=bend / rise)


def _nearer(step: float, reach: float, slope: float, rise: float, bend: float) -> float:
    """Where to look again: at the same step, if the first look was local and its guess right."""
    near = step
    if abs(rise) > slope * TRUSTED:  # the gradient was clipped
        near = reach / abs(rise)
    elif rise < slope / TRUSTED:
        near = step * NEARER
    if abs(bend) * near**2 > 2 * reach:  # where the slope is small, the second order sets the reach
        near = min(near, math.sqrt(2 * reach / abs(bend)))
    return near
