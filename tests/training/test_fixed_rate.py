"""A run at a fixed rate: what it reads, when it ends, and that an interruption changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from lrsearch.exceptions import CheckpointError
from lrsearch.schedules import Schedule
from lrsearch.tasks import digits
from lrsearch.training import Task, batches, fixed_rate, forget_fixed_rate, train

BUDGET = 50


def small() -> Task:
    return digits(width=64)


def test_level_and_quality_are_those_of_a_plain_loop() -> None:
    found = fixed_rate(small(), 0.1, budget=BUDGET, seed=3)
    torch.manual_seed(3)
    task = small()
    model = task.model()
    optimizer = task.optimizer(model, 0.1)
    losses = []
    stream = batches(task, 3)
    for step in range(BUDGET):
        rate = 0.1 * min((step + 1) / 3, 1.0)  # warm-up of round(0.05 * 50) = 2 steps
        rate *= min((BUDGET - step) / 10, 1.0)
        optimizer.param_groups[0]["lr"] = rate
        images, labels = next(stream)
        loss = cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step == 39:
            plain = task.evaluate(model)
    assert found.start == pytest.approx(losses[0])
    assert found.losses == pytest.approx(losses[35:40], rel=1e-4)
    assert found.plain == pytest.approx(plain, rel=1e-4)
    assert found.annealed == pytest.approx(task.evaluate(model), rel=1e-4)
    assert found.cost == 1.0


def test_recording_changes_nothing_in_the_run() -> None:
    found = fixed_rate(small(), 0.1, budget=BUDGET)
    schedule = Schedule("wsd", peak=0.1, budget=BUDGET, warmup_steps=2)
    linear = replace(schedule, parameters={"cooldown": 0.2, "cooldown_shape": "linear"})
    assert found.annealed == train(small(), linear, share=None).metric


@pytest.mark.parametrize("stop", [1, 7, 20, 39, 40, 41, 49, 50])
def test_an_interruption_changes_nothing(tmp_path: Path, stop: int) -> None:
    whole = fixed_rate(small(), 0.1, budget=BUDGET)
    path = tmp_path / "run.pt"
    steps: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        fixed_rate(
            small(),
            0.1,
            budget=BUDGET,
            checkpoint=path,
            interrupted=lambda: len(steps) == stop,
            on_step=steps.append,
        )
    steps.clear()
    again = fixed_rate(small(), 0.1, budget=BUDGET, checkpoint=path, on_step=steps.append)
    assert steps[:1] == ([stop + 1] if stop < BUDGET else [])
    # A metric before annealing that was read before the interruption is kept with the losses.
    assert again == whole
    assert path.exists()  # until whoever has stored the result removes it
    assert fixed_rate(small(), 0.1, budget=BUDGET, checkpoint=path) == whole
    forget_fixed_rate(path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_does_not_end_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path, state) -> None:
        raise CheckpointError("no space left")

    monkeypatch.setattr("lrsearch.training._fixed_rate.save_checkpoint", full)
    found = fixed_rate(small(), 0.1, budget=BUDGET, checkpoint=tmp_path / "run.pt")
    monkeypatch.undo()
    again = fixed_rate(small(), 0.1, budget=BUDGET, checkpoint=tmp_path / "run.pt")
    assert found == again == fixed_rate(small(), 0.1, budget=BUDGET)


def test_lost_losses_only_cost_a_repetition(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    steps: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        fixed_rate(
            small(),
            0.1,
            budget=BUDGET,
            checkpoint=path,
            interrupted=lambda: len(steps) == 30,
            on_step=steps.append,
        )
    (tmp_path / "run.pt.track").write_text("{")
    again = fixed_rate(small(), 0.1, budget=BUDGET, checkpoint=path)
    assert again == fixed_rate(small(), 0.1, budget=BUDGET)


def test_a_hot_run_ends_early() -> None:
    found = fixed_rate(small(), 1e9, budget=200)
    assert found.cost <= 0.4
    assert found.diverged
    assert math.isnan(found.annealed)


def test_a_run_that_is_not_finite_has_no_level() -> None:
    broken = replace(small(), loss=lambda model, batch: model(batch[0]).sum() * math.nan)
    found = fixed_rate(broken, 0.1, budget=BUDGET)
    assert found.losses == ()
    assert found.level == math.inf or math.isnan(found.level)
    assert found.diverged


def test_a_budget_that_is_too_short() -> None:
    with pytest.raises(ValueError, match="20 steps or more, got 19"):
        fixed_rate(small(), 0.1, budget=19)
