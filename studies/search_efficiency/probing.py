"""The readings of a rung. Everything is put back: a recorded run is the run without recording."""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

import rungs
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import Ranks, WeightAverage, batch_sharpness, sharpness, threshold
from lrsearch.curvature._probe import Step, evaluate, signals
from lrsearch.exceptions import MeasurementError
from lrsearch.training import Task, batches

FRESH = 500_009  # added to a run's seed: batches that readings and copies use, not the run itself
Row = dict[str, float]


class Clock:
    """Seconds of this thread's processor by part of a run."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(rungs.PARTS, 0.0)
        self.counts = dict.fromkeys(rungs.PARTS, 0)

    @contextmanager
    def on(self, part: str, count: int = 1) -> Iterator[None]:
        begun = time.thread_time()
        try:
            yield
        finally:
            self.seconds[part] += time.thread_time() - begun
            self.counts[part] += count


def losses(task: Task, model: nn.Module, average: WeightAverage, clock: Clock) -> Row:
    """Validation metric of the current and of the averaged weights."""
    with clock.on("evaluate", 2), torch.random.fork_rng(devices(task)):
        found = {"loss": task.evaluate(model)}
        with average.swapped_in():
            found["averaged_loss"] = task.evaluate(model)
    return found


def forward_only(
    task: Task, model: nn.Module, seen: Step, batch: Any, average: WeightAverage, clock: Clock
) -> Row:
    """What the package's own probe reads: norms, forward-only sharpness, actual decrease."""
    with clock.on("forward"):
        row = {k: v for k, v in signals(seen).items() if k != "finite"}
        try:
            fields, cost = evaluate(seen, model, task.loss, batch, average, Ranks())
        except MeasurementError:
            return row
    names = {
        "batch_loss": "batch_loss",
        "annealed_loss": "averaged_batch_loss",
        "decrease_ratio": "decrease_ratio",
        "sharpness": "forward_sharpness",
        "slope": "forward_slope",
        "threshold": "threshold",
    }
    row |= {names[k]: v for k, v in fields.items() if k in names and v is not None}
    return row | {"cost_forward": cost}


def curvature(
    task: Task,
    model: nn.Module,
    optimizer: Optimizer,
    fresh: Iterator[Any],
    rung: int,
    clock: Clock,
) -> Row:
    """Batch sharpness on one batch; at some rungs on eight, and the top of the spectrum.

    A reading that fails leaves its columns empty.
    """
    row: Row = {}
    with suppress(MeasurementError), clock.on("sharpness_1"):
        one = batch_sharpness(
            model, task.loss, islice(fresh, 1), optimizer=optimizer, least=1, most=1
        )
        row |= {"sharpness_1": one.ratio_of_means, "cost_sharpness_1": one.cost}
    if rung in rungs.GENEROUS:
        many = rungs.BATCHES
        with suppress(MeasurementError), clock.on("sharpness_many"):
            found = batch_sharpness(
                model, task.loss, islice(fresh, many), optimizer=optimizer, least=many, most=many
            )
            row |= {
                "sharpness_many": found.ratio_of_means,
                "sharpness_many_median": found.median_of_ratios,
                "sharpness_many_error": found.error,
                "cost_sharpness_many": found.cost,
            }
    if rung in rungs.TOP:
        with suppress(MeasurementError), clock.on("top"):
            held = list(islice(fresh, rungs.TOP_BATCHES))
            top = sharpness(model, task.loss, *held, optimizer=optimizer, max_hvps=rungs.TOP_HVPS)
            row |= {
                "top": top.value,
                "top_residual": top.residual / abs(top.value) if top.value else math.nan,
                "cost_top": top.cost,
                "hvps_top": top.hvps,
                "top_threshold": threshold(optimizer, full_batch=True) or math.nan,
            }
    return row


def cooled(
    task: Task,
    model: nn.Module,
    optimizer: Optimizer,
    fresh: Iterator[Any],
    steps: int,
    clock: Clock,
) -> Row:
    """Validation metric of a copy that is trained on with a rate falling linearly to zero."""
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    with torch.random.fork_rng(devices(task)):
        twin = copy.deepcopy(model)
        other = task.optimizer(twin, rates[0])
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        with clock.on("cooldown", steps):
            for step in range(steps):
                for group, rate in zip(other.param_groups, rates, strict=True):
                    group["lr"] = rate * (1 - (step + 1) / (steps + 1))
                one_step(task, twin, other, next(fresh))
        return {"cooled_loss": task.evaluate(twin)}


def one_step(task: Task, model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    """A training step; its loss, detached."""
    model.train()
    optimizer.zero_grad(set_to_none=True)
    loss = task.loss(model, batch)
    loss.backward()
    optimizer.step()
    return loss.detach()


def fresh_batches(task: Task, seed: int) -> Iterator[Any]:
    """Training batches that the run with this seed does not use in this order."""
    return batches(task, seed + FRESH)


def devices(task: Task) -> list[str]:
    return [] if task.device == "cpu" else [task.device]
