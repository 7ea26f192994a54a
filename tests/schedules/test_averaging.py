"""Averaging phases: what counts, what it costs to forget the model, and exact means."""

from __future__ import annotations

import copy
import dataclasses
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lrsearch.exceptions import DocumentError, InvalidScheduleError, UnsupportedError
from lrsearch.schedules import Averaging, Schedule, join, to_csv, to_torch

T = 20


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(module.parameters()).detach().clone()


def train(
    schedule: Schedule, start: int = 0, states: Any = None, until: int = T
) -> tuple[Any, list[torch.Tensor], torch.nn.Module, torch.optim.Optimizer]:
    """Train on noise; returns scheduler, the weights after every update, model and optimizer."""
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9)
    scheduler = schedule.torch(optimizer, model=net)
    if states is not None:
        for thing, state in zip((net, optimizer, scheduler), states, strict=True):
            thing.load_state_dict(state)
    seen = []
    for step in range(start, until):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
        scheduler.step()
        seen.append(weights(net))
    return scheduler, seen, net, optimizer


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"start": 1.0}, "start must be a fraction of the budget >= 0 and < 1, got 1.0"),
        ({"start": -0.1}, "start must be a fraction of the budget >= 0 and < 1, got -0.1"),
        ({"start": "half"}, "start must be a finite number, got 'half'"),
        ({"decay": 1.0}, "decay must be > 0 and < 1, or None for the plain mean, got 1.0"),
        ({"decay": 0.0}, "decay must be > 0 and < 1"),
        ({"every": 0}, "every must be a whole number >= 1, got 0"),
        ({"every": 2.0}, "every must be a whole number >= 1, got 2.0"),
    ],
)
def test_nonsense_is_refused_by_name(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidScheduleError, match=said):
        Averaging(**fields)


def test_what_counts() -> None:
    averaging = Averaging(start=0.5, every=3)
    assert [step for step in range(30) if averaging.counts(step, T)] == [10, 13, 16, 19]
    assert Averaging(start=0.99).first_step(T) == 19  # the last update counts at least
    assert [Averaging(0.0).counts(step, T) for step in (0, 19, 20)] == [True, True, False]


def test_the_plain_mean_is_the_mean() -> None:
    schedule = Schedule("wsd", 0.1, T, averaging=Averaging(0.5, every=3))
    scheduler, seen, _, _ = train(schedule)
    expected = torch.stack([seen[step] for step in (10, 13, 16, 19)]).mean(dim=0)
    torch.testing.assert_close(weights(scheduler.averaged.module), expected)


def test_the_exponential_mean_is_exponential() -> None:
    schedule = Schedule("linear", 0.1, T, averaging=Averaging(0.8, decay=0.7))
    scheduler, seen, _, _ = train(schedule)
    expected = seen[16]
    for step in (17, 18, 19):
        expected = 0.7 * expected + 0.3 * seen[step]
    torch.testing.assert_close(weights(scheduler.averaged.module), expected)


def test_averaging_changes_nothing_in_the_run_and_ends_with_it() -> None:
    plain = train(Schedule("linear", 0.1, T))[1]
    scheduler, seen, _, _ = train(Schedule("linear", 0.1, T, averaging=Averaging(0.5)))
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))
    before = weights(scheduler.averaged.module)
    scheduler.optimizer.step()
    scheduler.step()
    assert torch.equal(weights(scheduler.averaged.module), before)


@pytest.mark.parametrize("decay", [None, 0.7])
@pytest.mark.parametrize("stop", [3, 10, 11, 16])
def test_a_resumed_run_has_the_same_mean(stop: int, decay: float | None) -> None:
    schedule = Schedule("cosine", 0.1, T, averaging=Averaging(0.5, decay=decay, every=2))
    whole = train(schedule)[0]
    scheduler, _, net, optimizer = train(schedule, until=stop)
    file = io.BytesIO()
    torch.save([net.state_dict(), optimizer.state_dict(), scheduler.state_dict()], file)
    file.seek(0)
    resumed = train(schedule, stop, torch.load(file, weights_only=True))[0]
    assert torch.equal(weights(resumed.averaged.module), weights(whole.averaged.module))


def test_an_optimizer_alone_is_not_enough() -> None:
    schedule = Schedule("linear", 0.1, T, averaging=Averaging(0.75))
    optimizer = torch.optim.SGD(model().parameters(), lr=1.0)
    for adapter in (schedule.torch, schedule.lightning):
        with pytest.raises(InvalidScheduleError, match=r"from update 15 on, .* pass model="):
            adapter(optimizer)  # type: ignore[operator]
    assert "initial_lr" not in optimizer.param_groups[0]
    assert Schedule("linear", 0.1, T).torch(optimizer, model=model()).averaged is None


def test_states_with_and_without_averages_are_told_apart() -> None:
    averaging = Schedule("linear", 0.1, T, averaging=Averaging(0.75))
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    scheduler = averaging.torch(optimizer, model=net)
    state = scheduler.state_dict()
    with pytest.raises(InvalidScheduleError, match="averaging is None in the state"):
        scheduler.load_state_dict(Schedule("linear", 0.1, T).torch(optimizer).state_dict())
    for nonsense in (None, {}, {"n_averaged": 3}):
        with pytest.raises(InvalidScheduleError, match="those of another model"):
            scheduler.load_state_dict({**state, "averaged": nonsense})
    other = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(3))
    stranger = averaging.torch(torch.optim.SGD(other.parameters(), lr=1.0), model=other)
    with pytest.raises(InvalidScheduleError, match="those of another model"):
        scheduler.load_state_dict(stranger.state_dict())
    before = weights(stranger.averaged.module)
    with pytest.raises(InvalidScheduleError, match="those of another model"):
        stranger.load_state_dict(scheduler.state_dict())
    assert torch.equal(weights(stranger.averaged.module), before)  # not even what would fit


def test_a_mean_that_has_begun_may_not_be_missing() -> None:
    schedule = Schedule("linear", 0.1, T, averaging=Averaging(0.5))
    for stop, refused in ((10, False), (11, True)):
        scheduler, _, _, _ = train(schedule, until=stop)
        state = {k: v for k, v in scheduler.state_dict().items() if k != "averaged"}
        fresh = train(schedule, until=0)[0]
        if refused:
            with pytest.raises(InvalidScheduleError, match=r"averaged weights .* are missing"):
                fresh.load_state_dict(state)
        else:
            fresh.load_state_dict(state)
        assert fresh.last_epoch == (0 if refused else stop)


def test_a_position_within_the_phase_needs_a_state() -> None:
    schedule = Schedule("linear", 0.1, T, averaging=Averaging(0.5))
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    optimizer.param_groups[0]["initial_lr"] = 1.0
    assert schedule.torch(optimizer, last_epoch=9, model=net).last_epoch == 10
    with pytest.raises(InvalidScheduleError, match=r"last_epoch = 11 .* with load_state_dict"):
        schedule.torch(optimizer, last_epoch=11, model=net)


@pytest.mark.parametrize("decay", [None, 0.7])
def test_the_torch_snippet_averages_alike(decay: float | None) -> None:
    schedule = Schedule("rex", 0.1, T, averaging=Averaging(0.5, decay=decay, every=3))
    expected = train(schedule)[0].averaged.module
    names: dict[str, Any] = {}
    exec(to_torch(schedule), names)
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9)
    scheduler = names["scheduler"](optimizer)
    average = names["averaged"](net)
    for step in range(T):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
        names["update_averaged"](average, net, step)
        scheduler.step()
    torch.testing.assert_close(weights(average.module), weights(expected))
    counted = int(average.n_averaged)
    names["update_averaged"](average, net, 22)  # a multiple of 3 after the start, but after the end
    assert int(average.n_averaged) == counted == 4


def test_averaging_belongs_to_the_whole_of_a_join() -> None:
    part = Schedule("linear", 0.1, T, averaging=Averaging(0.75))
    with pytest.raises(InvalidScheduleError, match=r"parts\[1\] averages weights"):
        join(Schedule("linear", 0.1, T), part)


# Families that are about averaging.


def test_swa_is_an_averaging_phase_of_a_constant_rate() -> None:
    swa = Schedule("swa", 0.1, T, {"start": 0.5})
    assert swa.averaging == Averaging(0.5)
    assert swa.rescale(400).averaging == Averaging(0.5)
    spelt = Schedule("constant", 0.1, T, averaging=Averaging(0.5))
    mine, theirs = (train(schedule)[0].averaged.module for schedule in (swa, spelt))
    assert torch.equal(weights(mine), weights(theirs))


@pytest.mark.parametrize("budget", [100, 1000])
@pytest.mark.parametrize("window", [0.05, 0.1])
def test_the_weights_of_an_ema_are_a_share_of_the_budget_old(window: float, budget: int) -> None:
    averaging = Schedule("ema", 0.1, budget, {"window": window}).averaging
    assert averaging is not None
    assert averaging.start == pytest.approx(1 - 5 * window)
    weight = -np.diff(averaging.shares(budget), append=0.0)  # of the weights after each update
    assert weight.sum() == pytest.approx(1.0)
    assert weight[-2] / weight[-1] == pytest.approx(averaging.decay)
    age = float(weight @ np.arange(budget - 1, -1, -1))
    assert age == pytest.approx(window * budget, rel=0.02)  # what is cut off would be older
    assert Schedule("ema", 0.1, 7, {"window": 1e-6}).averaging.decay > 0.0  # type: ignore[union-attr]
    assert Schedule("ema", 0.1, 2**53, {"window": 1.0}).averaging.decay < 1.0  # type: ignore[union-attr]


def test_an_ema_is_another_one_at_another_budget() -> None:
    ema = Schedule("ema", 0.1, 100, {"window": 0.1})
    for other in (ema.rescale(300), ema.extend(300)):
        assert other == Schedule("ema", 0.1, 300, {"window": 0.1})
        assert other.averaging != ema.averaging
    assert replace(ema, peak=0.2).averaging == ema.averaging


@pytest.mark.parametrize("family", ["swa", "ema"])
def test_another_averaging_than_the_familys_own_is_refused(family: str) -> None:
    schedule = Schedule(family, 0.1, 100)
    assert Schedule(family, 0.1, 100, averaging=schedule.averaging) == schedule
    with pytest.raises(InvalidScheduleError, match=f"{family!r} averages as its parameters say"):
        replace(schedule, averaging=Averaging(0.9, every=2))
    document = {**schedule.to_dict(), "averaging": Averaging(0.9, every=2).to_dict()}
    with pytest.raises(DocumentError, match="leave averaging out"):
        Schedule.from_dict(document)
    assert Schedule.from_dict({**document, "averaging": None}) == schedule


@pytest.mark.parametrize("family", ["swa", "ema"])
def test_the_advice_to_go_without_works(family: str) -> None:
    schedule = Schedule(family, 0.1, T, warmup_steps=3)
    optimizer = torch.optim.SGD(model().parameters(), lr=1.0)
    with pytest.raises(InvalidScheduleError) as refused:
        schedule.torch(optimizer)
    with pytest.raises(InvalidScheduleError) as unjoined:
        join(schedule, Schedule("linear", 0.1, T))
    with pytest.raises(UnsupportedError) as unsaid:
        to_csv(schedule)
    for caught in (refused, unjoined, unsaid):
        (advice,) = re.findall(
            r"dataclasses\.replace\(schedule, .*?averaging=None\)", str(caught.value)
        )
        plain = eval(advice, {"dataclasses": dataclasses, "schedule": schedule})
        assert plain == Schedule("constant", 0.1, T, warmup_steps=3)
        plain.torch(optimizer)


@pytest.mark.parametrize("family", ["swa", "ema"])
@pytest.mark.parametrize("stop", [4, 14, 17])
def test_a_resumed_run_of_these_families_has_the_same_mean(family: str, stop: int) -> None:
    schedule = Schedule(family, 0.1, T)
    whole = train(schedule)[0]
    scheduler, _, net, optimizer = train(schedule, until=stop)
    states = [copy.deepcopy(thing.state_dict()) for thing in (net, optimizer, scheduler)]
    resumed = train(schedule, stop, states)[0]
    assert torch.equal(weights(resumed.averaged.module), weights(whole.averaged.module))


def test_a_first_phase_goes_on_under_a_longer_schedule() -> None:
    for family in ("two_phase", "swa", "ema"):
        short, long = Schedule(family, 0.1, T), Schedule(family, 0.1, T).extend(2 * T)
        stable = short.stable_steps
        for stop in (stable, stable + 1):
            scheduler, _, net, optimizer = train(short, until=stop)
            states = [copy.deepcopy(thing.state_dict()) for thing in (net, optimizer, scheduler)]
            if stop > stable:
                with pytest.raises(InvalidScheduleError, match="another schedule"):
                    train(long, stop, states, until=stop)
            else:
                resumed = train(long, stop, states, until=2 * T)[0]
                whole = train(long, until=2 * T)[0]
                assert resumed.last_epoch == whole.last_epoch == 2 * T
                if long.averaging:
                    mine, theirs = (s.averaged.module for s in (resumed, whole))
                    assert torch.equal(weights(mine), weights(theirs))


# What a mean acts like.


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("decay", [None, 0.7])
def test_shares_say_where_the_mean_lies(decay: float | None, every: int) -> None:
    averaging = Averaging(0.5, decay, every)
    schedule = Schedule("cosine", 0.1, T, averaging=averaging)
    place = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    net = torch.nn.Module()
    net.place = place
    optimizer = torch.optim.SGD([place], lr=1.0)
    scheduler = schedule.torch(optimizer, model=net)
    for _ in range(T):
        place.grad = -torch.ones((), dtype=torch.float64)  # whatever the weights: all first order
        optimizer.step()
        scheduler.step()
    mean = scheduler.averaged.module.place.item()
    assert mean == pytest.approx(float(schedule.effective_values().sum()), rel=1e-12)
    assert mean < place.item()


def test_averaging_a_constant_rate_is_a_linear_decay() -> None:
    swa = Schedule("swa", 0.3, 100, {"start": 0.8}).effective_values()
    decay = Schedule("wsd", 0.3, 100, {"cooldown": 0.2, "cooldown_shape": "linear"}).values()
    np.testing.assert_allclose(swa, decay, rtol=1e-12)
    plain = Schedule("linear", 0.3, 100)
    assert plain.effective_values().tolist() == plain.values().tolist()


def test_an_exponential_mean_is_an_exponential_approach_to_zero() -> None:
    schedule = Schedule("ema", 1.0, 1000, {"window": 0.05})
    left = 1000 - np.arange(1000)
    expected = 1 - np.exp(-left / 50.5)
    np.testing.assert_allclose(schedule.effective_values(), expected, atol=0.01)


def test_averaging_survives_rescaling_and_distinguishes_schedules() -> None:
    schedule = Schedule("linear", 0.1, T, averaging=Averaging(0.75))
    assert schedule.rescale(400).averaging == Averaging(0.75)
    assert schedule != Schedule("linear", 0.1, T)
    assert Schedule.from_dict(schedule.to_dict()).averaging == Averaging(0.75)
