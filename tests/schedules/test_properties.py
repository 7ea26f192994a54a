"""What holds for every schedule, on drawn examples."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.schedules import Schedule, families, get_family, to_csv, to_json

few = settings(max_examples=60, deadline=None, derandomize=True)

scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
json_values = st.recursive(
    scalars.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    name = draw(st.sampled_from(families()))
    parameters: dict[str, float | str] = {}
    for declared in get_family(name).parameters:
        searched = st.floats(declared.low, declared.high)
        choices = st.sampled_from(declared.choices) if declared.choices else searched
        parameters[declared.name] = draw(choices)
    budget = draw(st.integers(1, 300))
    peak = draw(st.floats(1e-8, 1e3))
    return Schedule(
        name,
        peak,
        budget,
        parameters,
        warmup_steps=draw(st.integers(0, budget // 2)) * (budget > 2),
        end_value=peak * draw(st.floats(0.0, 0.9)),
        provenance=draw(st.dictionaries(st.text(), json_values, max_size=3)),
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
def test_rises_to_the_peak_and_falls_to_the_end(schedule: Schedule) -> None:
    values = np.append(schedule.values(), schedule(schedule.budget))
    rounding = 1e-15 * schedule.peak
    assert np.all(np.diff(values[: schedule.warmup_steps + 1]) > 0)
    assert values[schedule.warmup_steps] == values.max() == schedule.peak
    assert np.all(np.diff(values[schedule.warmup_steps :]) <= rounding)
    assert values[0] > 0
    end = schedule.peak if schedule.family == "constant" else schedule.end_value
    assert values[-1] == end == schedule(schedule.budget + 1) == schedule(10**30)


@few
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
    np.testing.assert_allclose(scaled.values(), schedule.values() * factor, rtol=1e-13)
    assert scaled.mean_factor == schedule.mean_factor


@few
@given(schedules())
def test_documents_round_trip_exactly(schedule: Schedule) -> None:
    twin = Schedule.from_dict(json.loads(to_json(schedule)))
    assert twin == schedule
    assert twin.provenance == schedule.provenance
    assert to_json(twin) == to_json(schedule)
    assert twin.values().tolist() == schedule.values().tolist()


@few
@given(schedules())
def test_csv_reads_back_exactly(schedule: Schedule) -> None:
    header, *rows = to_csv(schedule).splitlines()
    assert header == "step,learning_rate"
    read = [(int(step), float(value)) for step, value in (row.split(",") for row in rows)]
    assert read == list(enumerate(schedule.values().tolist()))


@few
@given(schedules(), st.integers(1, 2000))
def test_every_schedule_can_be_rescaled(schedule: Schedule, budget: int) -> None:
    other = schedule.rescale(budget)
    assert other.budget == budget
    assert other.parameters == schedule.parameters
    share = schedule.warmup_steps / schedule.budget
    # Half a step of rounding; a tight cooldown may take half a step of its own, rescaled.
    slack = 0.5 + 0.5 + 0.5 * budget / schedule.budget
    assert abs(other.warmup_steps - share * budget) <= slack or budget == 1
