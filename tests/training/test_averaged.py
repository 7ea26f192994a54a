"""Averaged weights: as a plain loop with torch's own tools makes them, also when resumed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, update_bn

from lrsearch.curvature import FORWARD
from lrsearch.exceptions import TaskError
from lrsearch.schedules import Averaging, Schedule
from lrsearch.tasks import digits, digits_cnn
from lrsearch.training import (
    Task,
    TrainResult,
    averaged_model,
    batches,
    load_checkpoint,
    tensor_stream,
    train,
    update_batchnorm,
)

BUDGET = 40
AVERAGED = [
    Schedule("swa", 0.03, BUDGET, {"start": 0.6}, 3),
    Schedule("ema", 0.03, BUDGET, {"window": 0.1}, 3),
    Schedule("cosine", 0.03, BUDGET, {}, 3, averaging=Averaging(0.5, every=3)),
]


@pytest.fixture(autouse=True)
def _generators_restored() -> Iterator[None]:
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    yield
    torch.set_rng_state(before[0])
    np.random.set_state(before[1])
    random.setstate(before[2])


def noisy(**changes: Any) -> Task:
    """BatchNorm, dropout, Adam, and a loss that draws from all three generators."""
    x = torch.randn(48, 5, generator=torch.Generator().manual_seed(3))
    y = (x[:, 0] + x[:, 1] > 0).long()

    def loss(model: nn.Module, batch: Any) -> Tensor:
        noise = torch.from_numpy(np.random.normal(0, 0.1, batch[0].shape)).float()
        return cross_entropy(model(batch[0] + noise * random.random()), batch[1])

    def evaluate(model: nn.Module) -> float:
        model.eval()
        with torch.no_grad():
            value = cross_entropy(model(x), y).item()
        model.train()
        return value

    task = Task(
        name="noisy",
        model=lambda: nn.Sequential(
            nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)
        ),
        loss=loss,
        stream=tensor_stream(x, y, batch_size=8),
        evaluate=evaluate,
        optimizer=lambda model, rate: torch.optim.Adam(model.parameters(), lr=rate),
    )
    return replace(task, **changes)


def by_hand(task: Task, schedule: Schedule, seed: int, *, shown: int) -> nn.Module:
    """The same run in torch's own words."""
    torch.manual_seed(seed)
    model = task.model()
    optimizer = task.optimizer(model, schedule.peak)
    averaging = schedule.averaging
    assert averaging is not None
    decay = averaging.decay
    averaged = AveragedModel(model, avg_fn=None if decay is None else get_ema_avg_fn(decay))  # type: ignore[no-untyped-call]
    stream = batches(task, seed)
    for step, batch in enumerate(islice(stream, schedule.budget)):
        for group in optimizer.param_groups:
            group["lr"] = schedule(step)
        optimizer.zero_grad()
        task.loss(model, batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        after = step - round(averaging.start * schedule.budget)
        if after >= 0 and after % averaging.every == 0:
            averaged.update_parameters(model)
    update_bn(islice(stream, shown), averaged)
    return averaged.module


def assert_equal(one: TrainResult, other: TrainResult) -> None:
    mine, yours = one.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(mine[name], yours[name]) for name in mine)
    assert one.metric == other.metric
    assert (one.readings, one.watch_cost) == (other.readings, other.watch_cost)
    assert one.result_cost == other.result_cost


def cut_at(step: int) -> dict[str, Any]:
    done = [0]
    return {
        "on_step": lambda now: done.__setitem__(0, now),
        "interrupted": lambda: done[0] == step,
    }


@pytest.mark.parametrize("schedule", AVERAGED, ids=lambda s: s.family)
def test_the_result_is_what_torchs_own_tools_make(schedule: Schedule) -> None:
    task = digits_cnn()
    found = train(task, schedule, seed=3)
    expected = by_hand(task, schedule, 3, shown=10)
    mine, theirs = found.model.state_dict(), expected.state_dict()
    assert list(mine) == list(theirs)
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-5, atol=1e-6)
    assert type(found.model) is nn.Sequential
    assert found.metric == pytest.approx(task.evaluate(expected), rel=1e-5)
    assert found.result_cost == pytest.approx(10 * FORWARD)
    task.model().load_state_dict(mine)


def test_statistics_of_the_last_weights_are_wrong_for_the_mean() -> None:
    """The rate is so large that the weights move far in the phase."""
    task, schedule = digits_cnn(optimizer="momentum"), Schedule("swa", 0.3, 200, {"start": 0.5})
    found = train(task, schedule, share=None)
    plain = replace(schedule, family="constant", parameters={}, averaging=None)
    last = train(task, plain, share=None)
    # Many batches in place of twenty: what the statistics would be in the limit.
    assert update_batchnorm(found.model, task.loss, islice(batches(task, 9), 200)) == 200
    limit = task.evaluate(found.model)
    assert found.metric == pytest.approx(limit, rel=0.1)
    assert limit < last.metric
    kept = dict(last.model.named_buffers())
    for name, buffer in found.model.named_buffers():
        buffer.copy_(kept[name])
    assert task.evaluate(found.model) > 1.5 * limit


@pytest.mark.parametrize("share", [0.02, None])
@pytest.mark.parametrize("schedule", AVERAGED, ids=lambda s: s.family)
@pytest.mark.parametrize("cut", [7, 20, 25, 39, BUDGET])
def test_an_interrupted_run_resumes_bit_for_bit(
    schedule: Schedule, cut: int, share: float | None, tmp_path: Path
) -> None:
    whole = train(noisy(), schedule, seed=5, share=share)
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        train(noisy(), schedule, seed=5, share=share, checkpoint=path, **cut_at(cut))
    assert load_checkpoint(path)["step"] == cut
    torch.manual_seed(99)  # another process stands elsewhere
    np.random.seed(99)
    random.seed(99)
    resumed = train(noisy(), schedule, seed=5, share=share, checkpoint=path)
    assert resumed.resumed_from == cut
    assert_equal(resumed, whole)


@pytest.mark.parametrize("schedule", AVERAGED, ids=lambda s: s.family)
def test_averaging_changes_nothing_in_the_run_but_its_result(schedule: Schedule) -> None:
    plain = Schedule("constant", 0.03, BUDGET, {}, 3)
    if schedule.family == "cosine":
        plain = replace(schedule, averaging=None)
    way: list[tuple[int, float]] = []
    with_mean = train(
        noisy(),
        schedule,
        evaluate_every=15,
        on_evaluation=lambda step, metric: way.append((step, metric)),
    )
    state = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index, union-attr]
    other: list[tuple[int, float]] = []
    without = train(
        noisy(),
        plain,
        evaluate_every=15,
        on_evaluation=lambda step, metric: other.append((step, metric)),
    )
    assert with_mean.readings == without.readings
    assert way == other  # of the current weights, in the averaging phase too
    assert without.result_cost == 0.0
    assert with_mean.metric != without.metric
    # What batch normalisation is shown draws nothing that anyone would miss.
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    assert state[2] == random.getstate()


def test_without_batch_normalisation_nothing_is_shown() -> None:
    drawn: list[int] = []
    task = digits(width=8)
    stream = task.stream

    def counted(seed: int, epoch: int) -> Iterator[Any]:
        for batch in stream(seed, epoch):
            drawn.append(epoch)
            yield batch

    found = train(replace(task, stream=counted), Schedule("swa", 0.1, 30), share=None)
    assert (found.result_cost, len(drawn)) == (0.0, 30)


@pytest.mark.parametrize(("budget", "shown"), [(1, 10), (60, 10), (250, 25), (1200, 100)])
def test_a_tenth_of_the_run_is_shown(budget: int, shown: int) -> None:
    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
    task = Task(
        name="tiny",
        model=lambda: nn.BatchNorm1d(2),
        loss=lambda model, batch: model(batch[0]).square().mean(),
        stream=tensor_stream(x, batch_size=4),
        evaluate=lambda model: 0.0,
        optimizer=lambda model, rate: torch.optim.SGD(model.parameters(), lr=rate),
    )
    found = train(task, Schedule("swa", 0.01, budget), share=None)
    assert found.result_cost == pytest.approx(FORWARD * shown)
    assert int(found.model.num_batches_tracked) == shown  # type: ignore[arg-type]


def test_a_run_that_diverged_says_so_averaged_or_not() -> None:
    with pytest.warns(UserWarning, match="diverged"):
        found = train(noisy(), Schedule("swa", 1e30, BUDGET))
    assert math.isnan(found.metric)


# A user's own loop.


def test_the_model_itself_where_nothing_is_averaged_or_not_yet() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for schedule in (Schedule("linear", 0.1, 10), Schedule("swa", 0.1, 10)):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = schedule.torch(optimizer, model=model)
        assert averaged_model(model, scheduler, lambda model, batch: None, []) is model
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def averaging() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    frozen = nn.BatchNorm1d(3)
    model = nn.Sequential(
        nn.BatchNorm1d(3), frozen, nn.Dropout(0.5), nn.BatchNorm1d(3, track_running_stats=False)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = Schedule("swa", 0.1, 2, {"start": 0.0}).torch(optimizer, model=model)
    for _ in range(2):
        model(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        scheduler.step()
    return model, scheduler


def test_the_mean_over_all_batches_is_the_statistic_and_nothing_else_changes() -> None:
    model, scheduler = averaging()
    module = scheduler.averaged.module
    frozen = module[1]
    frozen.train = lambda mode=True: frozen  # as models do that freeze theirs
    frozen.training = False
    kept = frozen.running_mean.clone()
    loader = [torch.randn(4, 3) * (1 + i) + i for i in range(12)]
    drawn = torch.get_rng_state()
    found = averaged_model(model, scheduler, lambda model, batch: model(batch).sum(), loader)
    assert found is module
    shown = torch.stack([batch.mean(0) for batch in loader[:10]])
    torch.testing.assert_close(found[0].running_mean, shown.mean(0))
    variances = torch.stack([batch.var(0) for batch in loader[:10]])
    torch.testing.assert_close(found[0].running_var, variances.mean(0))
    assert found[0].momentum == 0.1
    assert torch.equal(frozen.running_mean, kept)
    assert [layer.training for layer in found] == [True, False, True, True]
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in found.parameters())


def test_no_batch_is_refused_and_leaves_the_statistics() -> None:
    model, scheduler = averaging()
    kept = scheduler.averaged.module[0].running_mean.clone()
    with pytest.raises(TaskError, match="no batch to compute the statistics"):
        averaged_model(model, scheduler, lambda model, batch: model(batch), iter(()))
    norm = scheduler.averaged.module[0]
    assert torch.equal(norm.running_mean, kept)
    assert norm.momentum == 0.1


def test_a_loss_that_fails_leaves_modes_and_momenta() -> None:
    model, scheduler = averaging()
    module = scheduler.averaged.module.eval()
    with pytest.raises(ZeroDivisionError):
        averaged_model(model, scheduler, lambda model, batch: 1 / 0, [1])
    assert not any(layer.training for layer in module.modules())
    assert module[0].momentum == 0.1
