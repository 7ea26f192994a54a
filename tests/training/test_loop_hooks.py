"""The loop's checkpoints by the clock and its evaluations on the way, for hosts that keep them."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lrsearch.exceptions import CheckpointError, TaskError
from lrsearch.schedules import Schedule
from lrsearch.training import Task, _loop, load_checkpoint, tensor_stream, train

BUDGET = 20
SCHEDULE = Schedule(family="linear", peak=0.1, budget=BUDGET)
X = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))


class Clock:
    """A clock on which every step takes a second."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def tick(self, step: int) -> None:
        self.now += 1.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(_loop, "time", made)
    return made


def evaluate(model: nn.Module) -> float:
    model.eval()
    with torch.no_grad():
        return float(model(X).square().mean())


def task(**changes: Any) -> Task:
    plain = {
        "name": "small",
        "model": lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 1)),
        "loss": lambda model, batch: model(batch[0]).square().mean(),
        "stream": tensor_stream(X, batch_size=8),
        "evaluate": evaluate,
        "optimizer": lambda model, rate: torch.optim.SGD(model.parameters(), lr=rate),
    }
    return Task(**plain | changes)


# Checkpoints


@pytest.mark.parametrize(
    ("every", "seconds", "expected"),
    [
        (2, 0.0, [2, 4, 6, 8, 10, 12, 14, 16, 18]),
        (2, 5.0, [6, 12, 18]),  # a multiple of every, and five seconds after the last
        (2, 6.0, [6, 12, 18]),
        (3, 7.0, [9, 18]),
        (None, 9.0, [10]),
        (2, 19.0, []),  # none before the first seconds have passed, none at the end
        (20, 0.0, []),
    ],
)
def test_a_checkpoint_is_due_by_steps_and_by_the_clock(
    clock: Clock, tmp_path: Path, every, seconds: float, expected: list[int]
) -> None:
    written: list[int] = []
    train(
        task(),
        SCHEDULE,
        checkpoint=tmp_path / "c",
        checkpoint_every=every,
        checkpoint_seconds=seconds,
        on_step=clock.tick,
        on_checkpoint=written.append,
    )
    assert written == expected


def test_whoever_is_told_of_a_checkpoint_finds_it_there(tmp_path: Path) -> None:
    path, seen = tmp_path / "c", []
    train(
        task(),
        SCHEDULE,
        checkpoint=path,
        checkpoint_every=5,
        on_checkpoint=lambda step: seen.append((step, load_checkpoint(path)["step"])),
    )
    assert seen == [(5, 5), (10, 10), (15, 15)]


def test_an_interrupt_writes_a_checkpoint_at_any_time(clock: Clock, tmp_path: Path) -> None:
    written: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train(
            task(),
            SCHEDULE,
            checkpoint=tmp_path / "c",
            checkpoint_seconds=1e9,
            on_step=clock.tick,
            interrupted=lambda: clock.now >= 1007.0,
            on_checkpoint=written.append,
        )
    assert written == [7]


def test_a_checkpoint_that_could_not_be_written_is_not_told(tmp_path, monkeypatch, caplog) -> None:
    def full(path: Path, state: dict[str, Any]) -> None:
        raise CheckpointError("no space left")

    monkeypatch.setattr(_loop, "save_checkpoint", full)
    written: list[int] = []
    result = train(task(), SCHEDULE, checkpoint=tmp_path / "c", on_checkpoint=written.append)
    assert (result.steps, written) == (BUDGET, [])
    assert "no space left" in caplog.text


def test_without_a_path_there_are_no_checkpoints() -> None:
    written: list[int] = []
    train(task(), SCHEDULE, checkpoint_every=1, on_checkpoint=written.append)
    assert written == []


# Evaluations


@pytest.mark.parametrize(
    ("every", "expected"), [(6, [6, 12, 18]), (10, [10]), (20, []), (None, [])]
)
def test_the_metric_is_told_on_the_way_but_not_at_the_end(every, expected: list[int]) -> None:
    told: list[tuple[int, float]] = []
    train(
        task(),
        SCHEDULE,
        evaluate_every=every,
        on_evaluation=lambda step, metric: told.append((step, metric)),
    )
    assert [step for step, _ in told] == expected
    assert all(math.isfinite(metric) for _, metric in told)


def test_what_is_told_is_the_metric_of_that_step(tmp_path: Path) -> None:
    told: dict[int, float] = {}
    path = tmp_path / "c"

    def keep(step: int, metric: float) -> None:
        told[step] = metric

    with pytest.raises(KeyboardInterrupt):
        train(
            task(),
            SCHEDULE,
            evaluate_every=5,
            on_evaluation=keep,
            checkpoint=path,
            interrupted=lambda: 10 in told,
        )
    model = task().model()
    model.load_state_dict(load_checkpoint(path)["model"])
    assert told[10] == evaluate(model)
    assert told[5] != told[10]


def test_evaluating_on_the_way_changes_nothing_in_the_run() -> None:
    """Though this metric draws random numbers, and leaves dropout off."""

    def careless(model: nn.Module) -> float:
        return evaluate(model) + 0.0 * (torch.rand(1).item() + np.random.rand() + random.random())

    told: list[int] = []
    often = train(
        task(evaluate=careless),
        SCHEDULE,
        evaluate_every=3,
        on_evaluation=lambda step, metric: told.append(step),
    )
    never = train(task(evaluate=careless), SCHEDULE)
    assert len(told) == 6
    assert often.metric == never.metric
    assert often.readings == never.readings


def test_nobody_who_listens_no_evaluation() -> None:
    calls: list[int] = []

    def counting(model: nn.Module) -> float:
        calls.append(1)
        return 1.0

    train(task(evaluate=counting), SCHEDULE, evaluate_every=1)
    assert len(calls) == 1


@pytest.mark.parametrize("metric", [math.inf, math.nan])
def test_a_metric_on_the_way_that_is_not_finite_is_nan(metric: float) -> None:
    told: list[float] = []
    train(
        task(evaluate=lambda model: metric),
        SCHEDULE,
        evaluate_every=10,
        on_evaluation=lambda step, value: told.append(value),
    )
    assert [math.isnan(value) for value in told] == [True]


def test_a_metric_on_the_way_that_is_no_number_is_refused() -> None:
    with pytest.raises(TaskError, match="evaluate must return a number, got 'good'"):
        train(
            task(evaluate=lambda model: "good"),
            SCHEDULE,
            evaluate_every=10,
            on_evaluation=lambda step, value: None,
        )
