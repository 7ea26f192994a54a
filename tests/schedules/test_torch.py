"""The torch adapter: step by step against torch's own schedulers, and exact resumes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    SequentialLR,
)

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Averaging, Schedule, join
from lrsearch.schedules._continuation import continues
from lrsearch.theory import longer_cooldown, lower_second_stage

T = 60


def sgd(*rates: Any) -> SGD:
    return SGD([{"params": [torch.nn.Parameter(torch.ones(2))], "lr": rate} for rate in rates])


def rates(optimizer: Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def advance(optimizer: Optimizer, scheduler: LRScheduler, steps: int) -> list[list[float]]:
    """The learning rates that the next updates use."""
    used = []
    for _ in range(steps):
        used.append(rates(optimizer))
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.full_like(parameter, 0.5) * parameter.detach()
        optimizer.step()
        scheduler.step()
    return used


def after_warmup(
    decay: Callable[[Optimizer, int], LRScheduler], warmup: int
) -> Callable[[Optimizer], LRScheduler]:
    def build(optimizer: Optimizer) -> LRScheduler:
        first = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        return SequentialLR(optimizer, [first, decay(optimizer, T - warmup)], milestones=[warmup])

    return build


def linear(optimizer: Optimizer, steps: int) -> LRScheduler:
    return LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=steps)


def cosine(optimizer: Optimizer, steps: int) -> LRScheduler:
    return CosineAnnealingLR(optimizer, T_max=steps)


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        (Schedule("constant", 0.3, T), lambda o: ConstantLR(o, factor=1.0, total_iters=T)),
        (Schedule("linear", 0.3, T), lambda o: linear(o, T)),
        (
            Schedule("linear", 0.3, T, end_value=0.15),
            lambda o: LinearLR(o, start_factor=1.0, end_factor=0.5, total_iters=T),
        ),
        (Schedule("cosine", 0.3, T), lambda o: cosine(o, T)),
        (
            Schedule("cosine", 0.3, T, end_value=0.02),
            lambda o: CosineAnnealingLR(o, T_max=T, eta_min=0.02),
        ),
        (Schedule("linear", 0.3, T, warmup_steps=9), after_warmup(linear, 9)),
        (Schedule("cosine", 0.3, T, warmup_steps=9), after_warmup(cosine, 9)),
    ],
)
def test_equals_torchs_own_step_by_step(
    schedule: Schedule, theirs: Callable[[Optimizer], LRScheduler]
) -> None:
    our_optimizer, their_optimizer = sgd(0.3), sgd(0.3)
    ours = [rate for (rate,) in advance(our_optimizer, schedule.torch(our_optimizer), T + 1)]
    with warnings.catch_warnings():  # SequentialLR calls its parts in a way that it deprecates
        warnings.simplefilter("ignore")
        theirs_used = advance(their_optimizer, theirs(their_optimizer), T + 1)
    expected = [rate for (rate,) in theirs_used]
    assert ours == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert ours[:T] == schedule.values().tolist()


def test_is_a_torch_scheduler() -> None:
    optimizer = sgd(1.0)
    scheduler = Schedule("linear", 0.5, 4).torch(optimizer)
    assert isinstance(scheduler, LRScheduler)
    assert rates(optimizer) == scheduler.get_last_lr() == scheduler.get_lr() == [0.5]
    advance(optimizer, scheduler, 1)
    assert rates(optimizer) == scheduler.get_last_lr() == [0.375]


def test_beyond_the_budget_the_last_value_holds() -> None:
    optimizer = sgd(1.0)
    schedule = Schedule("cosine", 0.5, 4, end_value=0.1)
    assert advance(optimizer, schedule.torch(optimizer), 9)[4:] == [[0.1]] * 5


def test_groups_keep_their_ratio() -> None:
    optimizer = sgd(0.1, 0.05, 0.0, 0.4)
    schedule = Schedule("linear", 2.0, 4)
    scheduler = schedule.torch(optimizer)
    assert scheduler.group_ratios == [1.0, 0.5, 0.0, 4.0]
    expected = [[value * ratio for ratio in (1, 0.5, 0, 4)] for value in (2.0, 1.5, 1.0, 0.5)]
    assert advance(optimizer, scheduler, 4) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((0.0, 0.1), "parameter group 0 is 0.0, which gives no ratio"),
        ((float("inf"), 0.1), "parameter group 0 must be a finite number, got inf"),
        ((0.1, float("nan")), "parameter group 1 must be a finite number, got nan"),
        ((0.1, -1.0), "parameter group 1 is -1.0, which gives no ratio"),
    ],
)
def test_rates_without_a_ratio_are_refused(given: tuple[float, ...], said: str) -> None:
    optimizer = sgd(*(0.1 for _ in given))
    for group, rate in zip(optimizer.param_groups, given, strict=True):
        group["lr"] = rate
    with pytest.raises(InvalidScheduleError, match=said):
        Schedule("linear", 0.1, 4).torch(optimizer)
    assert all("initial_lr" not in group for group in optimizer.param_groups)
    assert not hasattr(optimizer.step, "_wrapped_by_lr_sched")


def test_other_things_than_optimizers_are_refused() -> None:
    with pytest.raises(TypeError, match="Linear is not a torch optimizer"):
        Schedule("linear", 0.1, 4).torch(torch.nn.Linear(1, 1))  # type: ignore[arg-type]


def test_groups_added_later_are_refused() -> None:
    optimizer = sgd(0.1)
    scheduler = Schedule("linear", 0.1, 4).torch(optimizer)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    with pytest.raises(InvalidScheduleError, match=r"has 2 parameter groups, .* built for 1"):
        advance(optimizer, scheduler, 1)


def test_a_learning_rate_tensor_is_filled_in_place() -> None:
    tensor = torch.tensor(0.25)
    optimizer = Adam([torch.nn.Parameter(torch.ones(2))], lr=tensor, foreach=False)
    schedule = Schedule("linear", 0.5, 4)
    scheduler = schedule.torch(optimizer)
    held = optimizer.param_groups[0]["lr"]
    assert [used for (used,) in advance(optimizer, scheduler, 4)] == [0.5, 0.375, 0.25, 0.125]
    assert optimizer.param_groups[0]["lr"] is held
    state = scheduler.state_dict()
    assert not any(isinstance(value, torch.Tensor) for value in state.values())
    scheduler.get_last_lr()[0].fill_(9.0)  # type: ignore[union-attr]
    assert held.item() == 0.0
    scheduler.load_state_dict({**state, "last_epoch": 1})
    assert optimizer.param_groups[0]["lr"] is held
    assert held.item() == 0.375


SCHEDULES = [
    Schedule("wsd", 0.3, T, warmup_steps=7, provenance={"study": "s", "when": object()}),
    Schedule("uba", 0.3, T, {"phi": 3.0}, end_value=0.01),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer_first", [True, False])
@pytest.mark.parametrize("done", [1, 5, 30, T + 2])
def test_resume_equals_the_uninterrupted_run(
    schedule: Schedule, optimizer_first: bool, done: int
) -> None:
    whole = Adam(sgd(0.1, 0.03).param_groups)
    unbroken = advance(whole, schedule.torch(whole), T + 5)

    first = Adam(sgd(0.1, 0.03).param_groups)
    scheduler = schedule.torch(first)
    advance(first, scheduler, done)
    file = io.BytesIO()
    torch.save({"optimizer": first.state_dict(), "scheduler": scheduler.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    # The groups come back with other learning rates: the state knows the ratios.
    second = Adam(sgd(0.1, 0.1).param_groups)
    with torch.no_grad():
        for group, old in zip(second.param_groups, first.param_groups, strict=True):
            group["params"][0].copy_(old["params"][0])
    if optimizer_first:
        second.load_state_dict(saved["optimizer"])
    resumed = schedule.torch(second)
    resumed.load_state_dict(saved["scheduler"])
    if not optimizer_first:
        second.load_state_dict(saved["optimizer"])
    assert resumed.get_last_lr() == scheduler.get_last_lr()
    assert resumed.state_dict() == scheduler.state_dict()
    assert advance(second, resumed, T + 5 - done) == unbroken[done:]
    for group, old in zip(second.param_groups, whole.param_groups, strict=True):
        assert torch.equal(group["params"][0], old["params"][0])


def test_last_epoch_resumes_as_torch_does() -> None:
    optimizer = sgd(0.1)
    schedule = Schedule("linear", 0.5, 10)
    advance(optimizer, schedule.torch(optimizer), 4)
    assert advance(optimizer, schedule.torch(optimizer, last_epoch=3), 1) == [[schedule(4)]]


def test_state_holds_plain_fields_only() -> None:
    schedule = Schedule("wsd", 0.3, 50, provenance={"secret": "x"})
    scheduler = schedule.torch(sgd(0.2, 0.1))
    assert scheduler.state_dict() == {
        "schedule": {
            "schema": "lrsearch/schedule",
            "version": 2,
            "family": "wsd",
            "parameters": {"cooldown": 0.2, "cooldown_shape": "1-sqrt", "cooldown_ratio": 0.1},
            "peak": 0.3,
            "budget": 50,
            "warmup_steps": 0,
            "end_value": 0.0,
            "averaging": None,
        },
        "group_ratios": [1.0, 0.5],
        "last_epoch": 0,
        "_step_count": 1,
    }


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Schedule("cosine", 0.3, T), "another schedule: family is 'cosine' in the state, 'linear'"),
        (Schedule("linear", 0.2, T), "another schedule: peak is 0.2 in the state, 0.3 here"),
        (Schedule("linear", 0.3, 99), "another schedule: budget is 99 in the state, 60 here"),
        (Schedule("linear", 0.3, T, {}, 3), "warmup_steps is 3 in the state, 0 here"),
        (Schedule("linear", 0.3, T, end_value=0.1), "end_value is 0.1 in the state, 0.0 here"),
    ],
)
def test_state_of_another_schedule_is_refused(other: Schedule, said: str) -> None:
    optimizer, another = sgd(0.1), sgd(0.1)
    scheduler, stranger = Schedule("linear", 0.3, T).torch(optimizer), other.torch(another)
    advance(another, stranger, 5)
    before = scheduler.state_dict()
    with pytest.raises(InvalidScheduleError, match=said):
        scheduler.load_state_dict(stranger.state_dict())
    assert scheduler.state_dict() == before
    assert rates(optimizer) == [0.3]


def test_state_with_other_shape_parameters_is_refused() -> None:
    stranger = Schedule("uba", 0.3, T, {"phi": 2.0}).torch(sgd(0.1))
    with pytest.raises(InvalidScheduleError, match=r"parameters is \{'phi': 2.0, 'cycles': 1.0\}"):
        Schedule("uba", 0.3, T).torch(sgd(0.1)).load_state_dict(stranger.state_dict())


def test_provenance_makes_no_other_schedule() -> None:
    state = Schedule("linear", 0.3, T, provenance={"trial": 1}).torch(sgd(0.1)).state_dict()
    other = Schedule("linear", 0.3, T, provenance={"trial": 2}).torch(sgd(0.1))
    other.load_state_dict(state)
    assert other.state_dict() == state


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"group_ratios": [1.0, 2.0]}, r"group_ratios differs: \[1.0, 2.0\] in the state"),
        ({"group_ratios": [float("nan")]}, "group_ratios must be a finite number, got nan"),
        ({"last_epoch": 2.5}, "last_epoch must be a whole number >= 0, got 2.5"),
        ({"_step_count": "3"}, "_step_count must be a whole number >= 1, got '3'"),
        ({"schedule": None}, "schedule in the state is no document: None"),
        ({"lr_lambdas": []}, "not the state of a ScheduleLR"),
    ],
)
def test_broken_states_are_refused(changes: dict[str, Any], said: str) -> None:
    optimizer = sgd(0.1)
    scheduler = Schedule("linear", 0.3, T).torch(optimizer)
    before = scheduler.state_dict()
    with pytest.raises(InvalidScheduleError, match=said):
        scheduler.load_state_dict({**before, **changes})
    assert scheduler.state_dict() == before


@pytest.mark.parametrize("state", [cosine(sgd(0.1), T).state_dict(), {}, None])
def test_state_of_another_scheduler_is_refused(state: Any) -> None:
    with pytest.raises(InvalidScheduleError, match="not the state of a ScheduleLR"):
        Schedule("linear", 0.3, T).torch(sgd(0.1)).load_state_dict(state)


# Going on under another schedule that agrees so far.


def stepped(schedule: Schedule, steps: int) -> dict[str, Any]:
    optimizer = sgd(0.2)
    scheduler = schedule.torch(optimizer)
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
    return scheduler.state_dict()


RUN = Schedule("wsd", 0.3, 100, {}, 10, 0.01)


@pytest.mark.parametrize("steps", [0, 7, 30, 80])
@pytest.mark.parametrize(
    "longer",
    [RUN.extend(200), lower_second_stage(RUN, 200), longer_cooldown(RUN, 150)],
    ids=lambda s: s.family,
)
def test_a_checkpoint_of_the_stable_phase_goes_on_under_a_longer_schedule(
    longer: Schedule, steps: int
) -> None:
    optimizer = sgd(0.2)
    scheduler = longer.torch(optimizer)
    scheduler.load_state_dict(stepped(RUN, steps))
    used = []
    for _ in range(steps, longer.budget):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert used == longer.values()[steps:].tolist()


@pytest.mark.parametrize(
    ("other", "steps"),
    [
        (RUN.extend(200), 81),  # the cooldown has begun
        (RUN.extend(200), 99),
        (RUN.rescale(200), 30),  # another warm-up
        (Schedule("wsd", 0.31, 200, {}, 10, 0.01), 30),
        (Schedule("constant", 0.3, 25, {}, 10), 26),
        (Schedule("wsd", 0.3, 200, {}, 10, 0.01, averaging=Averaging(0.1)), 30),
    ],
)
def test_what_does_not_agree_so_far_is_refused(other: Schedule, steps: int) -> None:
    net = torch.nn.Linear(1, 1)
    scheduler = other.torch(torch.optim.SGD(net.parameters(), lr=0.2), model=net)
    with pytest.raises(InvalidScheduleError, match=rf"that continues it .* of step {steps}\)"):
        scheduler.load_state_dict(stepped(RUN, steps))


def test_averaging_ends_the_stable_phase() -> None:
    net = torch.nn.Linear(1, 1)
    early = Schedule("wsd", 0.3, 100, averaging=Averaging(0.5))
    assert early.stable_steps == 50
    late = early.extend(200)
    assert late.stable_steps == 100

    def scheduler(schedule: Schedule) -> Any:
        return schedule.torch(torch.optim.SGD(net.parameters(), lr=0.2), model=net)

    before, after = (scheduler(early) for _ in range(2))
    for one, steps in ((before, 50), (after, 51)):
        for _ in range(steps):
            one.optimizer.step()
            one.step()
    scheduler(late).load_state_dict(before.state_dict())
    with pytest.raises(InvalidScheduleError, match="another schedule: budget is 100 in the state"):
        scheduler(late).load_state_dict(after.state_dict())


def test_a_state_of_the_first_document_version_is_known() -> None:
    for schedule in (RUN, Schedule("uba", 0.3, 100)):
        state = stepped(schedule, 90)
        old = {k: v for k, v in state["schedule"].items() if k != "averaging"}
        added = {"cooldown_ratio", "cycles"}
        old["parameters"] = {k: v for k, v in old["parameters"].items() if k not in added}
        scheduler = schedule.torch(sgd(0.2))
        scheduler.load_state_dict({**state, "schedule": {**old, "version": 1}})
        assert scheduler.last_epoch == 90


def test_ratios_below_zero_are_refused() -> None:
    state = stepped(RUN, 3)
    with pytest.raises(InvalidScheduleError, match=r"group_ratios must be >= 0, got \[-5.0\]"):
        RUN.torch(sgd(0.2)).load_state_dict({**state, "group_ratios": [-5.0]})


def test_the_last_rate_of_a_tensor_is_a_copy() -> None:
    optimizer = sgd(torch.tensor(0.2))
    scheduler = RUN.torch(optimizer)
    scheduler.load_state_dict(stepped(RUN, 5))
    kept = scheduler.get_last_lr()[0]
    before = float(kept)
    optimizer.step()
    scheduler.step()
    assert float(kept) == before


def constant(budget: int, peak: float = 0.3) -> Schedule:
    return Schedule("constant", peak, budget)


def test_what_continues_what() -> None:
    early = Schedule("wsd", 0.3, 200, averaging=Averaging(0.25))
    assert continues(early, Schedule("wsd", 0.3, 100), 50)  # averaging begins with the next update
    assert not continues(early, Schedule("wsd", 0.3, 100), 51)
    assert not continues(Schedule("one_cycle", 0.3, 200), constant(100), 0)  # momentum
    assert not continues(constant(200, 0.3001), constant(100), 30)
    assert not continues(join(constant(29), constant(100, 0.2)), constant(100), 30)
    assert continues(join(constant(30), constant(100, 0.2)), constant(100), 30)


def test_the_optimizers_state_is_loaded_first() -> None:
    longer = lower_second_stage(RUN, 200)
    optimizer = sgd(0.2)
    scheduler = RUN.torch(optimizer)
    for _ in range(80):
        optimizer.step()
        scheduler.step()
    other = sgd(0.2)
    further = longer.torch(other)
    other.load_state_dict(optimizer.state_dict())
    further.load_state_dict(scheduler.state_dict())
    assert other.param_groups[0]["lr"] == longer(80) < 0.3
