"""The loop: the same run whether or not it was interrupted, and clear words for what goes wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lrsearch.exceptions import CheckpointError, TaskError
from lrsearch.schedules import Schedule, get_family, tuner_families
from lrsearch.stability import Reading, Verdict
from lrsearch.tasks import digits
from lrsearch.training import Task, TrainResult, load_checkpoint, tensor_stream, train

BUDGET = 37


@pytest.fixture(autouse=True)
def _generators_restored() -> Iterator[None]:
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    yield
    torch.set_rng_state(before[0])
    np.random.set_state(before[1])
    random.setstate(before[2])


def small(**changes: Any) -> Task:
    """A task with every kind of state: BatchNorm, dropout, Adam, numpy and Python generators."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(48, 5, generator=generator)
    y = (x[:, 0] + x[:, 1] > 0).long()

    def model() -> nn.Module:
        return nn.Sequential(
            nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)
        )

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
        name="small",
        model=model,
        loss=loss,
        stream=tensor_stream(x, y, batch_size=8),
        evaluate=evaluate,
        optimizer=lambda model, lr: torch.optim.Adam(
            [{"params": model[0].parameters()}, {"params": model[1:].parameters(), "lr": lr / 2}],
            lr=lr,
        ),
    )
    return replace(task, **changes)


def plain(**changes: Any) -> Task:
    """The same with nothing random in its loss."""
    return small(loss=lambda model, batch: cross_entropy(model(batch[0]), batch[1]), **changes)


SCHEDULE = Schedule(family="cosine", peak=0.03, budget=BUDGET, warmup_steps=4)


class Collecting:
    budget: int | None = BUDGET
    peak: float | None = 0.03

    def __init__(self, stop_at: int | None = None) -> None:
        self.readings: list[Reading] = []
        self.stop_at = stop_at

    def emit(self, reading: Reading) -> None:
        self.readings.append(reading)

    def decide(self, readings: Any) -> Verdict:
        late = self.stop_at is not None and readings[-1].step >= self.stop_at
        return Verdict(stop=late, regime="host", reason="late")

    def stop(self, verdict: Verdict) -> None:
        raise StopIteration(verdict.reason)


def cut_at(step: int) -> dict[str, Any]:
    """Options that interrupt a run after ``step`` steps."""
    done = [0]

    def on_step(now: int) -> None:
        done[0] = now

    return {"on_step": on_step, "interrupted": lambda: done[0] == step}


def assert_equal(one: TrainResult, other: TrainResult) -> None:
    mine, yours = one.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(mine[name], yours[name]) for name in mine)
    assert one.metric == other.metric
    assert one.readings == other.readings
    assert (one.steps, one.watch_cost) == (other.steps, other.watch_cost)


# The same run


@pytest.mark.parametrize("share", [0.02, None])
@pytest.mark.parametrize("cut", [1, 3, 6, 7, 20, BUDGET - 1, BUDGET])
def test_an_interrupted_run_resumes_bit_for_bit(
    cut: int, share: float | None, tmp_path: Path
) -> None:
    whole = train(small(), SCHEDULE, seed=5, share=share)
    path = tmp_path / "folder" / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        train(small(), SCHEDULE, seed=5, share=share, checkpoint=path, **cut_at(cut))
    assert load_checkpoint(path)["step"] == cut
    torch.manual_seed(99)  # another process stands elsewhere
    np.random.seed(99)
    random.seed(99)
    steps: list[int] = []
    resumed = train(small(), SCHEDULE, seed=5, share=share, checkpoint=path, on_step=steps.append)
    assert resumed.resumed_from == cut
    assert steps == list(range(cut + 1, BUDGET + 1))
    assert_equal(resumed, whole)
    assert list(path.parent.iterdir()) == [path]  # no scratch files; it stays until it is stored


@pytest.mark.parametrize("family", tuner_families())
def test_a_run_under_a_tuner_resumes_bit_for_bit(family: str, tmp_path: Path) -> None:
    tuned = Schedule(family, 0.03, BUDGET)
    whole = train(small(), tuned, seed=5)
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        train(small(), tuned, seed=5, checkpoint=path, **cut_at(7))
    torch.manual_seed(99)
    resumed = train(small(), tuned, seed=5, checkpoint=path)
    assert resumed.resumed_from == 7
    assert_equal(resumed, whole)
    assert resumed.tuner_cost == whole.tuner_cost
    extra = get_family(family).gradients - 1.0
    assert whole.tuner_cost == pytest.approx(extra * BUDGET)
    assert all(reading.tuned and reading.peak is None for reading in whole.readings)


def test_interrupted_again_and_again_it_is_still_the_same_run(tmp_path: Path) -> None:
    whole = train(small(), SCHEDULE, seed=5)
    path = tmp_path / "run.ckpt"
    for cut in (2, 9, 10, 30):
        with pytest.raises(KeyboardInterrupt):
            train(small(), SCHEDULE, seed=5, checkpoint=path, **cut_at(cut))
    assert_equal(train(small(), SCHEDULE, seed=5, checkpoint=path), whole)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_digits_resume_bit_for_bit(optimizer: str, tmp_path: Path) -> None:
    task = digits(optimizer=optimizer, width=64)
    schedule = Schedule(family="linear", peak=0.1, budget=60)
    whole = train(task, schedule, seed=1)
    assert whole.metric < 1.5  # it learns: chance is 2.3
    with pytest.raises(KeyboardInterrupt):
        train(task, schedule, seed=1, checkpoint=tmp_path / "c", **cut_at(41))
    assert_equal(train(task, schedule, seed=1, checkpoint=tmp_path / "c"), whole)


def test_a_crash_resumes_from_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    saved: list[int] = []

    def crash(step: int) -> None:
        if path.exists():
            saved.append(load_checkpoint(path)["step"])
        if step == 23:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(small(), SCHEDULE, seed=5, checkpoint=path, checkpoint_every=5, on_step=crash)
    assert sorted(set(saved)) == [5, 10, 15, 20]
    resumed = train(small(), SCHEDULE, seed=5, checkpoint=path)
    assert resumed.resumed_from == 20
    assert_equal(resumed, train(small(), SCHEDULE, seed=5))


def test_a_checkpoint_every_tenth_of_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    seen: list[int] = []
    train(
        small(),
        SCHEDULE,
        checkpoint=path,
        on_step=lambda step: seen.append(load_checkpoint(path)["step"] if path.exists() else 0),
    )
    assert sorted(set(seen)) == [0, *range(3, BUDGET, 3)]
    assert load_checkpoint(path)["step"] < SCHEDULE.budget  # stays, for whoever stores the result


def test_a_checkpoint_stays_when_the_evaluation_fails(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    with pytest.raises(TaskError):
        train(small(evaluate=lambda model: None), SCHEDULE, checkpoint=path)
    assert_equal(train(small(), SCHEDULE, checkpoint=path), train(small(), SCHEDULE))


def test_the_seed_makes_the_run() -> None:
    one, two, other = (train(small(), SCHEDULE, seed=seed) for seed in (7, 7, 8))
    assert_equal(one, two)
    assert one.metric != other.metric


@pytest.mark.parametrize("task", [plain, lambda: digits(width=8)])
def test_watching_changes_nothing(task: Callable[[], Task]) -> None:
    watched = train(task(), SCHEDULE, seed=2)
    alone = train(task(), SCHEDULE, seed=2, share=None)
    assert len(watched.readings) >= 6
    # Five forward passes a probe, two more where the slope asks for a second look.
    extra = (watched.watch_cost - 2.0 * len(watched.readings)) / 0.8
    assert 0 <= round(extra) <= len(watched.readings)
    assert extra == pytest.approx(round(extra))
    assert (alone.readings, alone.watch_cost) == ((), 0.0)
    mine, yours = watched.model.state_dict(), alone.model.state_dict()
    assert all(torch.equal(mine[name], yours[name]) for name in mine)
    assert watched.metric == alone.metric


def test_the_schedule_is_followed_to_the_last_step() -> None:
    rates: list[list[float]] = []
    task = plain()
    build = task.optimizer

    def spying(model: nn.Module, lr: float) -> torch.optim.Optimizer:
        optimizer = build(model, lr)
        optimizer.register_step_pre_hook(
            lambda o, *_: rates.append([g["lr"] for g in o.param_groups])
        )
        return optimizer

    result = train(replace(task, optimizer=spying), SCHEDULE)
    assert [r[0] for r in rates] == pytest.approx([SCHEDULE(step) for step in range(BUDGET)])
    assert [r[1] for r in rates] == pytest.approx([SCHEDULE(step) / 2 for step in range(BUDGET)])
    assert [r.learning_rate for r in result.readings] == [
        rates[r.step - 1][0] for r in result.readings
    ]


def test_the_host_gets_every_reading_and_may_stop(tmp_path: Path) -> None:
    host = Collecting()
    result = train(plain(), SCHEDULE, host=host)
    assert tuple(host.readings) == result.readings
    stopped = Collecting(stop_at=20)
    with pytest.raises(StopIteration, match="late"):
        train(plain(), SCHEDULE, host=stopped, checkpoint=tmp_path / "c", checkpoint_every=4)
    assert 20 <= stopped.readings[-1].step < BUDGET
    assert [r for r in host.readings if r.step <= stopped.readings[-1].step] == stopped.readings


# Checkpoints that do not fit


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 6},
        {"schedule": replace(SCHEDULE, peak=0.02)},
        {"schedule": replace(SCHEDULE, budget=BUDGET + 1)},
        {"schedule": replace(SCHEDULE, family="linear")},
        {"task": small(name="another")},
    ],
)
def test_the_checkpoint_of_another_run_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    run: dict[str, Any] = {"task": small(), "schedule": SCHEDULE, "seed": 5}
    with pytest.raises(KeyboardInterrupt):
        train(**run, checkpoint=path, **cut_at(4))
    written = path.read_bytes()
    with pytest.raises(CheckpointError, match="another run"):
        train(**(run | change), checkpoint=path)
    assert path.read_bytes() == written
    with pytest.raises(KeyboardInterrupt):  # where the schedule came from makes no difference
        schedule = replace(SCHEDULE, provenance={"trial": 3})
        train(**(run | {"schedule": schedule}), checkpoint=path, **cut_at(5))


def test_a_checkpoint_of_another_model_under_the_same_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        train(small(), SCHEDULE, checkpoint=path, **cut_at(4))

    def wider() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 9), nn.BatchNorm1d(9), nn.Linear(9, 2))

    with pytest.raises(CheckpointError, match="another run"):
        train(small(model=wider), SCHEDULE, checkpoint=path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(share: float, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        train(small(), SCHEDULE, checkpoint=path, **cut_at(4))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="Delete it"):
        train(small(), SCHEDULE, checkpoint=path)


def test_a_watch_may_be_added_or_left_out_on_resume(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    for first, second in ((None, 0.02), (0.02, None)):
        with pytest.raises(KeyboardInterrupt):
            train(plain(), SCHEDULE, share=first, checkpoint=path, **cut_at(11))
        resumed = train(plain(), SCHEDULE, share=second, checkpoint=path)
        path.unlink()
        assert resumed.metric == train(plain(), SCHEDULE, share=None).metric
        assert bool(resumed.readings) is (second is not None)


# Tasks that do not do their part


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda model, batch: model(batch[0]), r"must be a scalar, got shape \(8, 2\)"),
        (lambda model, batch: 1.5, "must return a scalar tensor, got 1.5"),
        (lambda model, batch: None, "must return a scalar tensor, got None"),
        (lambda model, batch: (model(batch[0]).sum(), {}), "must return a scalar tensor"),
    ],
)
def test_a_loss_that_is_no_scalar(loss: Any, words: str) -> None:
    with pytest.raises(TaskError, match=f"task 'small': loss {words}"):
        train(small(loss=loss), SCHEDULE)


@pytest.mark.parametrize("metric", ["good", None, [1.0], {"loss": 1.0}, torch.ones(2)])
def test_a_metric_that_is_no_number(metric: Any) -> None:
    with pytest.raises(TaskError, match="task 'small': evaluate must return a number, got"):
        train(small(evaluate=lambda model: metric), SCHEDULE)


@pytest.mark.parametrize("metric", [2, np.float32(2), torch.tensor(2.0), True + 1])
def test_a_metric_that_is_a_number(metric: Any) -> None:
    found = train(small(evaluate=lambda model: metric), SCHEDULE).metric
    assert found == 2.0
    assert type(found) is float


@pytest.mark.parametrize("metric", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_nan(metric: float, tmp_path: Path) -> None:
    result = train(small(evaluate=lambda model: metric), SCHEDULE, checkpoint=tmp_path / "c")
    assert math.isnan(result.metric)
    assert list(tmp_path.iterdir()) == [tmp_path / "c"]


def test_a_run_that_diverges_ends_with_nan_and_a_warning(tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, peak=1e30)
    task = plain(optimizer=lambda model, lr: torch.optim.SGD(model.parameters(), lr=lr))
    with pytest.warns(UserWarning, match="diverged"):
        whole = train(task, schedule)
    assert math.isnan(whole.metric)
    assert not whole.readings[-1].finite
    with pytest.warns(UserWarning, match="diverged"), pytest.raises(KeyboardInterrupt):
        train(task, schedule, checkpoint=tmp_path / "c", **cut_at(30))
    resumed = train(task, schedule, checkpoint=tmp_path / "c")  # it was told before
    assert [r.step for r in resumed.readings] == [r.step for r in whole.readings]
    assert math.isnan(resumed.metric)


@pytest.mark.parametrize("family", ["constant", *tuner_families()])
def test_a_gradient_that_stays_nan_is_seen_also_where_a_tuner_makes_no_step(family: str) -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        """Finite, with a gradient of NaN after some evaluations."""
        nonlocal calls
        calls += torch.is_grad_enabled()
        plain = cross_entropy(model(batch[0]), batch[1])
        nothing = (0.0 * plain).clamp_min(0.0)
        return plain + nothing.sqrt() if calls > 9 else plain

    calls = 0
    host = Collecting()
    train(small(loss=loss), Schedule(family, 0.03, BUDGET), host=host)
    assert not host.readings[-1].finite


def test_a_step_that_no_tuner_made_costs_no_less_than_nothing() -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        return cross_entropy(model(batch[0]), batch[1]) * math.inf

    assert train(small(loss=loss), Schedule("clara", 0.03, 5), share=None).tuner_cost == 0.0
