"""What a sweep will cost, before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import torch

from lrsearch.curvature import calibration_cost
from lrsearch.search import ScheduleSpace
from lrsearch.training import Task, batches

STEPS = 8  # that are timed, after as many that are not
RATE = 1e-6  # of the timed steps: they train nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The cost of a sweep in which nothing is stopped early.

    Attributes:
        edge: Gradients that measuring the edge takes, as a rule.
        trials: Runs.
        budget: Optimizer steps of one.
        share: Share of a run's cost for watching it.
        seconds: Of one optimizer step on this machine, median; validation not included.
    """

    edge: float
    trials: int
    budget: int
    share: float
    seconds: float

    @property
    def full_runs(self) -> float:
        """Everything, in full runs."""
        return self.edge / self.budget + self.trials * (1 + self.share)

    def sentences(self) -> tuple[str, ...]:
        """For people."""
        steps = self.full_runs * self.budget
        return (
            f"edge: about {self.edge:.0f} gradients ({self.edge / self.budget:.1f} full runs)",
            f"trials: at most {self.trials} runs of {self.budget} steps, {self.share:.0%} more for "
            "watching them",
            f"together at most {self.full_runs:.1f} full runs, {steps:.0f} gradients",
            f"at {1e3 * self.seconds:.2g} ms a step on this machine: {_duration(steps, self)}, "
            "one process, validation not included",
        )


def estimate(task: Task, space: ScheduleSpace, *, trials: int, share: float) -> Estimate:
    """What a sweep of a task would cost.

    Args:
        task: What would be trained; a few steps of it are timed.
        space: What would be searched.
        trials: Runs.
        share: Share of a run's cost for watching it.

    Cost: 16 optimizer steps.
    """
    torch.manual_seed(0)
    model = task.model().to(task.device)
    optimizer = task.optimizer(model, RATE)
    stream, seconds = batches(task, 0), []
    for _ in range(2 * STEPS):
        begun = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss(model, next(stream))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        float(loss.detach())  # waits for the device
        seconds.append(time.perf_counter() - begun)
    return Estimate(
        edge=calibration_cost(space.budget),
        trials=trials,
        budget=space.budget,
        share=share,
        seconds=median(seconds[STEPS:]),
    )


def _duration(steps: float, one: Estimate) -> str:
    seconds = steps * one.seconds
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
