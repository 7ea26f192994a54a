"""The watch: sees a run through step hooks, spends its share on probes, and talks to a host."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import _metric as metric
from lrsearch.curvature._annealed import Looks, ValidationLoss
from lrsearch.curvature._attempts import Attempts, Measure
from lrsearch.curvature._average import WeightAverage
from lrsearch.curvature._cadence import Cadence
from lrsearch.curvature._displacement import Displacement
from lrsearch.curvature._losses import LossMeter
from lrsearch.curvature._objective import LossFn
from lrsearch.curvature._parallel import Ranks, bare
from lrsearch.curvature._probe import PROBE_COST, Step, batch_sharpness, evaluate, signals
from lrsearch.curvature._top import FIRST_TOP_COST, TOP_COST, TopReader
from lrsearch.exceptions import CheckpointError, InvalidSpaceError, RunStopped
from lrsearch.stability import CONTINUE, Host, Reading, Verdict, event


class Watch:
    """Watches one training run; a context manager around the user's own loop.

    In the loop, call ``step(loss, batch)`` after the optimizer's step. Nothing in the run changes:
    parameters, gradients, buffers, optimizer state, random streams and modes are bit for bit what
    they would have been.

    Cost: five forward passes (2 gradients) a probe, seven under a clipped gradient. The number
    of probes follows from ``share``, 2 % of the run by default, with a floor of twelve probes
    (runs under 1,200 steps pay more than 2 % for them); some are held back until something happens.
    Runs of 3,500 steps or more afford eigenvalue readings as well, warm-started, up to 6 gradients
    each, on some of the probes. Between probes there is one pass over the parameters every fourth
    step for the averaged weights, and no synchronisation with the device.

    With ``validation_loss`` there are looks besides, at 5, 10, 20 and 40 % of runs of 100 steps or
    more: the validation loss of the averaged weights, by which runs are compared with one another.
    They cost what the function costs; one that costs over 3 % of the run is asked once.

    Memory: a copy of the parameters; during a probe two more, and for an eigenvalue reading the
    graph of the batch.

    Under DDP every rank builds a watch of the wrapped model and calls it alike. Readings are means
    over the ranks; the first rank's host keeps them and decides for all.

    Args:
        model: The model that is trained; of a DDP wrapper the module inside is measured.
        optimizer: Its optimizer.
        loss_fn: ``loss_fn(model, batch) -> scalar``, the training loss. Without it only gradient
            and update signals are read.
        host: Who keeps the readings and decides; ``None`` only collects and warns.
        budget: Optimizer steps of the run, where the host does not know it.
        share: Share of the run's cost that may go into watching.
        eigenvalues: Whether to read the top of the Hessian's spectrum where the share affords it.
        validation_loss: ``validation_loss(model) -> float``, positive, small for a good model.

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
        eigenvalues: bool = True,
        validation_loss: ValidationLoss | None = None,
    ) -> None:
        if not (isinstance(share, float | int) and 0 < share <= 1):
            raise InvalidSpaceError(f"share must lie in (0, 1], for example 0.02, got {share!r}.")
        if budget is None and host is not None:
            budget = host.budget
        if budget is not None and (not isinstance(budget, int) or budget < 1):
            raise InvalidSpaceError(f"budget must be a whole number >= 1, got {budget!r}.")
        self._wrapped, self._ranks = model, Ranks.of(model)
        self.model, self.optimizer, self.loss_fn, self.host = bare(model), optimizer, loss_fn, host
        peak = host.peak if host is not None else None
        tuned = bool(getattr(host, "tuned", False))
        # `tuned`: whether a tuner, and no plan, chooses the rate; settable where no host knows it.
        self.budget, self.peak, self.tuned = self._ranks.first((budget, peak, tuned))
        self.share = share
        self.average = WeightAverage(self.model)
        self.readings: list[Reading] = []
        self.steps = 0
        self.cost = 0.0
        self._meter = LossMeter()
        top = TOP_COST if eigenvalues and loss_fn is not None else 0.0
        self._looks = Looks(validation_loss, self.budget)
        self._cadence = Cadence(
            self.budget, share, PROBE_COST, top, FIRST_TOP_COST - TOP_COST, self._looks.steps
        )
        self._top = TopReader()
        self._before: list[Tensor] | None = None
        self._params: list[Tensor] = []
        self._seen: Step | None = None
        self._displacement = Displacement(self.model)
        self._handles: list[Any] = []
        self._attempts = Attempts(self._ranks)
        self._alerted = False

    @property
    def overhead(self) -> float:
        """Cost of watching so far as a share of the training steps done (by its own account)."""
        return self.cost / max(self.steps, 1)

    def __enter__(self) -> Self:
        self._displacement.begin()
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
        if kind is None and self.steps and self._ranks.any(not self._finite_now()):
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
        finite = self._meter.add(loss) or self._ranks.count > 1  # ranks must go together
        seen, self._seen = self._seen, None
        if not finite:
            if seen is not None:
                self._cadence.done(self.steps, False)
            if self._alerted:  # told once; a host that listened only has let the run go on
                return None
            return self._report(Reading(step=self.steps, finite=False, **self._common()))
        if seen is None:
            return None
        fields = signals(seen)
        lost = not (fields["finite"] and self._meter.finite)
        fields["finite"] = not self._ranks.any(lost)
        if fields["finite"]:
            fields |= self._measured(seen, batch)
            fields["batch_sharpness"] = batch_sharpness(self.readings, fields)
        else:
            fields["note"] = "loss, gradients or weights not finite"
        common = self._common() | {"learning_rate": seen.learning_rate}
        reading = Reading(step=self.steps, **common, **fields)
        self._cadence.done(self.steps, event(self.readings[-1] if self.readings else None, reading))
        return self._report(reading)

    def _measured(self, seen: Step, batch: Any) -> dict[str, Any]:
        if self.loss_fn is None or batch is None:
            return {"note": "no loss_fn or batch: only gradient and update signals"}
        model, loss_fn, optimizer = self.model, self.loss_fn, self.optimizer
        wants_top = self._cadence.wants_top(self.cost)
        fields = self._tried(
            "losses",
            lambda: evaluate(seen, model, loss_fn, batch, self.average, self._ranks),
        )
        if wants_top and "batch_loss" in fields:
            fields |= self._tried(
                "eigenvalues", lambda: self._top.read(self._wrapped, loss_fn, batch, optimizer)
            )
        if self._looks.due(self.steps):
            fields |= self._tried(
                "validation loss",
                lambda: self._looks.read(model, self.average, batch, self._ranks),
            )
        return fields

    def _tried(self, what: str, measure: Measure) -> dict[str, Any]:
        fields, cost = self._attempts(what, measure)
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
            "cadence": self._cadence.state_dict(),
            "top": self._top.state_dict(),
            "readings": [r.to_dict() for r in self.readings],
            "meter": self._meter.state_dict(),
            "average": self.average.average,
            "average_updates": self.average.updates,
            "origin": self._displacement.origin,
            "alerted": self._alerted,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`.

        Raises:
            CheckpointError: If it is not a watch's state.
        """
        try:
            self.steps, self.cost = state["steps"], state["cost"]
            self._cadence.load_state_dict(state["cadence"])
            self._top.load_state_dict(state["top"])
            self.readings = [Reading.from_dict(plain) for plain in state["readings"]]
            self._meter.load_state_dict(state["meter"])
            self.average.load(state["average"], state["average_updates"])
            self._displacement.origin, self._alerted = state["origin"], state["alerted"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"not the state of a watch ({error}): start the run over."
            ) from error

    def _before_step(self, *_: Any) -> None:
        if 0 < self._cadence.next <= self.steps + 1:
            self._params = metric.trained(self.optimizer)
            self._before = [p.detach().clone() for p in self._params]

    def _after_step(self, *_: Any) -> None:
        self.steps += 1
        self.average.update(self.steps)
        if self._before:
            self._seen = Step.seen(self.optimizer, self._params, self._before)
        self._before = None

    def _common(self) -> dict[str, Any]:
        start, spread = self._meter.initial()
        return {
            "budget": self.budget,
            "peak": None if self.tuned else self.peak,
            "tuned": self.tuned,
            "learning_rate": metric.learning_rate(self.optimizer),
            "loss": self._ranks.mean_of(self._meter.take()),
            "initial_loss": start,
            "initial_spread": spread,
            "displacement": self._displacement.distance(),
            "cost": self.cost,
        }

    def _report(self, reading: Reading) -> Reading:
        reading = self._ranks.first(reading)
        self.readings.append(reading)
        alerted, self._alerted = self._alerted, not reading.finite
        if self.host is None and self._ranks.count == 1:
            if self._alerted and not alerted:
                warnings.warn(
                    f"training diverged by step {reading.step} at learning rate "
                    f"{reading.learning_rate:.3g}.",
                    stacklevel=3,
                )
            return reading
        verdict = self._ranks.decided_by_first(lambda: self._asked(reading))
        if verdict.stop:
            if self.host is not None:
                self.host.stop(verdict)
            elif self._ranks.rank:
                raise RunStopped(f"the first rank stopped the run: {verdict.reason}")
        return reading

    def _asked(self, reading: Reading) -> Verdict:
        if self.host is None:
            return CONTINUE
        self.host.emit(reading)
        return self.host.decide(self.readings)

    def _finite_now(self) -> bool:
        weights = torch.stack([p.detach().isfinite().all() for p in self.model.parameters()])
        return self._meter.finite and bool(weights.all())
