"""What a sweep will cost, before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from lrsearch.curvature import FORWARD, calibration_cost
from lrsearch.integrations import blamed
from lrsearch.schedules import Schedule, get_family
from lrsearch.search import ScheduleSpace
from lrsearch.training import Task, batches_shown, train

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
        step: Seconds of one optimizer step on this machine, median.
        evaluation: Seconds of one evaluation.
        gradients: What a step costs at most, in gradients: more than one with some tuners.
        result: What comes after the last step at most, in gradients: averaged weights.
    """

    edge: float
    trials: int
    budget: int
    share: float
    step: float
    evaluation: float
    gradients: float = 1.0
    result: float = 0.0

    @property
    def full_runs(self) -> float:
        """Everything, in full runs."""
        run = self.gradients + self.share + self.result / self.budget
        return self.edge / self.budget + self.trials * run

    def sentences(self) -> tuple[str, ...]:
        """For people."""
        steps = self.full_runs * self.budget
        takes = _duration(steps * self.step + self.trials * self.evaluation)
        return (
            f"edge: about {self.edge:.0f} gradients ({self.edge / self.budget:.1f} full runs)",
            f"trials: at most {self.trials} runs of {self.budget} steps, {self.share:.0%} more for "
            "watching them",
            f"together at most {self.full_runs:.1f} full runs, {steps:.0f} gradients",
            f"at {1e3 * self.step:.2g} ms a step and {self.evaluation:.2g} s an evaluation on this "
            f"machine: {takes} in one process",
        )


def estimate(task: Task, space: ScheduleSpace, *, trials: int, share: float) -> Estimate:
    """What a sweep of a task would cost.

    Args:
        task: What would be trained; a few steps of it are timed.
        space: What would be searched.
        trials: Runs.
        share: Share of a run's cost for watching it.

    Raises:
        TaskError: If the task itself raises.

    Cost: 16 optimizer steps and an evaluation.
    """
    done: list[float] = []
    schedule = Schedule("constant", RATE, 2 * STEPS)
    with blamed(task, "its steps were timed"):
        train(task, schedule, share=None, on_step=lambda _: done.append(time.perf_counter()))
    evaluated = time.perf_counter() - done[-1]
    searched = [get_family(name) for name in space.families]
    return Estimate(
        edge=calibration_cost(space.budget),
        trials=trials,
        budget=space.budget,
        share=share,
        gradients=max(family.gradients for family in searched),
        result=FORWARD * batches_shown(space.budget) if any(f.averages for f in searched) else 0.0,
        step=median(b - a for a, b in pairwise(done[STEPS - 1 :])),
        evaluation=evaluated,
    )


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
