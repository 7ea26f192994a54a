"""Does something happen in a run that asks for a denser look?"""

from __future__ import annotations

import math

from lrsearch.stability._reading import Reading

NEAR = 0.8  # normalised sharpness from which the edge is near
JUMP = 2.0  # factor between two readings that is more than drift


def event(previous: Reading | None, reading: Reading) -> bool:
    """Whether a reading differs from the one before as it does at an event.

    An event is a crossing of ``rho = 0.8`` or ``rho = 1`` in either direction, a sharpness or a
    training loss that changed by more than a factor of two (a loss: that grew), or an update that
    raised the loss of its own batch where the one before had lowered it.
    """
    if previous is None:
        return False
    for rho in ("rho", "rho_top"):
        before, now = getattr(previous, rho), getattr(reading, rho)
        if before is None or now is None:
            continue
        if any((before < mark) != (now < mark) for mark in (NEAR, 1.0)):
            return True
    return (
        _ratio(reading.loss, previous.loss) > JUMP
        or abs(math.log(_ratio(reading.sharpness, previous.sharpness))) > math.log(JUMP)
        or (_sign(previous.decrease_ratio) > 0 > _sign(reading.decrease_ratio))
    )


def _ratio(now: float | None, before: float | None) -> float:
    """Ratio of two positive numbers, one where it says nothing."""
    if now is None or before is None or not (now > 0 and before > 0):
        return 1.0
    return now / before if math.isfinite(now) and math.isfinite(before) else 1.0


def _sign(value: float | None) -> float:
    return 0.0 if value is None else value
