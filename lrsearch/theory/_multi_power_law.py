"""The multi-power law (Luo et al., ICLR 2025, arXiv 2503.12811)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.theory._curve import FloatArray, Rates, checked_rates, checked_steps
from lrsearch.theory._law import LossLaw, checked_past


@dataclass(frozen=True)
class MultiPowerLaw(LossLaw):
    """The loss as one power of the summed learning rate and one for every decrement of it.

    With `eta_k` the learning rate of update `k` (from 0), the loss after `s` updates is

        L(s) = L0 + A * (S_W + S_0(s))^-alpha - B * sum over k < s of
               (eta_{k-1} - eta_k) * G(eta_k^-gamma * S_k(s))
        S_k(s) = sum of eta_i over k <= i < s
        G(x) = 1 - (1 + C x)^-beta

    Rises count with the opposite sign, also those of a warm-up that is part of the learning rates
    (so did the authors fit; `L0` is then the loss after the rate has come back to 0). Without them,
    `S_W = peak * warmup / 2` is given as `previous_sum`. A learning rate of 0 has `G = 1` while
    later ones are above 0, and `G = 0` otherwise: the limits of the formula for `gamma < 1`.

    Attributes:
        L0: Loss that remains; in the unit of the loss.
        A: Amplitude; loss times learning rate to the power alpha.
        alpha: Exponent of the summed learning rate; dimensionless.
        B: Gain of the annealing; loss over learning rate.
        C: Speed of the annealing; learning rate to the power gamma - 1.
        beta: Exponent of the annealing; dimensionless.
        gamma: Exponent of the learning rate in its speed; dimensionless.

    Raises:
        InvalidScheduleError: If a coefficient is negative or not finite.

    Paper: Luo et al., "A Multi-Power Law for Loss Curve Prediction Across Learning Rate Schedules",
    ICLR 2025, arXiv 2503.12811.
    """

    LAW: ClassVar[str] = "multi-power"

    L0: float
    A: float
    alpha: float
    B: float
    C: float
    beta: float
    gamma: float

    def predict(
        self,
        learning_rates: Rates,
        steps: npt.ArrayLike | None = None,
        *,
        previous_rate: float | None = None,
        previous_sum: float = 0.0,
    ) -> FloatArray:
        """Return the losses after `steps` updates, `(k,)`, exactly.

        Cost: k times the number of updates at which the learning rate changed.

        Args:
            learning_rates: A schedule, or the learning rate of every update, `(T,)`.
            steps: Updates made, increasing whole numbers in [1, T], `(k,)`; by default T alone.
            previous_rate: See `LossLaw`.
            previous_sum: See `LossLaw`.

        Raises:
            InvalidScheduleError: If an argument makes no sense, or every learning rate before the
                first step is 0.
        """
        rates = checked_rates(learning_rates)
        recorded = checked_steps(steps, len(rates))
        before, past = checked_past(rates, previous_rate, previous_sum)
        drops = -np.diff(rates, prepend=before)
        sums = np.concatenate([[0.0], np.cumsum(rates)])  # sums[s] = S_0(s)
        changed = np.flatnonzero(drops)
        speed = self._speed(rates[changed])
        annealed = np.empty(len(recorded))
        for i, s in enumerate(recorded):
            count = int(np.searchsorted(changed, s))
            gone = sums[s] - sums[changed[:count]]
            annealed[i] = np.dot(drops[changed[:count]], self._gain(speed[:count], gone))
        total = past + sums[recorded]
        if total[0] <= 0.0:
            raise InvalidScheduleError("every learning rate up to the first step is 0: ask later")
        loss: FloatArray = self.L0 + self.A * total**-self.alpha - self.B * annealed
        return loss

    def final_gradient(
        self,
        learning_rates: Rates,
        *,
        previous_rate: float | None = None,
        previous_sum: float = 0.0,
    ) -> tuple[float, FloatArray]:
        """Return the loss after all updates and its gradient by every learning rate, `(T,)`; O(T).

        With `d_k = eta_{k-1} - eta_k`, `x_k = eta_k^-gamma S_k(T)` and `G_T = 0`,

            dL/deta_j = -alpha A S^(-alpha-1) - B [G_{j+1} - G_j - gamma d_j G'(x_j) x_j / eta_j
                        + sum over k <= j of d_k G'(x_k) eta_k^-gamma]

        Where a learning rate is 0 the terms with its powers are infinite and are left out.

        Raises:
            InvalidScheduleError: If an argument makes no sense.
        """
        rates = checked_rates(learning_rates)
        before, past = checked_past(rates, previous_rate, previous_sum)
        drops = -np.diff(rates, prepend=before)
        left = np.cumsum(rates[::-1])[::-1]  # S_k(T)
        total = past + float(left[0])
        speed = self._speed(rates)
        gain = self._gain(speed, left)
        loss = self.L0 + self.A * total**-self.alpha - self.B * float(np.dot(drops, gain))

        alive = rates > 0.0
        speed = np.where(alive, speed, 0.0)
        slope = drops * self.C * self.beta * (1.0 + self.C * speed * left) ** (-self.beta - 1.0)
        own = np.divide(speed * left, rates, out=np.zeros_like(rates), where=alive)
        annealed = np.cumsum(slope * speed) - self.gamma * slope * own
        if previous_rate is None:
            gain[0] = 0.0  # the first learning rate is its own past
        annealed += np.diff(gain, append=0.0)
        power = -self.alpha * self.A * total ** (-self.alpha - 1.0)
        return loss, power - self.B * annealed

    def _speed(self, rates: FloatArray) -> FloatArray:
        """Return `eta^-gamma`, infinite at 0, `(n,) -> (n,)`."""
        if self.gamma == 0.0:
            return np.ones_like(rates)
        speed = np.full_like(rates, np.inf)
        return np.power(rates, -self.gamma, out=speed, where=rates > 0.0)

    def _gain(self, speed: FloatArray, gone: FloatArray) -> FloatArray:
        """Return `G(speed * gone)`, `(n,), (n,) -> (n,)`; 0 where nothing has gone by."""
        if self.C == 0.0 or self.beta == 0.0:  # nothing anneals, however fast
            return np.zeros_like(gone)
        x = np.multiply(speed, gone, out=np.zeros_like(gone), where=gone > 0.0)
        gain: FloatArray = -np.expm1(-self.beta * np.log1p(self.C * x))
        return gain
