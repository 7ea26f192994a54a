"""A test for a loss that has begun to climb: Page and Hinkley's, on a smoothed loss.

Symbols: ``l`` loss of a mini-batch, ``f`` its share of the data (batch size / examples),

- ``r``       running mean of ``l`` over the first ``1/f`` steps, then ``r <- (1 - f) r + f l``
- ``m``       running mean of ``r``
- ``U``       sum of ``r - m - drift l_0``; an alarm is ``U - min U > threshold l_0``

Page 1954; Hinkley 1970; as a guard of a learning rate: Schoenauer-Sebag et al. 2017 (1709.01427),
whose test has no drift and takes ``l_0`` from the first step, once. Pure noise then sets it off:
``1 + 0.3 N(0, 1)`` raises 50 to 80 alarms in 5000 steps, with a drift of 0.05 fewer than ten.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from lrsearch.exceptions import CheckpointError, UnsupportedError

_FIELDS = ("scale", "alarms", "count", "smooth", "mean", "total", "lowest")


class PageHinkley:
    """Alarm on a loss that climbs above its running mean; a few floats, O(1) a step.

    Args:
        fraction: ``f``, share of the data in one mini-batch.
        threshold: Rise that is an alarm, in units of the first loss; the authors' 0.1.
        drift: Rise per step that is forgiven, in units of the first loss; the authors have 0.

    Raises:
        UnsupportedError: If a number is out of its range.
    """

    def __init__(
        self, fraction: float = 0.01, *, threshold: float = 0.1, drift: float = 0.0
    ) -> None:
        if not 0.0 < fraction <= 1.0:
            raise UnsupportedError(f"fraction must be in (0, 1], got {fraction!r}.")
        if not (math.isfinite(threshold) and threshold > 0.0):
            raise UnsupportedError(f"threshold must be positive, got {threshold!r}.")
        if not (math.isfinite(drift) and drift >= 0.0):
            raise UnsupportedError(f"drift must not be negative, got {drift!r}.")
        self.fraction = fraction
        self.threshold = threshold
        self.drift = drift
        self.scale = 0.0  # size of the first loss; 0 before it
        self.alarms = 0
        self.count = 0  # losses since the test began anew
        self.smooth = self.mean = self.total = self.lowest = 0.0

    def update(self, loss: float) -> bool:
        """Take one finite loss; whether it is an alarm, after which the test begins anew."""
        if self.scale == 0.0:
            self.scale = abs(loss)
        self.count += 1
        weight = 1.0 / self.count if self.count * self.fraction <= 1.0 else self.fraction
        self.smooth += weight * (loss - self.smooth)
        self.mean += (self.smooth - self.mean) / self.count
        self.total += self.smooth - self.mean - self.drift * self.scale
        self.lowest = min(self.lowest, self.total)
        if self.total - self.lowest <= self.threshold * self.scale:
            return False
        self.alarm()
        return True

    def alarm(self) -> None:
        """Count an alarm, also one that was seen by other means, and begin anew."""
        self.alarms += 1
        self.count = 0
        self.smooth = self.mean = self.total = self.lowest = 0.0

    def state_dict(self) -> dict[str, float]:
        """What the test remembers, as plain numbers."""
        return {name: getattr(self, name) for name in _FIELDS}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from `state_dict`.

        Raises:
            CheckpointError: If it is no state of this test.
        """
        if set(state) != set(_FIELDS):
            raise CheckpointError(
                f"not the state of a Page-Hinkley test: expected {list(_FIELDS)}, "
                f"got {sorted(state)}."
            )
        for name in _FIELDS:
            setattr(self, name, state[name])
