"""Scaling law with learning-rate annealing (Tissue, Wang, Wang 2024, arXiv 2408.11029)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.theory._curve import FloatArray, IntArray, Rates, checked_rates, checked_steps
from lrsearch.theory._law import LossLaw, checked_past

# The paper reports 0.99 to 0.999; its fits use 0.999, a memory of a thousand updates.
DECAY = 0.999


@dataclass(frozen=True)
class AnnealingLaw(LossLaw):
    """The loss as a power of the summed learning rate minus the area of its annealing.

    With `eta_i` the learning rate of update `i` (from 0), the loss after `s` updates is

        L(s) = L0 + A * S1(s)^-alpha - C * S2(s)
        S1(s) = sum of eta_i over i < s
        S2(s) = sum of m_i over i < s,   m_i = decay * m_{i-1} + (eta_{i-1} - eta_i),   m_{-1} = 0

    A constant learning rate has `S2 = 0`. `S2` is linear in the decrements: the best schedule under
    this law is a cliff, one drop to nothing. It predicts curves of usual schedules well; to shape a
    schedule take the multi-power law.

    Attributes:
        L0: Loss that remains; in the unit of the loss.
        A: Amplitude; loss times learning rate to the power alpha.
        alpha: Exponent of the summed learning rate; dimensionless.
        C: Gain of the annealing; loss over learning rate.
        decay: Memory of the annealing per update, lambda in the paper; in [0, 1).

    Raises:
        InvalidScheduleError: If a coefficient is negative or not finite, or decay >= 1.

    Paper: Tissue, Wang and Wang, "Scaling Law with Learning Rate Annealing", arXiv 2408.11029.
    """

    LAW: ClassVar[str] = "annealing"

    L0: float
    A: float
    alpha: float
    C: float
    decay: float = DECAY

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decay >= 1.0:
            raise InvalidScheduleError(
                f"decay of the annealing law must be below 1, got {self.decay}; the paper has 0.999"
            )

    def predict(
        self,
        learning_rates: Rates,
        steps: npt.ArrayLike | None = None,
        *,
        previous_rate: float | None = None,
        previous_sum: float = 0.0,
    ) -> FloatArray:
        """Return the losses after `steps` updates, `(k,)`; O(T).

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
        past = checked_past(rates, previous_rate, previous_sum)
        s1, s2 = annealing_sums(rates, checked_steps(steps, len(rates)), self.decay, *past)
        if s1[0] <= 0.0:
            raise InvalidScheduleError("every learning rate up to the first step is 0: ask later")
        loss: FloatArray = self.L0 + self.A * s1**-self.alpha - self.C * s2
        return loss

    def final_gradient(
        self,
        learning_rates: Rates,
        *,
        previous_rate: float | None = None,
        previous_sum: float = 0.0,
    ) -> tuple[float, FloatArray]:
        """Return the loss after all updates and its gradient by every learning rate, `(T,)`; O(T).

        With `w_k = (1 - decay^(T-k)) / (1 - decay)`, `S2(T)` is the sum of
        `(eta_{k-1} - eta_k) * w_k`.

        Raises:
            InvalidScheduleError: If an argument makes no sense.
        """
        rates = checked_rates(learning_rates)
        before, past = checked_past(rates, previous_rate, previous_sum)
        total = past + float(rates.sum())
        left = np.arange(len(rates), 0, -1, dtype=np.float64)
        worth = (1.0 - self.decay**left) / (1.0 - self.decay)
        area = float(np.dot(worth, -np.diff(rates, prepend=before)))
        loss = self.L0 + self.A * total**-self.alpha - self.C * area
        if previous_rate is None:
            worth[0] = 0.0  # the first learning rate is its own past
        slope = -self.alpha * self.A * total ** (-self.alpha - 1.0)
        return loss, slope - self.C * np.diff(worth, append=0.0)


def annealing_sums(
    rates: FloatArray, steps: IntArray, decay: float, before: float, past: float
) -> tuple[FloatArray, FloatArray]:
    """Return `S1` and `S2` after `steps` updates, `(k,)` each; O(T)."""
    momentum = lfilter([1.0], [1.0, -decay], -np.diff(rates, prepend=before))
    return past + np.cumsum(rates)[steps - 1], np.cumsum(momentum)[steps - 1]
