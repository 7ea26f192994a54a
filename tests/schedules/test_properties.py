"""What holds for every schedule of every family, on drawn examples of any legal parameters."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lrsearch.schedules import (
    Averaging,
    Parameter,
    Schedule,
    families,
    get_family,
    join,
    to_csv,
    to_json,
)

few = settings(max_examples=150, deadline=None, derandomize=True)
fewer = settings(max_examples=60, deadline=None, derandomize=True)

scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
json_values = st.recursive(
    scalars.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
averagings = st.builds(
    Averaging,
    start=st.floats(0.0, 1.0, exclude_max=True),
    decay=st.none() | st.floats(0.01, 0.99),
    every=st.integers(1, 20),
)


def legal(declared: Parameter) -> st.SearchStrategy[Any]:
    """Any legal value; counts up to 6, which the budgets here have room for."""
    if declared.choices:
        return st.sampled_from(declared.choices)
    if declared.whole:
        return st.integers(int(declared.minimum), 6)
    high = min(declared.maximum, 1e6)
    return st.floats(
        declared.minimum,
        high,
        exclude_min=declared.exclusive_minimum,
        exclude_max=declared.exclusive_maximum and high == declared.maximum,
    )


@st.composite
def levels(draw: st.DrawFn) -> tuple[float, ...]:
    given = draw(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
    given.insert(draw(st.integers(0, len(given))), 1.0)
    return tuple(given)


@st.composite
def schedules(draw: st.DrawFn, *, whole: bool = True) -> Schedule:
    """Any schedule; `whole=False` for one that may be a part of a join."""
    parts = [name for name in families() if not get_family(name).averages]
    names = [*(families() if whole else parts), "piecewise"] + ["join"] * (2 * whole)
    name = draw(st.sampled_from(names))
    peak = draw(st.floats(1e-8, 1e3))
    provenance = draw(st.dictionaries(st.text(), json_values, max_size=2)) if whole else {}
    if name == "join":
        parts = draw(st.lists(schedules(whole=False), min_size=1, max_size=3))
        return join(*parts).with_provenance(**provenance)
    if name == "piecewise":
        parameters: dict[str, Any] = {"levels": draw(levels())}
    else:
        parameters = {item.name: draw(legal(item)) for item in get_family(name).parameters}
    if not whole and name == "one_cycle":
        parameters["momentum"] = "kept"
    budget = draw(st.integers(1, 300))
    room = get_family(name).room(budget, get_family(name).complete(parameters))
    assume(room <= budget)
    return Schedule(
        name,
        peak,
        budget,
        parameters,
        warmup_steps=draw(st.integers(0, min(budget - room, budget - 1))),
        end_value=peak * draw(st.floats(0.0, 0.9)),
        provenance=provenance,
        averaging=draw(st.none() | averagings) if whole and name in parts else None,
    )


@few
@given(schedules())
def test_values_equal_calls_bit_for_bit(schedule: Schedule) -> None:
    values = schedule.values()
    assert values.shape == (schedule.budget,)
    assert values.dtype == np.float64
    assert values.tolist() == [schedule(step) for step in range(schedule.budget)]


@few
@given(schedules())
def test_stays_between_end_and_peak(schedule: Schedule) -> None:
    values = np.append(schedule.values(), schedule(schedule.budget))
    assert np.all(np.isfinite(values))
    assert values.max() <= schedule.peak
    assert values[schedule.warmup_steps :].min() >= schedule.end_value
    warmup = values[: schedule.warmup_steps + 1]
    assert np.all(np.diff(warmup) >= 0)
    assert values[0] > 0 or warmup[-1] == 0


@few
@given(schedules())
def test_keeps_the_promises_of_its_family(schedule: Schedule) -> None:
    family = get_family(schedule.family)
    values = np.append(schedule.values(), schedule(schedule.budget))
    if family.starts_at_peak:
        assert values[schedule.warmup_steps] == schedule.peak
    if family.reaches_peak and schedule.family != "join":
        assert values.max() == schedule.peak
    if family.monotone:
        rises = np.diff(values[schedule.warmup_steps :]) > 1e-14 * schedule.peak
        assert rises.sum() <= schedule.parameters.get("cycles", 1) - 1
    if family.reaches_end and schedule.parameters.get("phi") != 0.0:
        assert values[-1] == schedule.end_value
    assert values[-1] == schedule(schedule.budget + 1) == schedule(10**30)


@fewer
@given(schedules(), st.floats(0.1, 10.0))
def test_learning_rates_scale_with_the_peak(schedule: Schedule, factor: float) -> None:
    scaled = Schedule(
        schedule.family,
        schedule.peak * factor,
        schedule.budget,
        schedule.parameters,
        schedule.warmup_steps,
        schedule.end_value * factor,
    )
    np.testing.assert_allclose(
        scaled.values(), schedule.values() * factor, rtol=1e-12, atol=1e-14 * scaled.peak
    )
    assert scaled.mean_factor == schedule.mean_factor


@few
@given(schedules())
def test_mean_factor_is_the_mean(schedule: Schedule) -> None:
    assume(schedule.family != "join")
    plain = Schedule(
        schedule.family,
        1.0,
        schedule.budget,
        schedule.parameters,
        schedule.warmup_steps,
    )
    steps = np.arange(plain.warmup_steps, plain.budget + 1)
    shape = plain.at(steps.astype(float))
    # An integral lies between the sums from the left and from the right where a shape is
    # monotone; every rise and fall may be off by a step.
    turns = 2 * int(plain.parameters.get("cycles", 1)) + len(plain.parameters.get("levels", ()))
    slack = (1 + turns) / plain.span.steps
    assert plain.mean_factor == pytest.approx(float(shape[:-1].mean()), abs=slack)
    assert 0.0 <= plain.mean_factor <= 1.0 + 1e-12


@few
@given(schedules())
def test_documents_round_trip_exactly(schedule: Schedule) -> None:
    twin = Schedule.from_dict(json.loads(to_json(schedule)))
    assert twin == schedule
    assert hash(twin) == hash(schedule)
    assert twin.provenance == schedule.provenance
    assert to_json(twin) == to_json(schedule)
    assert twin.values().tolist() == schedule.values().tolist()


@fewer
@given(schedules())
def test_csv_reads_back_exactly(schedule: Schedule) -> None:
    assume(schedule.averaging is None)
    header, *rows = to_csv(schedule).splitlines()
    cycled = schedule.momentum(0) is not None
    assert header == "step,learning_rate" + (",momentum" if cycled else "")
    read = [row.split(",") for row in rows]
    assert [int(row[0]) for row in read] == list(range(schedule.budget))
    assert [float(row[1]) for row in read] == schedule.values().tolist()
    if cycled:
        assert [float(row[2]) for row in read] == [
            schedule.momentum(step) for step in range(schedule.budget)
        ]


@fewer
@given(schedules(), st.integers(1, 2000))
def test_every_schedule_can_be_rescaled(schedule: Schedule, budget: int) -> None:
    assume(schedule.family != "join")
    room = get_family(schedule.family).room(budget, schedule.parameters)
    assume(room <= budget)
    other = schedule.rescale(budget)
    assert other.budget == budget
    assert other.parameters == schedule.parameters
    share = schedule.warmup_steps / schedule.budget
    # Half a step of rounding, and half of the cooldown's own; a shape that needs its steps takes
    # them from the warm-up.
    slack = 1.0 + 0.5 * budget / schedule.budget
    short = share * budget > budget - room
    assert abs(other.warmup_steps - share * budget) <= slack or short or budget == 1


@fewer
@given(schedules())
def test_rescaled_twice_is_the_same(schedule: Schedule) -> None:
    assert schedule.rescale(schedule.budget) == schedule
    assert schedule.rescale(3 * schedule.budget).rescale(schedule.budget) == schedule


def optimizer_of(model: torch.nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


@fewer
@given(schedules(), st.data())
def test_torch_adapter_is_equal_and_resumes_in_the_middle(
    schedule: Schedule, data: st.DataObject
) -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = optimizer_of(model)
    scheduler = schedule.torch(optimizer, model=model)
    middle = data.draw(st.integers(0, schedule.budget))
    for step in range(schedule.budget + 2):
        if step == middle:
            twin_model = torch.nn.Linear(2, 1, bias=False)
            twin_model.load_state_dict(model.state_dict())
            twin = optimizer_of(twin_model)
            twin_scheduler = schedule.torch(twin, model=twin_model)
            file = io.BytesIO()
            torch.save([optimizer.state_dict(), scheduler.state_dict()], file)
            file.seek(0)
            states = torch.load(file, weights_only=True)
            twin.load_state_dict(states[0])
            twin_scheduler.load_state_dict(states[1])
            optimizer, scheduler, model = twin, twin_scheduler, twin_model
        (group,) = optimizer.param_groups
        assert group["lr"] == schedule(step)
        expected = schedule.momentum(step)
        assert group["momentum"] == (0.9 if expected is None else expected)
        model.weight.grad = torch.ones_like(model.weight)
        optimizer.step()
        scheduler.step()
    assert math.isfinite(float(model.weight.detach().sum()))
