"""The schedule as a value: what it accepts, what it equals, and its warm-up."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Averaging, Schedule, families, get_family

BASE = {"family": "cosine", "peak": 0.1, "budget": 100}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("family", "cos", "unknown schedule family 'cos'"),
        ("peak", 0.0, "peak must be above 0, got 0.0"),
        ("peak", -0.1, "peak must be above 0, got -0.1"),
        ("peak", math.inf, "peak must be a finite number, got inf"),
        ("peak", math.nan, "peak must be a finite number, got nan"),
        ("peak", "0.1", "peak must be a finite number, got '0.1'"),
        ("peak", True, "peak must be a finite number, got True"),
        ("peak", 10**400, "peak must be a finite number, got 1000.*[.]{3}"),
        ("budget", 0, "budget must be a whole number >= 1, got 0; it counts optimizer steps"),
        ("budget", -5, "budget must be a whole number >= 1, got -5"),
        ("budget", True, "budget must be a whole number >= 1, got True"),
        ("budget", 100.0, "budget must be a whole number >= 1, got 100.0"),
        ("budget", "600", "budget must be a whole number >= 1, got '600'"),
        ("budget", 2**53 + 1, "budget must be a whole number <= 9007199254740992"),
        ("warmup_steps", -1, "warmup_steps must be a whole number >= 0, got -1"),
        ("warmup_steps", 100, "warmup_steps .* <= 99, got 100; .* shorter than the budget of 100"),
        ("warmup_steps", 1.5, "warmup_steps must be a whole number >= 0, got 1.5"),
        ("end_value", 0.1, "end_value must be >= 0 and below the peak of 0.1, got 0.1"),
        ("end_value", -1e-9, "end_value must be >= 0"),
        ("end_value", math.nan, "end_value must be a finite number, got nan"),
        ("parameters", [1], "parameters must be a mapping of names to values"),
        ("provenance", None, "provenance must be a mapping of names to values, got None"),
        ("averaging", 0.5, "averaging must be None or an lrsearch.schedules.Averaging, got 0.5"),
    ],
)
def test_nonsense_is_refused_by_name(field: str, value: object, said: str) -> None:
    with pytest.raises(InvalidScheduleError, match=said):
        Schedule(**{**BASE, field: value})  # type: ignore[arg-type]


def test_numpy_and_exact_numbers_become_plain_ones() -> None:
    schedule = Schedule(
        np.str_("uba"),
        np.float32(0.5),
        np.int64(10),
        {"phi": np.float64(2.0)},
        np.uint8(3),
        Fraction(1, 4),  # type: ignore[arg-type]
    )
    fields = dataclasses.asdict(dataclasses.replace(schedule, parameters={}))
    kinds = {name: type(value) for name, value in fields.items()}
    assert (kinds["family"], kinds["peak"], kinds["budget"]) == (str, float, int)
    assert (kinds["warmup_steps"], kinds["end_value"]) == (int, float)
    assert type(schedule.parameters["phi"]) is float
    assert schedule == Schedule("uba", 0.5, 10, {"phi": 2}, 3, 0.25)


@pytest.mark.parametrize("step", [-1, 0.0, 3.5, math.nan, True, "3", None, np.float64(2), [1]])
def test_step_must_be_a_whole_number(step: object) -> None:
    with pytest.raises(InvalidScheduleError, match=r"step must be a whole number >= 0, got") as got:
        Schedule(**BASE)(step)  # type: ignore[arg-type]
    assert repr(step) in str(got.value)


def test_numpy_steps_are_steps() -> None:
    schedule = Schedule(**BASE)  # type: ignore[arg-type]
    for kind in (np.int8, np.uint16, np.int64):
        assert schedule(kind(7)) == schedule(7)


def test_parameters_are_completed_and_read_only() -> None:
    given = {"cooldown": 0.3}
    schedule = Schedule("wsd", 0.1, 100, given)
    given["cooldown"] = 0.9
    assert schedule.parameters == {
        "cooldown": 0.3,
        "cooldown_shape": "1-sqrt",
        "cooldown_ratio": 0.1,
    }
    with pytest.raises(TypeError):
        schedule.parameters["cooldown"] = 0.5  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.peak = 1.0  # type: ignore[misc]


def test_provenance_is_a_copy() -> None:
    given = {"study": "a"}
    schedule = Schedule("linear", 0.1, 100, provenance=given)
    given["study"] = "b"
    assert schedule.provenance == {"study": "a"}


def test_equality_and_hash_leave_out_provenance() -> None:
    one = Schedule("wsd", 0.1, 100, provenance={"study": "a", "versions": {"torch": "2"}})
    same = Schedule("wsd", 0.1, 100, {"cooldown_shape": "1-sqrt", "cooldown": 0.2})
    other = Schedule("wsd", 0.1, 100, {"cooldown": 0.3})
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert len({one, same, other}) == 2


def test_copies_and_pickles_are_equal() -> None:
    schedule = Schedule("uba", 0.1, 100, provenance={"trial": 3})
    for twin in (
        copy.copy(schedule),
        copy.deepcopy(schedule),
        pickle.loads(pickle.dumps(schedule)),
    ):
        assert twin == schedule
        assert twin.provenance == {"trial": 3}
        assert hash(twin) == hash(schedule)


def test_repr_builds_the_schedule_again() -> None:
    schedule = Schedule("wsd", 0.1, 100, warmup_steps=5, provenance={"trial": 3})
    twin = eval(repr(schedule), {"Schedule": Schedule})
    assert twin == schedule
    assert twin.provenance == schedule.provenance


def test_provenance_is_added_without_touching_the_original() -> None:
    first = Schedule(**BASE).with_provenance(study="a", trial=1)  # type: ignore[arg-type]
    second = first.with_provenance(trial=2, seed=7)
    assert first.provenance == {"study": "a", "trial": 1}
    assert second.provenance == {"study": "a", "trial": 2, "seed": 7}
    assert first == second


@pytest.mark.parametrize("family", families())
def test_warmup_is_never_zero_and_reaches_what_the_shape_starts_with(family: str) -> None:
    values = Schedule(family, 0.7, 20, warmup_steps=4, end_value=0.1).values()
    start = {"one_cycle": 0.1 + 0.04 * 0.6, "cyclic": 0.1 + 0.1 * 0.6}.get(family, 0.7)
    assert values[:5] == pytest.approx(np.array([0.2, 0.4, 0.6, 0.8, 1.0]) * start, rel=1e-14)
    assert values[4] == start or start < 0.7


def test_peak_and_end_are_met_to_the_last_bit() -> None:
    peak, end = 0.3, 0.03
    assert end + (peak - end) != peak
    schedule = Schedule("cosine", peak, 20, warmup_steps=4, end_value=end)
    assert (schedule(4), schedule(20)) == (peak, end)


def test_warmup_starts_below_the_end_value_too() -> None:
    assert Schedule("linear", 1.0, 20, warmup_steps=9, end_value=0.5)(0) == 0.1


@pytest.mark.parametrize("family", families())
def test_the_shortest_budget(family: str) -> None:
    room = {"step": 3, "cosine_restarts": 2, "cyclic": 4, "two_phase": 2}.get(family, 1)
    schedule = Schedule(family, 0.5, room, end_value=0.1)
    assert schedule.values().max() == 0.5
    assert schedule(room) == (0.1 if get_family(family).reaches_end else schedule(room - 1)) or (
        family == "inverse_sqrt"
    )
    if room > 1:
        with pytest.raises(InvalidScheduleError, match=rf"needs {room} of {room - 1} steps"):
            Schedule(family, 0.5, room - 1)
        with pytest.raises(InvalidScheduleError, match=rf"needs {room} of {room - 1} steps"):
            schedule.rescale(room - 1)


def test_factor_is_value_over_peak() -> None:
    schedule = Schedule("linear", 0.5, 10, warmup_steps=1, end_value=0.25)
    assert [schedule.factor(step) for step in (0, 1, 10)] == [0.5, 1.0, 0.5]
    with pytest.raises(InvalidScheduleError, match="step must be"):
        schedule.factor(-1)


def test_values_are_the_callers_own() -> None:
    schedule = Schedule(**BASE)  # type: ignore[arg-type]
    schedule.values()[:] = 0.0
    assert schedule.values()[0] == 0.1


def test_rescale_keeps_shape_and_share_of_warmup() -> None:
    schedule = Schedule("uba", 0.1, 100, {"phi": 3.0}, 25, 0.01, {"study": "a"})
    longer = schedule.rescale(400)
    assert longer == Schedule("uba", 0.1, 400, {"phi": 3.0}, 100, 0.01)
    assert longer.provenance == {"study": "a"}
    assert longer.rescale(100) == schedule
    np.testing.assert_allclose(longer.values()[100::4], schedule.values()[25:], rtol=1e-14)


@pytest.mark.parametrize(("budget", "warmup_steps"), [(50, 3), (30, 2), (9, 0), (10, 1), (1, 0)])
def test_rescale_rounds_half_up(budget: int, warmup_steps: int) -> None:
    schedule = Schedule("linear", 0.1, 100, warmup_steps=5)
    assert schedule.rescale(budget).warmup_steps == warmup_steps


def test_rescale_leaves_room_for_a_cooldown() -> None:
    schedule = Schedule("wsd", 0.1, 10, {"cooldown": 0.5}, warmup_steps=5)
    assert [schedule.rescale(budget).warmup_steps for budget in (1, 2, 3, 100)] == [0, 1, 1, 50]


@pytest.mark.parametrize("shape", ["linear", "1-sqrt", "cosine", "square", "exponential"])
def test_extending_keeps_the_stable_phase(shape: str) -> None:
    parameters = {"cooldown": 0.2, "cooldown_shape": shape}
    short = Schedule("wsd", 0.3, 100, parameters, 10, 0.01, {"study": "a"}, Averaging(0.9))
    long = short.extend(250)
    assert short.stable_steps == 80
    assert long.stable_steps == 200
    assert long.values()[:80].tolist() == short.values()[:80].tolist()
    assert long.values()[80] == 0.3 == short.values()[80]
    assert long.values()[81] > short.values()[81]
    assert (long.warmup_steps, long.end_value, long.budget) == (10, 0.01, 250)
    assert long.provenance == {"study": "a"}
    assert long.averaging == Averaging(0.9)


def test_extending_a_constant_rate() -> None:
    short = Schedule("constant", 0.3, 100, warmup_steps=10)
    assert short.stable_steps == 100
    assert short.extend(150).values()[:100].tolist() == short.values().tolist()


@pytest.mark.parametrize(
    ("family", "stable"), [("two_phase", 10 + 45), ("swa", 75), ("ema", 75), ("constant", 100)]
)
def test_extending_a_first_phase(family: str, stable: int) -> None:
    short = Schedule(family, 0.3, 100, warmup_steps=10)
    assert short.stable_steps == stable
    long = short.extend(300)
    assert long == Schedule(family, 0.3, 300, warmup_steps=10)  # its own averaging, where it has
    assert long.stable_steps > stable
    assert long.values()[:stable].tolist() == short.values()[:stable].tolist()


def test_what_knows_its_horizon_cannot_be_extended() -> None:
    for name in set(families()) - {"constant", "wsd", "two_phase", "swa", "ema"}:
        assert Schedule(name, 0.3, 100).stable_steps == 0
        with pytest.raises(InvalidScheduleError, match=f"'{name}' has no stable phase to extend"):
            Schedule(name, 0.3, 100).extend(200)
    for budget in (100, 50):
        with pytest.raises(InvalidScheduleError, match=f"above the 100 steps .* got {budget}"):
            Schedule("wsd", 0.3, 100).extend(budget)


@pytest.mark.parametrize("budget", [0, True, 10.0])
def test_rescale_refuses_nonsense(budget: object) -> None:
    with pytest.raises(InvalidScheduleError, match="budget must be a whole number >= 1"):
        Schedule(**BASE).rescale(budget)  # type: ignore[arg-type]
