"""Backtracking line search: the largest rate tried that lowers the loss of the batch enough.

Armijo 1966; Vaswani et al. 2019 (1905.09997) for mini-batches. Names and constants are those of
optax's ``scale_by_backtracking_linesearch``, the baseline of Roulet et al. 2024 (2407.06183).
This differs from it where no rate is accepted:

1. The rate is then 0. There it is the last one tried, and 0 only if its loss is not finite.
2. The next search goes on below the last one tried. There a rate of 0 would stay 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrsearch.curvature import FORWARD, restored
from lrsearch.exceptions import UnsupportedError
from lrsearch.tuners._direction import check
from lrsearch.tuners._gradients import Closure, loss_of
from lrsearch.tuners._line import Line
from lrsearch.tuners._replay import Replay
from lrsearch.tuners._tuner import Tuner


class LineSearch(Tuner):
    """``eta`` with ``f(w + eta u) <= (1 + rtol) f(w) + slope_rtol eta g'u + atol``.

    Tried are ``min(increase_factor * last, max_learning_rate)`` and then ``decrease_factor`` times
    the one before. Where none is accepted the rate is 0 (the optimizer's state advances, the
    weights stay), and the next search goes on from there downwards.

    ``f`` is the loss with the optimizer's L2 weight decay; the decoupled kind is a part of the step
    that no loss tried here contains. Along an update that does not descend (momentum) the criterion
    allows a small rise.

    The closure is evaluated again at each rate, with the same random numbers (see `Replay`): it
    must return the loss of the same batch. The reading has ``slope = max(-g'u, 0)`` and the
    ``decrease_ratio`` of the rate accepted.

    Args:
        optimizer: Proposes the updates; see `proposed` for those that can.
        max_learning_rate: Largest rate, and the first one tried in the first step.
        slope_rtol: Share of the decrease to first order that is asked for.
        decrease_factor: From one rate tried to the next.
        increase_factor: From the last rate to the first one tried.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        max_backtracking_steps: Rates tried at most, the first one not counted.

    Cost: 1.4 gradients per step (a gradient and a loss), and 0.4 for each rate that is rejected.

    Raises:
        UnsupportedError: If a number makes no sense, the optimizer cannot be told (`proposed`), or
            several processes train the model.
    """

    kind = "LineSearch"

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        max_learning_rate: float = 1.0,
        slope_rtol: float = 1e-4,
        decrease_factor: float = 0.8,
        increase_factor: float = 1.5,
        rtol: float = 0.0,
        atol: float = 0.0,
        max_backtracking_steps: int = 15,
    ) -> None:
        super().__init__(optimizer)
        check(optimizer)
        if not (math.isfinite(max_learning_rate) and max_learning_rate > 0):
            raise UnsupportedError(
                f"max_learning_rate must be a positive rate, got {max_learning_rate!r}."
            )
        if not (0 < decrease_factor < 1 <= increase_factor and 0 <= slope_rtol < 1):
            raise UnsupportedError(
                "decrease_factor must be in (0, 1), increase_factor at least 1 and slope_rtol in "
                f"[0, 1), got {decrease_factor!r}, {increase_factor!r} and {slope_rtol!r}."
            )
        if max_backtracking_steps < 0 or not (rtol >= 0 and atol >= 0):
            raise UnsupportedError(
                "max_backtracking_steps, rtol and atol must not be negative, got "
                f"{max_backtracking_steps!r}, {rtol!r} and {atol!r}."
            )
        self.max_learning_rate, self.slope_rtol = max_learning_rate, slope_rtol
        self.decrease_factor, self.increase_factor = decrease_factor, increase_factor
        self.rtol, self.atol = rtol, atol
        self.max_backtracking_steps = max_backtracking_steps
        self._start = max_learning_rate  # of the next search
        self._replay = Replay()

    @property
    def cost_per_step(self) -> float:
        """1.4 gradients where the first rate is accepted; `cost` counts all that are tried."""
        return 1.0 + FORWARD

    def _evaluate(self, closure: Closure) -> Tensor:
        self._replay = Replay()
        return loss_of(closure)

    def _advance(self, closure: Closure, loss: Tensor) -> Mapping[str, Any]:
        line = Line(self.optimizer, self._ratios)
        if not line.finite:
            return {"finite": False, "note": "no step: update not finite"}
        value = float(loss) + line.penalty()
        rate, ahead = self._search(closure, line, value)
        fields: dict[str, Any] = {"slope": max(-line.slope, 0.0)}
        if ahead is None:
            self._start = rate * self.decrease_factor
            self._apply(0.0)
            return fields | {"note": f"no rate down to {rate:.3g} lowers the loss enough"}
        self._start = min(self.increase_factor * rate, self.max_learning_rate)
        self._apply(rate)
        if line.slope < 0:
            fields["decrease_ratio"] = (value - ahead) / (-rate * line.slope)
        return fields

    def _search(self, closure: Closure, line: Line, value: float) -> tuple[float, float | None]:
        """The last rate tried, and the objective there if it is accepted."""
        rate = self._start
        data = [p.data for p in line.params]
        with self._replay.losses(closure) as loss_at, restored(data) as start:
            for tried in range(self.max_backtracking_steps + 1):
                rate = rate * self.decrease_factor if tried else rate
                torch._foreach_copy_(data, list(torch._foreach_add(start, line.u, alpha=rate)))
                ahead = loss_at() + line.penalty()
                self._spend(FORWARD)
                allowed = (1.0 + self.rtol) * value + self.slope_rtol * rate * line.slope
                if math.isfinite(ahead) and ahead - allowed <= self.atol:
                    return rate, ahead
        return rate, None

    def _settings(self) -> dict[str, Any]:
        names = (
            "max_learning_rate",
            "slope_rtol",
            "decrease_factor",
            "increase_factor",
            "rtol",
            "atol",
            "max_backtracking_steps",
        )
        return {name: getattr(self, name) for name in names}

    def _state(self) -> dict[str, Any]:
        return {"start": self._start}

    def _load(self, state: Mapping[str, Any]) -> None:
        self._start = float(state["start"])
