"""Training one configuration of a task: watched, checkpointed, resumable bit for bit."""

from __future__ import annotations

import logging
import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lrsearch.curvature import FORWARD, Watch
from lrsearch.exceptions import CheckpointError, TaskError
from lrsearch.schedules import Schedule
from lrsearch.stability import Host, Reading
from lrsearch.training._averaged import settled
from lrsearch.training._checkpoint import load_checkpoint, save_checkpoint
from lrsearch.training._rng import rng_state, set_rng_state
from lrsearch.training._task import Task, batches, loss_of
from lrsearch.tuners import tuner_of

logger = logging.getLogger("lrsearch")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """How a run ended.

    Attributes:
        metric: The task's metric of the final weights; of their mean, where the schedule averages.
        steps: Optimizer steps done, those before a resume included.
        watch_cost: What watching cost, in gradients.
        tuner_cost: What a tuner's steps cost beyond one gradient each.
        result_cost: What the result took after the last step, in gradients: batches that batch
            normalisation is shown, where weights are averaged (`averaged_model`).
        readings: Everything the watch saw.
        resumed_from: Step of the checkpoint that the run continued, 0 if it began anew.
        model: The trained model, with the weights that the metric is of.
    """

    metric: float
    steps: int
    watch_cost: float = 0.0
    tuner_cost: float = 0.0
    result_cost: float = 0.0
    readings: tuple[Reading, ...] = ()
    resumed_from: int = 0
    model: nn.Module = field(repr=False)


def train(
    task: Task,
    schedule: Schedule,
    *,
    seed: int = 0,
    host: Host | None = None,
    share: float | None = 0.02,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    checkpoint_seconds: float = 0.0,
    evaluate_every: int | None = None,
    interrupted: Callable[[], bool] | None = None,
    on_step: Callable[[int], None] | None = None,
    on_checkpoint: Callable[[int], None] | None = None,
    on_evaluation: Callable[[int, float], None] | None = None,
) -> TrainResult:
    """Train a task under a schedule, or a tuner that stands for one, for its whole budget.

    The seed sets torch's, numpy's and Python's global generators. On the CPU the same arguments
    give the same run, bit for bit, also when it is interrupted and resumed from its checkpoint.

    Where the schedule averages weights, the result is their mean. Its batch normalisation is shown
    the batches that would come next: a tenth of the run's steps, 10 to 100 (`averaged_model`).

    Args:
        task: What to train.
        schedule: Learning rates and budget.
        seed: Seed of model, data order and everything random.
        host: Who receives the readings and may stop the run.
        share: Share of the run's cost for watching; ``None`` trains without a watch.
        checkpoint: File to resume from if it exists, and to write. It stays at the end: whoever has
            stored the result removes it, so that nothing is lost in between.
        checkpoint_every: Steps between checkpoints; a tenth of the budget by default.
        checkpoint_seconds: Seconds that must lie between two checkpoints all the same, and before
            the first one: a run that is done again in less needs none.
        evaluate_every: Steps between evaluations on the way, for `on_evaluation`; none by default.
            They are of the current weights, whatever is averaged.
        interrupted: Asked after every step; once true, a checkpoint is written and
            ``KeyboardInterrupt`` raised.
        on_step: Told the number of steps done after every step.
        on_checkpoint: Told it after every checkpoint that was written.
        on_evaluation: Told it, and the task's metric, after every evaluation on the way.

    Raises:
        CheckpointError: If the checkpoint belongs to another run.
        TaskError: If the task does not do what a task must do.
        KeyboardInterrupt: If ``interrupted`` said so.
    """
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    model = task.model().to(task.device)
    optimizer = task.optimizer(model, schedule.peak)
    tuner = tuner_of(schedule, optimizer) if schedule.tuned else None
    scheduler = None if tuner else schedule.torch(optimizer, model=model)
    pace = tuner or scheduler
    assert pace is not None
    watch = None
    if share is not None:
        watch = Watch(model, optimizer, task.loss, host=host, budget=schedule.budget, share=share)
        watch.tuned = schedule.tuned
    path = None if checkpoint is None else Path(checkpoint)
    every = checkpoint_every or max(1, schedule.budget // 10)
    identity = {"task": task.name, "seed": seed, "schedule": _plain(schedule)}

    def state(step: int) -> dict[str, Any]:
        return {
            "identity": identity,
            "step": step,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": pace.state_dict(),
            "watch": None if watch is None else watch.state_dict(),
            "rng": rng_state(),
        }

    start, rng = 0, None
    if path is not None and path.exists():
        saved = load_checkpoint(path)
        if saved.get("identity") != identity:
            raise CheckpointError(
                f"{path} is the checkpoint of another run (task, seed or schedule differ): delete "
                "it, or give this run another path."
            )
        start, rng = int(saved["step"]), saved["rng"]
        try:
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{path} is the checkpoint of another run: task {task.name!r} now builds another "
                "model or optimizer. Delete it, or give the changed task another name."
            ) from error
        pace.load_state_dict(saved["scheduler"])
        if watch is not None and saved["watch"] is not None:
            watch.load_state_dict(saved["watch"])
    stream = batches(task, seed, start)
    if rng is not None:
        set_rng_state(rng)

    written = time.monotonic()

    def advance(batch: Any) -> torch.Tensor:
        """One optimizer step; returns the loss before it."""
        if tuner is not None:
            loss = tuner.step(lambda: loss_of(task, model, batch))
            made = tuner.reading is not None and tuner.reading.finite
            return loss if made else loss * math.nan  # as the weights of a plain run would be
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(task, model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        return loss

    def run() -> None:
        nonlocal written
        for step in range(start + 1, schedule.budget + 1):
            batch = next(stream)
            model.train()
            loss = advance(batch)
            if watch is not None:
                watch.step(loss, batch)
            if on_step is not None:
                on_step(step)
            last = step == schedule.budget
            if on_evaluation and evaluate_every and step % evaluate_every == 0 and not last:
                drawn = rng_state()  # what an evaluation draws must not change the run
                metric = _number(task, task.evaluate(model))
                set_rng_state(drawn)
                on_evaluation(step, metric)
            stopping = interrupted is not None and interrupted()
            due = step % every == 0 and not last
            due = due and time.monotonic() - written >= checkpoint_seconds
            if path is not None and (stopping or due):
                try:
                    save_checkpoint(path, state(step))
                    written = time.monotonic()
                    if on_checkpoint is not None:
                        on_checkpoint(step)
                except CheckpointError as error:  # a full disk must not end the run
                    logger.warning(
                        "training goes on without a checkpoint at step %d: %s", step, error
                    )
            if stopping:
                raise KeyboardInterrupt

    if watch is None:
        run()
    else:
        with watch:
            run()
    result, shown = settled(model, scheduler, partial(loss_of, task), stream)
    metric = _number(task, task.evaluate(result))
    return TrainResult(
        metric=metric,
        steps=schedule.budget,
        watch_cost=0.0 if watch is None else watch.cost,
        tuner_cost=0.0 if tuner is None else max(tuner.cost - tuner.steps, 0.0),
        result_cost=FORWARD * shown,
        readings=() if watch is None else tuple(watch.readings),
        resumed_from=start,
        model=result,
    )


def _plain(schedule: Schedule) -> dict[str, Any]:
    return {name: v for name, v in schedule.to_dict().items() if name != "provenance"}


def _number(task: Task, metric: Any) -> float:
    try:
        value = float(metric)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TaskError(
            f"task {task.name!r}: evaluate must return a number, got {metric!r}."
        ) from error
    return value if math.isfinite(value) else math.nan
