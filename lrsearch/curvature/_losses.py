"""Training losses between two probes, kept on their device: no synchronisation per step."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import torch
from torch import Tensor

from lrsearch.curvature._cadence import FIRST
from lrsearch.exceptions import MeasurementError


def scalar(loss: Tensor) -> Tensor:
    """The loss, if it is one number.

    Raises:
        MeasurementError: If it is not.
    """
    if loss.numel() != 1:
        raise MeasurementError(
            f"a loss must be a scalar, got shape {tuple(loss.shape)}: reduce it, for example with "
            ".mean()"
        )
    return loss


class LossMeter:
    """Mean of the finite losses since the last reading, the first losses, and the last one."""

    def __init__(self) -> None:
        self._first: list[float | Tensor] = []
        self._total: float | Tensor = 0.0
        self._count: float | Tensor = 0.0
        self._last: float | Tensor = math.nan

    def add(self, loss: float | Tensor) -> bool:
        """Count one loss; False if it is known at no cost (on the CPU) not to be finite.

        Raises:
            MeasurementError: If it is not a scalar.
        """
        value: float | Tensor
        if isinstance(loss, Tensor):
            loss = scalar(loss).detach()
        if isinstance(loss, Tensor) and loss.device.type != "cpu":
            value = loss.reshape(()).to(torch.float64)
            finite: Any = torch.isfinite(value)
            self._total = self._total + torch.where(finite, value, torch.zeros_like(value))
            self._count = self._count + finite.to(torch.float64)
            known_bad = False
        else:
            value = float(loss)
            finite = math.isfinite(value)
            self._total = self._total + (value if finite else 0.0)
            self._count = self._count + finite
            known_bad = not finite
        self._last = value
        if len(self._first) < FIRST:
            self._first.append(value)
        return not known_bad

    @property
    def finite(self) -> bool:
        """Whether the last loss was finite, if there was one (synchronises)."""
        return not self._first or math.isfinite(float(self._last))

    def initial(self) -> tuple[float | None, float | None]:
        """Median and robust deviation of the first finite losses (synchronises)."""
        first = [float(v) for v in self._first]
        self._first = [*first]
        finite = [v for v in first if math.isfinite(v)]
        if not finite:
            return None, None
        middle = median(finite)
        return middle, 1.48 * median(abs(v - middle) for v in finite)

    def take(self) -> float | None:
        """Mean since the last take, which starts anew; ``None`` if no loss was finite."""
        total, count = float(self._total), float(self._count)
        self._total, self._count = 0.0, 0.0
        return total / count if count else None

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "first": [float(v) for v in self._first],
            "total": float(self._total),
            "count": float(self._count),
            "last": float(self._last),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        self._first = list(state["first"])
        self._total, self._count, self._last = state["total"], state["count"], state["last"]
