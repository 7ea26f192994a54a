"""One run at a fixed learning rate, annealed at its end: what a regime map is made of."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from lrsearch.exceptions import CheckpointError
from lrsearch.schedules import Schedule
from lrsearch.stability import FixedRate
from lrsearch.training._checkpoint import load_checkpoint, save_checkpoint
from lrsearch.training._loop import train
from lrsearch.training._task import Task

SHORTEST = 20  # steps of a run that still has a warm-up, a level and an end
WARMUP, COOLDOWN = 0.05, 0.2  # of the budget
WINDOW = 0.1  # of the budget, before the cooldown: where the level is read
BLOCKS = 10
LOOK = 20  # steps between looks at the loss, each of which waits for the device


def fixed_rate(
    task: Task,
    rate: float,
    *,
    budget: int,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 0.0,
    interrupted: Callable[[], bool] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> FixedRate:
    """Train at one rate for 0.8 of the budget, read the level, and anneal over the rest.

    The rate rises over the first twentieth. A run ends early if its loss is no longer finite, or
    has fallen by next to nothing when it should be annealed.

    Args:
        task: What to train.
        rate: Learning rate.
        budget: Optimizer steps, at least 20.
        seed: Seed of model and data order; the same for all runs of one map.
        checkpoint: File to resume from if it exists, and to write; a second one beside it holds
            what was read. Both stay: `forget_fixed_rate` removes them, once the result is stored.
        checkpoint_seconds: As for `train`.
        interrupted: Asked after every step.
        on_step: Told the number of steps done after every step.

    Raises:
        ValueError: If the budget is too short.
        KeyboardInterrupt: If ``interrupted`` said so; the same call goes on.
    """
    check_fixed_rate(budget)
    schedule = Schedule(
        "wsd",
        peak=rate,
        budget=budget,
        warmup_steps=round(WARMUP * budget),
        parameters={"cooldown": COOLDOWN, "cooldown_shape": "linear"},
    )
    path = None if checkpoint is None else Path(checkpoint)
    track = _Track(task, schedule, None if path is None else _beside(path))

    def stepped(step: int) -> None:
        track.stepped(step)
        if on_step is not None:
            on_step(step)

    try:
        result = train(
            replace(task, loss=track.loss),
            schedule,
            seed=seed,
            share=None,
            checkpoint=path,
            checkpoint_seconds=checkpoint_seconds,
            evaluate_every=schedule.stable_steps,
            interrupted=interrupted,
            on_step=stepped,
            on_checkpoint=lambda step: track.save(),
            on_evaluation=track.evaluated,
        )
        track.begin(result.resumed_from)  # where no step was left to do
        done, annealed = budget, result.metric
    except _Over as over:
        done, annealed = over.step, math.nan
    except _Lost:
        forget_fixed_rate(checkpoint)
        return fixed_rate(
            task,
            rate,
            budget=budget,
            seed=seed,
            checkpoint=checkpoint,
            checkpoint_seconds=checkpoint_seconds,
            interrupted=interrupted,
            on_step=on_step,
        )
    return FixedRate(
        rate=rate,
        start=track.start,
        losses=track.blocks(),
        plain=track.plain,
        annealed=annealed,
        cost=done / budget,
    )


def check_fixed_rate(budget: int) -> None:
    """Do nothing where a run at a fixed rate has room in a budget.

    Raises:
        ValueError: If it has not.
    """
    if budget < SHORTEST:
        raise ValueError(f"a run at a fixed rate needs {SHORTEST} steps or more, got {budget}")


def forget_fixed_rate(checkpoint: str | os.PathLike[str] | None) -> None:
    """Remove a run's checkpoint and what lies beside it, where there is any."""
    if checkpoint is not None:
        path = Path(checkpoint)
        path.unlink(missing_ok=True)
        _beside(path).unlink(missing_ok=True)


class _Over(Exception):  # noqa: N818 (nobody's error)
    """The run need not go on."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


class _Lost(Exception):  # noqa: N818
    """A checkpoint without the losses that led to it."""


class _Track:
    """Records a task's training losses, and ends a run that has nothing more to tell."""

    def __init__(self, task: Task, schedule: Schedule, file: Path | None) -> None:
        self.task, self.end, self.file = task, schedule.stable_steps, file
        self.window = max(round(WINDOW * schedule.budget), 1)
        self.losses: list[float] = []
        self.plain = math.nan
        self._waiting: list[Tensor] = []
        self._begun = False

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        value = self.task.loss(model, batch)
        if isinstance(value, Tensor) and value.numel() == 1:
            self._waiting.append(value.detach().reshape(()))
        return value

    def begin(self, done: int) -> None:
        """At the first step, or where there was none: recall what was read in earlier ones."""
        if not self._begun:
            self._begun = True
            if done:
                self._load(done)

    def stepped(self, step: int) -> None:
        self.begin(step - 1)
        if step % LOOK and step != self.end:
            return
        if not all(map(math.isfinite, self.settled()[-LOOK:])):
            raise _Over(step)
        if step == self.end and self._rate().diverged:
            raise _Over(step)

    def evaluated(self, step: int, metric: float) -> None:
        self.plain = metric

    def save(self) -> None:
        """Write what was read so far.

        Raises:
            CheckpointError: If that cannot be; the run then goes on without.
        """
        if self.file is not None:
            save_checkpoint(self.file, {"losses": self.settled(), "plain": self.plain})

    def _load(self, steps: int) -> None:
        """What was read before a checkpoint."""
        assert self.file is not None
        try:
            known = load_checkpoint(self.file)
            losses, self.plain = [float(v) for v in known["losses"]], float(known["plain"])
        except (CheckpointError, ValueError, KeyError, TypeError) as error:
            raise _Lost from error
        if len(losses) < steps:
            raise _Lost
        self.losses = losses[:steps]

    def settled(self) -> list[float]:
        """All losses so far; waits for the device."""
        if self._waiting:
            self.losses += torch.stack(self._waiting).double().tolist()
            self._waiting = []
        return self.losses

    @property
    def start(self) -> float:
        return self.losses[0] if self.losses else math.nan

    def blocks(self) -> tuple[float, ...]:
        """Means over the blocks of the last window at the rate; none where one was not finite."""
        window = self.settled()[: self.end][-self.window :]
        if not all(map(math.isfinite, self.losses)):
            return ()
        n = min(BLOCKS, len(window))
        marks = [len(window) * i // n for i in range(n + 1)]
        return tuple(fmean(window[a:b]) for a, b in pairwise(marks))

    def _rate(self) -> FixedRate:
        return FixedRate(rate=1.0, start=self.start, losses=self.blocks())


def _beside(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}.track")
