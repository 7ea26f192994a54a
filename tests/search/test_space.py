"""The search space: what it refuses, what it searches, and the schedule of each of its points."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.exceptions import InvalidSpaceError, UnsupportedError
from lrsearch.schedules import Schedule, families, get_family
from lrsearch.search import (
    FAMILY,
    MULTIPLIER,
    PLAN_KEY,
    RATE_KEY,
    REQUEST_KEY,
    Plan,
    ScheduleSpace,
)
from lrsearch.search._alignment import alignment
from lrsearch.search._space import DEFAULT_FAMILIES, WARMUP
from lrsearch.stability import Edge


class FakeTrial:
    """Answers from a dictionary, else by `choose`; keeps the order in which it was asked."""

    def __init__(
        self,
        values: dict[str, Any] | None = None,
        choose: Callable[[Sequence[Any]], Any] = lambda options: options[0],
        **user_attrs: Any,
    ) -> None:
        self.values, self.choose = values or {}, choose
        self.asked: dict[str, Any] = {}
        self.user_attrs = dict(user_attrs)

    def set_user_attr(self, key: str, value: Any) -> None:
        self.user_attrs[key] = json.loads(json.dumps(value, allow_nan=False))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._answer(name, choices)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return self._answer(name, (low, high))

    def _answer(self, name: str, options: Sequence[Any]) -> Any:
        assert name not in self.asked
        self.asked[name] = self.values.get(name, self.choose(options))
        return self.asked[name]


# ---------------------------------------------------------------- validation


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"budget": 0}, "0"),
        ({"budget": -3}, "-3"),
        ({"budget": 10.5}, "10.5"),
        ({"budget": True}, "True"),
        ({"budget": "100"}, "'100'"),
        ({"families": ("linear", "zigzag")}, "'zigzag'"),
        ({"families": ("linear", "piecewise")}, "'piecewise'"),
        ({"families": "zigzag"}, "'zigzag'"),
        ({"families": ("wsd", "uba", "wsd")}, "'wsd', 'uba', 'wsd'"),
        ({"multiplier": (0.0, 2.0)}, "(0.0, 2.0)"),
        ({"multiplier": (-1.0, 2.0)}, "(-1.0, 2.0)"),
        ({"multiplier": (2.0, 2.0)}, "(2.0, 2.0)"),
        ({"multiplier": (4.0, 2.0)}, "(4.0, 2.0)"),
        ({"multiplier": (1.0, math.inf)}, "inf"),
        ({"multiplier": (math.nan, 2.0)}, "nan"),
        ({"multiplier": 2.5}, "2.5"),
        ({"multiplier": (1.0, 2.0, 3.0)}, "(1.0, 2.0, 3.0)"),
        ({"multiplier": ("1", "2")}, "('1', '2')"),
        ({"warmup": -0.1}, "-0.1"),
        ({"warmup": 1.0}, "1.0"),
        ({"warmup": math.nan}, "nan"),
        ({"warmup": (0.3, 0.1)}, "(0.3, 0.1)"),
        ({"warmup": (0.3, 1.0)}, "(0.3, 1.0)"),
        ({"warmup": (0.1, 0.2, 0.3)}, "(0.1, 0.2, 0.3)"),
        ({"warmup": "5%"}, "'5%'"),
        ({"warmup": [0.0, 0.1]}, "[0.0, 0.1]"),
        ({"parameters": {"beta": 1.0}}, "'beta'"),
        ({"parameters": {"cooldown": 1.5}}, "1.5"),
        ({"parameters": {"cooldown": 0}}, "0.0"),
        ({"parameters": {"cooldown": (0.1, 3.0)}}, "3.0"),
        ({"parameters": {"cooldown": (0.0, 0.5)}}, "0.0"),
        ({"parameters": {"cooldown": (0.5, 0.1)}}, "(0.5, 0.1)"),
        ({"parameters": {"cooldown": [0.2, 7.0]}}, "7.0"),
        ({"parameters": {"cooldown_shape": "cubic"}}, "'cubic'"),
        ({"parameters": {"cooldown_shape": ["linear", "cubic"]}}, "'cubic'"),
        ({"families": "step", "parameters": {"drops": 2.5}}, "2.5"),
        ({"families": "step", "parameters": {"drops": (1, 2.5)}}, "2.5"),
        ({"families": "step", "parameters": {"drops": (1, 40)}}, "(1, 40)"),
        ({"families": "step", "budget": 3}, "'step'"),
        ({"families": "step", "budget": 6, "parameters": {"spacing": ["equal", "halving"]}}, "8"),
        ({"families": "rex", "parameters": {"phi": 1.0}}, "rex.alpha"),
        ({"families": ("rex", "uba"), "parameters": {"rex.phi": 1.0}}, "'rex.phi'"),
        ({"families": "cyclic", "parameters": {"cycles": 51}}, "102 steps"),
        ({"parameters": {"cooldown_shape": []}}, "'cooldown_shape'"),
        ({"parameters": {"phi": (0.0, 2.0)}}, "(0.0, 2.0)"),
        ({"parameters": {"phi": -1.0}}, "-1.0"),
        ({"parameters": {"phi": math.nan}}, "nan"),
        ({"parameters": {"phi": (1.0, math.inf)}}, "inf"),
        ({"parameters": {"phi": "big"}}, "'big'"),
        ({"parameters": {"phi": True}}, "True"),
        ({"parameters": {"phi": ()}}, "()"),
    ],
)
def test_nonsense_is_refused_by_its_value(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidSpaceError) as caught:
        ScheduleSpace(**({"budget": 100} | options))
    assert named in str(caught.value)


def test_messages_name_what_there_is() -> None:
    with pytest.raises(InvalidSpaceError, match=r"known: constant, linear, cosine, wsd, uba"):
        ScheduleSpace(100, families=("zigzag",))
    with pytest.raises(InvalidSpaceError, match=r"have: wsd.cooldown, wsd.cooldown_shape, wsd"):
        ScheduleSpace(100, parameters={"beta": 1.0})


# ---------------------------------------------------------------- dimensions


def names(space: ScheduleSpace) -> list[str]:
    return [d.name for d in space.dimensions()]


def test_dimensions_of_the_whole_space() -> None:
    space = ScheduleSpace(100)
    assert space.families == DEFAULT_FAMILIES
    assert names(space) == [
        FAMILY,
        "wsd_cooldown",
        "wsd_cooldown_shape",
        "uba_phi",
        MULTIPLIER,
    ]
    assert [d.family for d in space.dimensions()] == [None, "wsd", "wsd", "uba", None]
    assert space.dimensions()[0].choices == DEFAULT_FAMILIES
    last = space.dimensions()[-1]
    assert (last.low, last.high, last.log) == (0.125, 8.0, True)


def test_dimensions_follow_families_and_warmup() -> None:
    assert names(ScheduleSpace(100, families="linear")) == [FAMILY, MULTIPLIER]
    space = ScheduleSpace(100, families=("uba", "linear"), warmup=(0.0, 0.2))
    assert names(space) == [FAMILY, "uba_phi", WARMUP, MULTIPLIER]
    warmup = space.dimensions()[2]
    assert (warmup.low, warmup.high, warmup.log, warmup.family) == (0.0, 0.2, False, None)


def test_fixing_narrowing_and_choosing() -> None:
    space = ScheduleSpace(
        100, parameters={"cooldown": 0.3, "phi": (0.5, 5), "cooldown_shape": ["linear"]}
    )
    found = {d.name: d for d in space.dimensions()}
    assert "wsd_cooldown" not in found
    assert (found["uba_phi"].low, found["uba_phi"].high, found["uba_phi"].log) == (0.5, 5.0, True)
    assert found["wsd_cooldown_shape"].choices == ("linear",)
    schedule = space.suggest(FakeTrial({FAMILY: "wsd"}), 0.1)
    assert dict(schedule.parameters) == {
        "cooldown": 0.3,
        "cooldown_shape": "linear",
        "cooldown_ratio": 0.1,
    }


def test_what_matters_is_searched_and_the_rest_on_demand() -> None:
    for name in families():
        searched = [d.name for d in ScheduleSpace(100, families=name).dimensions()]
        declared = get_family(name).parameters
        assert searched[1:-1] == [f"{name}_{p.name}" for p in declared if p.matters]
    asked = ScheduleSpace(100, families="uba", parameters={"cycles": (1, 3)})
    (cycles,) = [d for d in asked.dimensions() if d.name == "uba_cycles"]
    assert cycles.choices == (1.0, 2.0, 3.0)
    held = ScheduleSpace(100, families="step", parameters={"drops": 1, "spacing": "halving"})
    plan = held.plan({FAMILY: "step", "step_factor": 0.2, MULTIPLIER: 1.0}, 0.1)
    assert plan.parameters == {"drops": 1.0, "factor": 0.2, "spacing": "halving"}


def test_a_setting_may_name_its_family() -> None:
    space = ScheduleSpace(
        100,
        families=("wsd", "power"),
        parameters={"cooldown": 0.3, "power.cooldown": (0.1, 0.2)},
    )
    names_found = names(space)
    assert "wsd_cooldown" not in names_found
    assert "power_cooldown" in names_found
    assert space.plan({FAMILY: "wsd", MULTIPLIER: 1.0}, 0.1).parameters["cooldown"] == 0.3
    other = ScheduleSpace(100, families=("wsd", "power"), parameters={"cooldown": 0.3})
    assert other.fingerprint() != space.fingerprint()


def test_a_space_cycles_momentum_only_when_asked() -> None:
    def momentum(**settings: Any) -> Any:
        space = ScheduleSpace(100, families="one_cycle", parameters=settings)
        return space.plan({FAMILY: "one_cycle", MULTIPLIER: 1.0}, 0.1).parameters["momentum"]

    assert momentum() == "kept"
    assert momentum(momentum="cycled") == "cycled"
    searched = ScheduleSpace(100, families="one_cycle", parameters={"momentum": ["cycled", "kept"]})
    assert "one_cycle_momentum" in names(searched)


def test_numpy_numbers_are_numbers() -> None:
    space = ScheduleSpace(100, families="uba", parameters={"phi": np.float32(2.0)})
    assert names(space) == [FAMILY, MULTIPLIER]
    assert space.suggest(FakeTrial(), 0.1).parameters["phi"] == 2.0


# --------------------------------------------------------------- fingerprint


def test_fingerprint_is_stable_under_json() -> None:
    space = ScheduleSpace(
        100,
        warmup=(0, 0.2),
        parameters={"phi": range(1, 4), "cooldown": 1, "cooldown_shape": "linear"},
    )
    mine = space.fingerprint()
    assert json.loads(json.dumps(mine, allow_nan=False)) == mine
    assert mine["fixed"] == {"cooldown": 1.0, "cooldown_shape": "linear"}


@pytest.mark.parametrize(
    "change",
    [
        {"budget": 101},
        {"families": ("linear", "wsd")},
        {"families": ("linear",)},
        {"multiplier": (0.125, 4.0)},
        {"multiplier": (0.25, 8.0)},
        {"warmup": 0.1},
        {"warmup": (0.05, 0.1)},
        {"parameters": {"cooldown": 0.2}},
        {"parameters": {"cooldown": 0.3}},
        {"parameters": {"cooldown": (0.1, 0.3)}},
        {"parameters": {"cooldown_shape": ["linear"]}},
        {"parameters": {"phi": 2.0}},
    ],
)
def test_fingerprint_tells_spaces_apart(change: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"budget": 100, "families": ("wsd", "uba", "linear")}
    first = ScheduleSpace(**plain).fingerprint()
    assert ScheduleSpace(**plain).fingerprint() == first
    assert ScheduleSpace(**(plain | change)).fingerprint() != first


def test_two_fixed_values_are_two_spaces() -> None:
    a, b = (ScheduleSpace(100, parameters={"cooldown": c}).fingerprint() for c in (0.2, 0.3))
    assert a != b
    whole = ScheduleSpace(100, parameters={"phi": 2}).fingerprint()
    assert whole == ScheduleSpace(100, parameters={"phi": 2.0}).fingerprint()


# ---------------------------------------------------------------------- plan


def test_peak_is_multiplier_times_alignment_times_edge() -> None:
    space = ScheduleSpace(1000, warmup=0.1)
    values = {
        FAMILY: "wsd",
        "wsd_cooldown": 0.2,
        "wsd_cooldown_shape": "linear",
        MULTIPLIER: 2.0,
    }
    plan = space.plan(values, Edge.known(0.05))
    shape = {"cooldown": 0.2, "cooldown_shape": "linear", "cooldown_ratio": 0.1}
    assert plan.alignment == alignment("wsd", shape) < 1.0
    assert plan.peak == pytest.approx(2.0 * plan.alignment * 0.05)
    assert (plan.multiplier, plan.edge, plan.edge_method) == (2.0, 0.05, "given")
    assert (plan.budget, plan.warmup_steps, plan.family) == (1000, 100, "wsd")
    assert space.plan(values, 0.05) == plan


def test_linear_decay_has_the_plain_peak() -> None:
    plan = ScheduleSpace(100).plan({FAMILY: "linear", MULTIPLIER: 0.5}, 0.3)
    assert plan.peak == 0.15
    assert plan.parameters == {}


def test_the_measured_method_is_kept() -> None:
    edge = Edge(learning_rate=0.2, uncertainty=0.5, method="annealed runs", optimizer="SGD")
    assert ScheduleSpace(9).plan({FAMILY: "linear", MULTIPLIER: 1.0}, edge).edge_method == (
        "annealed runs"
    )


def test_unsaid_shapes_take_their_default() -> None:
    plan = ScheduleSpace(100).plan({FAMILY: "uba", MULTIPLIER: 1.0}, 0.1)
    assert plan.parameters == {"phi": 1.0, "cycles": 1.0}


# ------------------------------------------------------------------- suggest


def test_suggest_asks_for_its_family_only() -> None:
    space = ScheduleSpace(100, warmup=(0.0, 0.2))
    trial = FakeTrial({FAMILY: "uba", "uba_phi": 3.0, WARMUP: 0.1, MULTIPLIER: 4.0})
    schedule = space.suggest(trial, 0.1)
    assert list(trial.asked) == [FAMILY, "uba_phi", WARMUP, MULTIPLIER]
    assert schedule == Schedule(
        "uba",
        4.0 * alignment("uba", {"phi": 3.0}) * 0.1,
        100,
        {"phi": 3.0},
        warmup_steps=10,
    )


def test_suggest_stores_the_plan() -> None:
    space = ScheduleSpace(100)
    trial = FakeTrial({FAMILY: "linear", MULTIPLIER: 2.0})
    schedule = space.suggest(trial, 0.1)
    plan = Plan.from_dict(trial.user_attrs[PLAN_KEY])
    assert plan == space.plan(trial.asked, 0.1)
    assert plan.peak == schedule.peak == 0.2
    assert schedule.provenance["multiplier"] == 2.0
    assert schedule.provenance["edge"] == 0.1
    assert "study" not in schedule.provenance
    assert REQUEST_KEY not in trial.user_attrs


def test_suggest_with_a_fixed_trial() -> None:
    space = ScheduleSpace(1000, families=("wsd", "linear"), warmup=(0.0, 0.5))
    trial = optuna.trial.FixedTrial(
        {
            FAMILY: "wsd",
            "wsd_cooldown": 0.25,
            "wsd_cooldown_shape": "1-sqrt",
            WARMUP: 0.02,
            MULTIPLIER: 0.5,
        }
    )
    schedule = space.suggest(trial, 0.4)
    assert schedule.warmup_steps == 20
    assert schedule.peak == pytest.approx(0.5 * alignment("wsd", {"cooldown": 0.25}) * 0.4)
    assert trial.user_attrs[PLAN_KEY]["peak"] == schedule.peak


def test_suggest_in_a_study_says_where_it_comes_from() -> None:
    study = optuna.create_study(study_name="mine", sampler=optuna.samplers.RandomSampler(seed=0))
    study.ask()
    schedule = ScheduleSpace(100).suggest(study.ask(), 0.1)
    assert schedule.provenance["study"] == "mine"
    assert schedule.provenance["trial"] == 1


# ------------------------------------------------------ enqueued absolute rate


def test_an_enqueued_rate_becomes_the_peak() -> None:
    space = ScheduleSpace(1000, parameters={"phi": (0.5, 5.0)})
    aligned = alignment("uba", {"phi": 0.5})
    wanted = 0.7 / (aligned * 0.1)

    class Obeying(FakeTrial):
        def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
            if name == MULTIPLIER:  # as EdgeSampler does
                self.values[MULTIPLIER] = self.user_attrs[REQUEST_KEY]
            return super().suggest_float(name, low, high, log=log)

    trial = Obeying({FAMILY: "uba"}, **{RATE_KEY: 0.7})
    schedule = space.suggest(trial, 0.1)
    assert schedule.parameters["phi"] == 0.5
    assert schedule.peak == pytest.approx(0.7, rel=1e-12)
    assert trial.user_attrs[REQUEST_KEY] == pytest.approx(wanted)
    assert trial.user_attrs[PLAN_KEY]["multiplier"] == pytest.approx(wanted)


def test_a_point_can_be_asked_for_before_any_edge_is_known() -> None:
    """The same point as `suggest` asks for, in the same order, with nothing stored."""
    space = ScheduleSpace(budget=100, families=("linear", "wsd"), warmup=(0.0, 0.2))
    for family in space.families:
        sampled, suggested = FakeTrial({FAMILY: family}), FakeTrial({FAMILY: family})
        values = space.sample(sampled)
        schedule = space.suggest(suggested, 0.3)
        assert values == sampled.asked == suggested.asked
        assert list(sampled.asked) == list(suggested.asked)
        assert sampled.user_attrs == {}
        assert space.plan(values, 0.3).schedule().values() == pytest.approx(schedule.values())


def test_a_sampled_point_has_no_parameters_of_other_families() -> None:
    space = ScheduleSpace(budget=100, families=("linear", "wsd"))
    assert set(space.sample(FakeTrial({FAMILY: "linear"}))) == {FAMILY, MULTIPLIER}
    assert {FAMILY, "wsd_cooldown", MULTIPLIER} <= set(space.sample(FakeTrial({FAMILY: "wsd"})))


def test_a_sampler_that_ignores_the_rate_is_an_error() -> None:
    space = ScheduleSpace(1000, families="linear")
    trial = FakeTrial({MULTIPLIER: 2.0}, **{RATE_KEY: 0.7})
    with pytest.raises(UnsupportedError, match=r"learning rate 0.7 was enqueued") as caught:
        space.suggest(trial, 0.1)
    assert "'edge_multiplier' = 7 " in str(caught.value)
    assert "EdgeSampler" in str(caught.value)
    assert PLAN_KEY not in trial.user_attrs


def test_optunas_own_sampler_ignores_it() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial({FAMILY: "linear"}, user_attrs={RATE_KEY: 0.7})
    with pytest.raises(UnsupportedError, match=r"0\.7 was enqueued"):
        ScheduleSpace(1000).suggest(study.ask(), 0.1)


def test_its_advice_works() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial({FAMILY: "linear", MULTIPLIER: 7.0}, user_attrs={RATE_KEY: 0.7})
    assert ScheduleSpace(1000).suggest(study.ask(), 0.1).peak == pytest.approx(0.7)


# ------------------------------------------------------------ every legal point


@st.composite
def settings_of(draw: st.DrawFn, low: float, high: float) -> Any:
    value = st.floats(low, high)
    kind = draw(st.sampled_from(["unset", "fixed", "range", "choices"]))
    if kind == "unset":
        return None
    if kind == "fixed":
        return draw(value)
    if kind == "range":
        ends = sorted(draw(st.tuples(value, value)))
        return tuple(ends) if ends[0] < ends[1] else ends[0]
    return draw(st.lists(value, min_size=1, max_size=3))


@st.composite
def spaces(draw: st.DrawFn) -> ScheduleSpace:
    parameters = {
        "cooldown": draw(settings_of(1e-6, 1.0)),
        "phi": draw(settings_of(1e-6, 1e6)),
        "cooldown_shape": draw(st.sampled_from([None, "linear", "1-sqrt", ["linear", "1-sqrt"]])),
    }
    share = st.floats(0.0, 1.0, exclude_max=True)
    warmup = draw(share | st.tuples(share, share).map(lambda pair: tuple(sorted(pair))))
    low = draw(st.floats(-20, 19))
    names = tuple(draw(st.permutations(families())))[: draw(st.integers(1, 5))]
    had = {declared.name for name in names for declared in get_family(name).parameters}
    return ScheduleSpace(
        draw(st.integers(8, 300)),
        families=names,
        multiplier=(2.0**low, 2.0 ** (low + draw(st.floats(0.01, 20.0)))),
        warmup=warmup,
        parameters={k: v for k, v in parameters.items() if v is not None and k in had},
    )


def drawing(draw: Callable[[st.SearchStrategy[Any]], Any]) -> FakeTrial:
    class Drawing(FakeTrial):
        def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
            return self._answer(name, [draw(st.sampled_from(list(choices)))])

        def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
            return self._answer(name, [draw(st.sampled_from([low, high]) | st.floats(low, high))])

    return Drawing()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(spaces(), st.floats(1e-6, 1e3), st.data())
def test_every_point_of_every_space_is_a_schedule(
    space: ScheduleSpace, edge: float, data: st.DataObject
) -> None:
    trial = drawing(data.draw)
    schedule = space.suggest(trial, edge)
    assert schedule.budget == space.budget
    assert schedule.family in space.families
    values = schedule.values()
    assert values.min() > 0.0
    assert values.max() == schedule.peak
    plan = Plan.from_dict(trial.user_attrs[PLAN_KEY])
    assert plan.schedule() == schedule
    assert plan.peak == plan.multiplier * plan.alignment * edge


@pytest.mark.parametrize("budget", [1, 2, 3, 10, 997])
def test_long_warmup_gives_way_to_a_long_cooldown(budget: int) -> None:
    space = ScheduleSpace(budget, families="wsd", warmup=0.99, parameters={"cooldown": 1.0})
    assert space.suggest(FakeTrial(), 0.1).warmup_steps == 0
    space = ScheduleSpace(budget, families="wsd", warmup=0.8, parameters={"cooldown": 0.6})
    schedule = space.suggest(FakeTrial(), 0.1)
    assert schedule.warmup_steps == budget - max(1, round(0.6 * budget))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(spaces())
def test_every_fingerprint_is_json(space: ScheduleSpace) -> None:
    mine = space.fingerprint()
    assert json.loads(json.dumps(mine, allow_nan=False)) == mine
