"""SALERA: ALeRA that goes back and halves its rates when the loss climbs.

Each step, before anything is changed, `PageHinkley` takes the mini-batch's loss. On an alarm the
weights are those before the last update, bit for bit, every rate is halved, and no update is made;
paths and their ages go on. Otherwise the weights are kept and the step is ALeRA's.

Schoenauer-Sebag, Schoenauer & Sebag 2017 (1709.01427). What differs from the authors' code: a loss
or gradient that is not finite is an alarm as well, and the test may have a drift (default none).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrsearch.exceptions import RunStopped
from lrsearch.tuners._alera import ALeRA
from lrsearch.tuners._gradients import Closure
from lrsearch.tuners._groups import set_rates
from lrsearch.tuners._layers import Layers
from lrsearch.tuners._page_hinkley import PageHinkley

LOWEST_RATE = 1e-15  # the authors': a rate halved down to this has ended the run


class SALERA(ALeRA):
    """A learning rate per layer from the path of its gradients, with a guard against blow-ups.

    What goes back are the weights: optimizer state and buffers (running statistics) stay. The
    guard raises false alarms on losses that are mere noise, see `PageHinkley`; ``drift`` helps.

    Memory: two copies of the parameters. Cost: one gradient per step, also in an alarm.

    Args:
        optimizer: As in `ALeRA`.
        layers: As in `ALeRA`.
        gain: As in `ALeRA`.
        cumulation: As in `ALeRA`.
        published: As in `ALeRA`.
        fraction: Share of the data in one mini-batch; the loss is smoothed over ``1 / fraction``
            steps.
        threshold: Rise of the loss that is an alarm, in units of the first loss.
        drift: Rise per step that is forgiven, in the same units; the authors have none.

    Raises:
        UnsupportedError: If an argument is out of its range, a parameter is in no layer, or
            several processes train the model.
    """

    kind: ClassVar[str] = "SALERA"

    def __init__(
        self,
        optimizer: Optimizer,
        layers: Layers,
        *,
        gain: float,
        cumulation: float = 1e-3,
        published: bool = False,
        fraction: float = 0.01,
        threshold: float = 0.1,
        drift: float = 0.0,
    ) -> None:
        self._test = PageHinkley(fraction, threshold=threshold, drift=drift)
        super().__init__(optimizer, layers, gain=gain, cumulation=cumulation, published=published)
        self._before: list[Tensor] | None = None  # the weights before the last update

    @property
    def alarms(self) -> int:
        """How often the guard has gone back."""
        return self._test.alarms

    @property
    def stopped(self) -> bool:
        """Whether a rate has been halved to `LOWEST_RATE`; no further step can be made."""
        moving = [r for r in self._rates if r > 0.0]
        return self.alarms > 0 and (not moving or min(moving) <= LOWEST_RATE)

    def step(self, closure: Closure) -> Tensor:
        """As `Tuner.step`; in an alarm ``reading.note`` says so.

        Raises:
            MeasurementError: If the closure does not return a scalar loss with its graph.
            RunStopped: If alarms have halved a rate down to `LOWEST_RATE` before this step.
        """
        if self.stopped:
            raise RunStopped(
                f"{self.alarms} alarms have halved a learning rate to {min(self._rates):.1e}: the "
                "loss climbs at any rate; check model and data, or give drift= for a noisy loss."
            )
        return super().step(closure)

    def _advance(self, closure: Closure, loss: Tensor) -> Mapping[str, Any]:
        if self._test.update(float(loss)):
            return self._go_back("the loss climbed")
        self._before = [p.detach().clone() for _, p in self._placed()]
        return super()._advance(closure, loss)

    def _failed(self, loss: float) -> Mapping[str, Any]:
        if self._before is None:
            return super()._failed(loss)
        self._test.alarm()
        return self._go_back("loss or gradient not finite")

    @torch.no_grad()
    def _go_back(self, why: str) -> Mapping[str, Any]:
        assert (
            self._before is not None
        )  # no alarm in the first step: a loss has no rise over itself
        for (_, p), before in zip(self._placed(), self._before, strict=True):
            p.copy_(before)
        self._multiply([0.5] * len(self._rates))
        set_rates(self.optimizer, self._rates[0], self._ratios)
        return {"note": f"no step: {why}; weights of the step before, rates halved"}

    def _settings(self) -> dict[str, Any]:
        test = self._test
        own = {"fraction": test.fraction, "threshold": test.threshold, "drift": test.drift}
        return {**super()._settings(), **own}

    def _state(self) -> dict[str, Any]:
        before = None if self._before is None else [b.clone() for b in self._before]
        return {**super()._state(), "test": self._test.state_dict(), "before": before}

    def _load(self, state: Mapping[str, Any]) -> None:
        super()._load(state)
        before, params = state["before"], [p for _, p in self._placed()]
        if before is not None:
            before = [b.to(p.device, copy=True) for b, p in zip(before, params, strict=True)]
        self._test.load_state_dict(state["test"])
        self._before = before
