"""The border object between measuring and judging: one probe's plain numbers.

Symbols of this room (``w`` weights, ``g`` gradient, ``u`` update, ``eta`` learning rate):

- ``sharpness``  S = d'Hd / g'd, ``d = P^-1 g`` the gradient in the optimizer's metric [1/eta]
- ``threshold``  c, the optimizer's constant: training along ``d`` is stable while ``eta * S < c``
- ``rho``        eta * S / c, the normalised sharpness: 1 at the edge of stability
- ``top_sharpness``  largest eigenvalue of P^-1/2 H P^-1/2, which a direction's S cannot exceed
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from lrsearch.exceptions import DocumentError

READING_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one probe of a training run saw; ``None`` means not measured.

    Attributes:
        step: Optimizer steps done when the reading was taken.
        budget: Optimizer steps of the whole run, where known.
        learning_rate: Rate of the step just done (first parameter group).
        peak: Peak learning rate of the run's schedule, where known.
        loss: Mean training loss since the previous reading; ``None`` if none was finite.
        initial_loss: Median training loss of the first steps.
        initial_spread: Their standard deviation, robustly (1.48 times the median deviation).
        finite: Whether the last loss and the weights were finite.
        batch_loss: Loss of the weights before the step, on the batch of that step, probe mode.
        annealed_loss: Loss of the averaged weights on the same batch, in the same mode.
        annealed_validation: Their validation loss, at a look (`lrsearch.stability.LOOKS`).
        gradient_norm: Norm of the gradient as the optimizer used it.
        update_norm: Norm of the step just done.
        weight_norm: Norm of the weights before it.
        displacement: Distance of the weights from where the watch began.
        decrease_ratio: Actual over predicted decrease, ``(L(w) - L(w+u)) / (-g'u)``, same batch.
        sharpness: ``d'Hd / g'd`` in the optimizer's metric, unit 1 / learning rate.
        slope: ``g'd`` of it, the weight that it has in a ratio of means.
        batch_sharpness: Ratio of means of ``d'Hd`` and ``g'd`` over this and the last probes.
        threshold: The optimizer's stability constant for ``learning_rate * sharpness``.
        top_sharpness: Largest Hessian eigenvalue in the optimizer's metric, on the batch of the
            step; it is larger than that of all the data (fitted to one batch).
        top_carried: Quotient, on that batch, of the eigenvector that the last such reading found
            on another; it is smaller. Their mean is closest.
        top_residual: Relative residual of ``top_sharpness``.
        top_threshold: Stability constant of exact gradients, for ``learning_rate * top_sharpness``.
        tuned: Whether a tuner chose the learning rate while training; no schedule planned it.
        cost: What watching has cost this run so far, in gradients.
        note: Why something is missing, in a few words.
    """

    step: int
    learning_rate: float
    budget: int | None = None
    peak: float | None = None
    loss: float | None = None
    initial_loss: float | None = None
    initial_spread: float | None = None
    finite: bool = True
    batch_loss: float | None = None
    annealed_loss: float | None = None
    annealed_validation: float | None = None
    gradient_norm: float | None = None
    update_norm: float | None = None
    weight_norm: float | None = None
    displacement: float | None = None
    decrease_ratio: float | None = None
    sharpness: float | None = None
    slope: float | None = None
    batch_sharpness: float | None = None
    threshold: float | None = None
    top_sharpness: float | None = None
    top_carried: float | None = None
    top_residual: float | None = None
    top_threshold: float | None = None
    tuned: bool = False
    cost: float = 0.0
    note: str | None = None

    @property
    def progress(self) -> float | None:
        """Share of the budget done, or ``None`` where the budget is unknown."""
        return None if not self.budget else self.step / self.budget

    @property
    def rho(self) -> float | None:
        """Normalised sharpness ``learning_rate * sharpness / threshold``; 1 at the edge."""
        return self._normalised(self.learning_rate)

    @property
    def rho_at_peak(self) -> float | None:
        """Normalised sharpness that the run's peak rate would have; a decay does not lower it."""
        return self._normalised(self.peak if self.peak is not None else self.learning_rate)

    @property
    def rho_top(self) -> float | None:
        """``learning_rate * top / top_threshold`` with the mean of the two top readings."""
        if self.top_sharpness is None or not self.top_threshold:
            return None
        carried = self.top_sharpness if self.top_carried is None else self.top_carried
        return self.learning_rate * 0.5 * (self.top_sharpness + carried) / self.top_threshold

    def _normalised(self, learning_rate: float) -> float | None:
        if self.sharpness is None or not self.threshold:
            return None
        return learning_rate * self.sharpness / self.threshold

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-safe form: no ``None``, no NaN, no infinity."""
        plain = {"version": READING_VERSION}
        for name, value in asdict(self).items():
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                continue
            plain[name] = value
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read `to_dict`'s form.

        Raises:
            DocumentError: If it is of a newer version, or not a reading.
        """
        version = plain.get("version")
        if not isinstance(version, int) or version > READING_VERSION:
            raise DocumentError(
                f"a reading of version {version!r} cannot be read (this lrsearch knows "
                f"{READING_VERSION}): upgrade lrsearch."
            )
        known = {field.name for field in fields(cls)}
        try:
            return cls(**{name: value for name, value in plain.items() if name in known})
        except TypeError as error:
            raise DocumentError(f"not a reading: {error}") from error
