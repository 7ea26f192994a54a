"""The watch: sees a run through step hooks, spends its share on probes, and talks to a host."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import _metric as metric
from lrsearch.curvature._average import WeightAverage
from lrsearch.curvature._cadence import next_probe, probe_steps
from lrsearch.curvature._losses import LossMeter
from lrsearch.curvature._probe import PROBE_COST, LossFn, Step, evaluate, signals
from lrsearch.exceptions import CheckpointError, InvalidSpaceError, MeasurementError
from lrsearch.stability import Host, Reading

logger = logging.getLogger("lrsearch")

SKETCH = 65_536  # coordinates kept to tell how far the weights have moved


class Watch:
    """Watches one training run; a context manager around the user's own loop.

    In the loop, call ``step(loss, batch)`` after the optimizer's step. Nothing in the run changes:
    parameters, gradients, buffers, optimizer state, random streams and modes are bit for bit what
    they would have been.

    Cost: five forward passes (1.75 gradients) a probe, seven under a clipped gradient. The number
    of probes follows from ``share``, 2 % of the run by default, with a floor of twelve probes
    (runs under 1,050 steps pay more than 2 % for them); between probes one pass over the
    parameters every fourth step for the averaged weights, and no synchronisation with the device.

    Args:
        model: The model that is trained (the bare module, not a DDP wrapper).
        optimizer: Its optimizer.
        loss_fn: ``loss_fn(model, batch) -> scalar``, the training loss. Without it only gradient
            and update signals are read.
        host: Who keeps the readings and decides; ``None`` only collects and warns.
        budget: Optimizer steps of the run, where the host does not know it.
        share: Share of the run's cost that may go into watching.

    Raises:
        InvalidSpaceError: If ``share`` or ``budget`` makes no sense.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: LossFn | None = None,
        *,
        host: Host | None = None,
        budget: int | None = None,
        share: float = 0.02,
    ) -> None:
        if not (isinstance(share, float | int) and 0 < share <= 1):
            raise InvalidSpaceError(f"share must lie in (0, 1], for example 0.02, got {share!r}.")
        if budget is None and host is not None:
            budget = host.budget
        if budget is not None and (not isinstance(budget, int) or budget < 1):
            raise InvalidSpaceError(f"budget must be a whole number >= 1, got {budget!r}.")
        self.model, self.optimizer, self.loss_fn, self.host = model, optimizer, loss_fn, host
        self.budget, self.share = budget, share
        self.peak = host.peak if host is not None else None
        self.average = WeightAverage(model)
        self.readings: list[Reading] = []
        self.steps = 0
        self.cost = 0.0
        self._meter = LossMeter()
        self._planned = None if budget is None else probe_steps(budget, share, PROBE_COST)
        self._next = self._planned[0] if self._planned else 1
        self._before: list[Tensor] | None = None
        self._params: list[Tensor] = []
        self._seen: Step | None = None
        self._origin: Tensor | None = None
        self._handles: list[Any] = []
        self._unable: str | None = None
        self._alerted = False

    @property
    def overhead(self) -> float:
        """Cost of watching so far as a share of the training steps done (by its own account)."""
        return self.cost / max(self.steps, 1)

    def __enter__(self) -> Self:
        if self._origin is None:
            self._origin = self._sketch()
        self._handles = [
            self.optimizer.register_step_pre_hook(self._before_step),
            self.optimizer.register_step_post_hook(self._after_step),
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._before = self._seen = None
        if kind is None and self.steps and not self._finite_now():
            self._report(Reading(step=self.steps, finite=False, **self._common()))

    def step(self, loss: Tensor | float, batch: Any = None) -> Reading | None:
        """Count a training step's loss; on a probe step, measure, tell the host, and let it decide.

        Args:
            loss: The loss of the step (a scalar tensor or a number).
            batch: The batch that it was computed on.

        Returns:
            The reading, on a probe step.

        Raises:
            Exception: Whatever the host raises to stop a run (under Optuna ``TrialPruned``).
        """
        finite = self._meter.add(loss)
        seen, self._seen = self._seen, None
        if not finite:
            if seen is not None:
                self._plan_next()
            if self._alerted:  # told once; a host that listened only has let the run go on
                return None
            return self._report(Reading(step=self.steps, finite=False, **self._common()))
        if seen is None:
            return None
        fields = signals(seen)
        fields["finite"] = fields["finite"] and self._meter.finite
        if fields["finite"]:
            fields |= self._evaluated(seen, batch)
        else:
            fields["note"] = "loss, gradients or weights not finite"
        common = self._common() | {"learning_rate": seen.learning_rate}
        self._plan_next()
        return self._report(Reading(step=self.steps, **common, **fields))

    def _evaluated(self, seen: Step, batch: Any) -> dict[str, Any]:
        if self.loss_fn is None or batch is None:
            return {"note": "no loss_fn or batch: only gradient and update signals"}
        if self._unable is not None:
            return {"note": self._unable}
        try:
            fields, cost = evaluate(seen, self.model, self.loss_fn, batch, self.average)
        except MeasurementError as error:
            self._unable = str(error)
            logger.warning("watching by gradients and updates alone: %s.", error)
            return {"note": self._unable}
        self.cost += cost
        return fields

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """Context in which the model has its averaged weights, as if annealed now."""
        with self.average.swapped_in():
            yield self.model

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint that resumes the watch where it stood."""
        return {
            "steps": self.steps,
            "cost": self.cost,
            "next": self._next,
            "readings": [r.to_dict() for r in self.readings],
            "meter": self._meter.state_dict(),
            "average": self.average.average,
            "average_updates": self.average.updates,
            "origin": self._origin,
            "alerted": self._alerted,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`.

        Raises:
            CheckpointError: If it is not a watch's state.
        """
        try:
            self.steps, self.cost, self._next = state["steps"], state["cost"], state["next"]
            self.readings = [Reading.from_dict(plain) for plain in state["readings"]]
            self._meter.load_state_dict(state["meter"])
            self.average.load(state["average"], state["average_updates"])
            self._origin, self._alerted = state["origin"], state["alerted"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"not the state of a watch ({error}): start the run over."
            ) from error

    def _before_step(self, *_: Any) -> None:
        if 0 < self._next <= self.steps + 1:
            self._params = metric.trained(self.optimizer)
            self._before = [p.detach().clone() for p in self._params]

    def _after_step(self, *_: Any) -> None:
        self.steps += 1
        self.average.update(self.steps)
        if self._before:
            self._seen = Step.seen(self.optimizer, self._params, self._before)
        self._before = None

    def _plan_next(self) -> None:
        if self._planned is None:
            self._next = next_probe(self.steps, self.share, PROBE_COST)
        else:
            self._next = next((s for s in self._planned if s > self.steps), -1)

    def _common(self) -> dict[str, Any]:
        start, spread = self._meter.initial()
        return {
            "budget": self.budget,
            "peak": self.peak,
            "learning_rate": metric.learning_rate(self.optimizer),
            "loss": self._meter.take(),
            "initial_loss": start,
            "initial_spread": spread,
            "displacement": self._displacement(),
            "cost": self.cost,
        }

    def _report(self, reading: Reading) -> Reading:
        self.readings.append(reading)
        alerted, self._alerted = self._alerted, not reading.finite
        if self.host is None:
            if self._alerted and not alerted:
                warnings.warn(
                    f"training diverged by step {reading.step} at learning rate "
                    f"{reading.learning_rate:.3g}.",
                    stacklevel=3,
                )
            return reading
        self.host.emit(reading)
        verdict = self.host.decide(self.readings)
        if verdict.stop:
            self.host.stop(verdict)
        return reading

    @torch.no_grad()
    def _sketch(self) -> Tensor:
        params = list(self.model.parameters())
        stride = max(1, math.ceil(sum(p.numel() for p in params) / SKETCH))
        return torch.cat([p.detach().flatten()[::stride].float() for p in params])

    def _displacement(self) -> float | None:
        if self._origin is None:
            return None
        total = sum(p.numel() for p in self.model.parameters())
        now = self._sketch()
        moved = float((now - self._origin.to(now.device)).norm())
        return moved * math.sqrt(total / max(now.numel(), 1))

    def _finite_now(self) -> bool:
        weights = torch.stack([p.detach().isfinite().all() for p in self.model.parameters()])
        return self._meter.finite and bool(weights.all())
