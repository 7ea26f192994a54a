"""Averaged weights at the end of a run: which updates count, and how.

[^1]: Izmailov, Podoprikhin, Garipov, Vetrov, Wilson, "Averaging Weights Leads to Wider Optima and
    Better Generalization", UAI 2018, arXiv 1803.05407.
[^2]: Sandler, Zhmoginov, Vladymyrov, Miller, "Training Trajectories, Mini-Batch Losses and the
    Curious Role of the Learning Rate", 2023, arXiv 2301.02312.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import finite_number, show, whole_number

FloatArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Averaging:
    """An averaging phase: the weights to keep are a mean over the last part of the run[^1].

    The weights after update `step` count where `S <= step` and `step - S` is a multiple of `every`,
    with `S = min(round(start * T), T - 1)`. Without `decay` all count alike,
    `a <- a + (w - a) / (n + 1)`; with it the mean is exponential, `a <- decay a + (1 - decay) w`.
    The first that counts is taken as it is.

    Attributes:
        start: Fraction of the budget at which averaging starts; in [0, 1).
        decay: What an exponential mean keeps per update; in (0, 1). `None` for the plain mean.
        every: Optimizer steps from one update that counts to the next; at least 1.

    Raises:
        InvalidScheduleError: If a value makes no sense; the message names it.
    """

    start: float = 0.75
    decay: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        start = finite_number("averaging: start", self.start)
        if not 0.0 <= start < 1.0:
            raise InvalidScheduleError(
                "averaging: start must be a fraction of the budget >= 0 and < 1, "
                f"got {show(self.start)}"
            )
        decay = None if self.decay is None else finite_number("averaging: decay", self.decay)
        if decay is not None and not 0.0 < decay < 1.0:
            raise InvalidScheduleError(
                f"averaging: decay must be > 0 and < 1, or None for the plain mean, "
                f"got {show(self.decay)}"
            )
        every = whole_number("averaging: every", self.every, low=1)
        for name, value in (("start", start), ("decay", decay), ("every", every)):
            object.__setattr__(self, name, value)

    def first_step(self, budget: int) -> int:
        """Return the first update whose weights count."""
        return min(round(self.start * budget), budget - 1)

    def counts(self, step: int, budget: int) -> bool:
        """Return whether the weights after update `step` count."""
        after = step - self.first_step(budget)
        return after >= 0 and step < budget and after % self.every == 0

    def shares(self, budget: int) -> FloatArray:
        """Return the share of the mean that contains each update, `(T,)`; dimensionless.

            mean = w_0 - sum_t share_t * (step of update t),   share_t = sum of weights from t on

        So the mean is where learning rates of `share_t` times those of the run would have led, if
        the gradients had been the same[^2]: 1 before the phase, and falling in it; in a plain mean
        by the same amount an update, in an exponential one as `1 - decay^(T - t)`, but for what the
        first weights that count weigh beyond their turn.
        """
        weights = np.zeros(budget)
        counted = weights[self.first_step(budget) :: self.every]
        if self.decay is None:
            counted[:] = 1.0 / len(counted)
        else:
            counted[:] = self.decay ** np.arange(len(counted) - 1, -1, -1.0)
            counted[1:] *= 1.0 - self.decay
        return np.minimum(np.cumsum(weights[::-1])[::-1], 1.0)

    def to_dict(self) -> dict[str, float | int | None]:
        """Return the values in plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: object) -> Averaging:
        """Return what `to_dict` wrote.

        Raises:
            InvalidScheduleError: If it is no mapping of exactly these names, or a value makes no
                sense.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(document, Mapping) or sorted(document, key=str) != sorted(names):
            raise InvalidScheduleError(
                f"averaging must be null or an object with {', '.join(names)}, got {show(document)}"
            )
        return cls(**document)
