"""The engine: reproducible, inside its bounds, and better than chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrsearch.schedules import families
from lrsearch.search import FAMILY, MULTIPLIER, Engine, ScheduleSpace, TrialRecord
from lrsearch.search._space import WARMUP

SPACE = ScheduleSpace(1000, warmup=(0.0, 0.2))
ONE = ScheduleSpace(1000, families="cosine")


def octave(values: Any) -> float:
    return math.log2(values[MULTIPLIER])


def complete(number: int, octaves: float, *values: float, family: str = "cosine") -> TrialRecord:
    parameters = {FAMILY: family, MULTIPLIER: 2.0**octaves}
    return TrialRecord(number=number, state="complete", parameters=parameters, values=values)


def played(space: ScheduleSpace, n: int, seed: int = 0) -> list[TrialRecord]:
    """A study of n trials on a basin around m = 1, every fourth one stopped."""
    engine, records = Engine(space, seed), []
    for i in range(n):
        values = engine.ask(i, records)
        done = i % 4 != 3
        loss = (octave(values) ** 2,) if done else ()
        state = "complete" if done else "stopped"
        records.append(TrialRecord(number=i, state=state, parameters=values, values=loss))
    return records


# -------------------------------------------------------------- reproducible


@pytest.mark.parametrize("n", [0, 3, 7, 20])
def test_the_same_question_has_the_same_answer(n: int) -> None:
    records = played(SPACE, n)
    engine = Engine(SPACE, 5)
    first = engine.ask(n, records)
    engine.ask(n + 1, records)  # asking leaves nothing behind
    assert engine.ask(n, records) == first
    assert Engine(SPACE, 5).ask(n, records) == first


def test_seed_number_and_records_all_count() -> None:
    records = played(SPACE, 20)
    first = Engine(SPACE, 5).ask(20, records)
    assert Engine(SPACE, 6).ask(20, records) != first
    assert Engine(SPACE, 5).ask(21, records) != first
    assert Engine(SPACE, 5).ask(20, records[:12]) != first


# ------------------------------------------------------------------ first trials


@pytest.mark.parametrize("seed", [0, 1, 99])
def test_trial_zero_is_the_edge_itself(seed: int) -> None:
    values = Engine(ScheduleSpace(1000), seed).ask(0, [])
    assert values[MULTIPLIER] == 1.0
    assert values[FAMILY] in {"linear", "wsd", "uba"}  # what the development tables like best
    above = ScheduleSpace(1000, multiplier=(2.0, 8.0))
    assert Engine(above, seed).ask(0, [])[MULTIPLIER] == 2.0


def test_the_first_trials_of_parallel_workers_differ() -> None:
    engine, records = Engine(SPACE, 0), []
    for i in range(8):
        values = engine.ask(i, records)
        records.append(TrialRecord(number=i, state="running", parameters=values))
    found = sorted(octave(r.parameters) for r in records)
    shapes = {tuple(v for n, v in r.parameters.items() if n != MULTIPLIER) for r in records}
    assert found[-1] - found[0] > 1.0
    assert len(shapes) >= 3


def test_when_all_were_too_hot_it_goes_down() -> None:
    engine, records = Engine(ONE, 0), []
    for i in range(5):
        values = engine.ask(i, records)
        hot = TrialRecord(number=i, state="stopped", side="hot", parameters=values)
        records.append(hot)
    found = [octave(r.parameters) for r in records]
    assert found == sorted(found, reverse=True)
    assert found[-1] < -1.5


# -------------------------------------------------------------------- bounds


def expected_names(space: ScheduleSpace, family: str) -> set[str]:
    return {d.name for d in space.dimensions() if d.family in (None, family)}


@st.composite
def histories(draw: st.DrawFn) -> tuple[ScheduleSpace, list[TrialRecord]]:
    low = draw(st.floats(-6, 5))
    names = tuple(draw(st.permutations(families())))[: draw(st.integers(1, 5))]
    chosen: list[dict[str, Any]] = [{}]
    chosen += [{"uba.phi": [1, 2]}] * ("uba" in names)
    chosen += [{"wsd.cooldown": (0.15, 0.2)}] * ("wsd" in names)
    space = ScheduleSpace(
        100,
        families=names,
        multiplier=(2.0**low, 2.0 ** (low + draw(st.floats(0.01, 9.0)))),
        warmup=draw(st.sampled_from([0.05, (0.0, 0.2), (0.1, 0.1)])),
        parameters=draw(st.sampled_from(chosen)),
    )
    objectives = draw(st.integers(1, 3))
    number = st.floats(-5, 5) | st.sampled_from([math.nan, math.inf, -math.inf])
    records = []
    for i in range(draw(st.integers(0, 25))):
        state = draw(st.sampled_from(["complete", "complete", "stopped", "running"]))
        kind = draw(st.sampled_from(["ours", "ours", "foreign", "half", "other family", "beyond"]))
        parameters: dict[str, Any] = {}
        if kind != "foreign":
            family = "cyclic" if kind == "other family" else draw(st.sampled_from(space.families))
            parameters[FAMILY] = family
            for d in space.dimensions()[1:]:
                if d.family in (None, family) and not (kind == "half" and d.name == MULTIPLIER):
                    beyond = 32.0 if kind == "beyond" and d.name == MULTIPLIER else 1.0
                    parameters[d.name] = (
                        draw(st.sampled_from(d.choices))
                        if d.choices
                        else draw(st.floats(d.low, d.high)) * beyond
                    )
        values = tuple(draw(st.tuples(*[number] * objectives))) if state == "complete" else ()
        records.append(TrialRecord(number=i, state=state, parameters=parameters, values=values))
    return space, records


@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # on a busy machine
)
@given(histories(), st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_proposals_are_always_points_of_the_space(
    history: tuple[ScheduleSpace, list[TrialRecord]], seed: int, number: int
) -> None:
    space, records = history
    values = Engine(space, seed).ask(number, records)
    assert set(values) == expected_names(space, str(values[FAMILY]))
    for d in space.dimensions():
        if d.name not in values:
            continue
        if d.choices:
            assert values[d.name] in d.choices
        else:
            assert type(values[d.name]) is float
            assert d.low <= values[d.name] <= d.high
    space.plan(values, 0.1).schedule()


# ------------------------------------------------------------- what it learns


def proposals(records: list[TrialRecord], space: ScheduleSpace = ONE, n: int = 20) -> list[float]:
    return [octave(Engine(space, seed).ask(len(records), records)) for seed in range(n)]


def test_running_trials_keep_workers_apart() -> None:
    base = [complete(0, 0.0, 1.0)]

    def spread(liar: bool) -> float:
        engine, records, found = Engine(ONE, 0), list(base), []
        for number in range(1, 7):
            values = engine.ask(number, records)
            found.append(octave(values))
            if liar:
                running = TrialRecord(number=number, state="running", parameters=values)
                records.append(running)
        return float(np.std(found))

    assert spread(liar=True) > 3 * spread(liar=False)


def test_stopped_hot_trials_push_it_away() -> None:
    calm = [complete(i, x, 1 + 0.03 * x**2) for i, x in enumerate((-0.4, 0.4, -1.0, 1.0))]
    calm[3] = replace(calm[3], state="stopped", side="hot", values=())
    parameters = {FAMILY: "cosine", MULTIPLIER: 2.0**0.6}
    hot = TrialRecord(number=4, state="stopped", side="hot", parameters=parameters)
    assert max(proposals([*calm, hot])) < 0.6
    # One that was stopped for another reason says little about rates below it.
    cold = replace(hot, side=None)
    assert np.mean(proposals([*calm, hot])) < np.mean(proposals([*calm, cold]))


def test_stopped_without_a_side_counts_as_bad() -> None:
    calm = [complete(i, x, 1 + 0.01 * x) for i, x in enumerate((1.0, 0.5, 0.0))]
    free = np.mean(proposals(calm))
    stopped = [
        TrialRecord(
            number=3 + i, state="stopped", parameters={FAMILY: "cosine", MULTIPLIER: 2.0**x}
        )
        for i, x in enumerate((free - 0.2, free, free + 0.2))
    ]
    assert np.mean(proposals(calm + stopped)) > free + 0.15


@pytest.mark.parametrize("best", [-2.0, 0.0, 1.5])
def test_good_trials_pull_it_near(best: float) -> None:
    at = [best + x for x in (-0.6, 0.9, 0.1, 0.4, -0.2)] + [-2.9, -1.0, 0.9, 2.9]
    records = [complete(i, x, 1 + 0.03 * (x - best) ** 2) for i, x in enumerate(at)]
    assert np.max(np.abs(np.array(proposals(records)) - best)) < 0.5


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_unit_of_a_loss_does_not_matter(scale: float) -> None:
    def at(unit: float) -> list[float]:
        losses = ((x, unit * (1 + 0.03 * (x - 1) ** 2)) for x in (-1.0, 0.0, 1.5))
        return proposals([complete(i, x, loss) for i, (x, loss) in enumerate(losses)])

    assert at(scale) == pytest.approx(at(1.0), abs=1e-6)


@pytest.mark.parametrize("best", [-1.5, 1.5])
def test_an_accuracy_is_searched_too(best: float) -> None:
    # Maximised, so the record has its negative.
    engine, records = Engine(ONE, 0), []
    for i in range(8):
        x = octave(engine.ask(i, records))
        records.append(complete(i, x, -(0.9 - 0.02 * (x - best) ** 2)))
    assert min(abs(octave(r.parameters) - best) for r in records) < 0.3


def test_the_better_family_is_proposed() -> None:
    # A clear loser is left alone; one that hardly differs is still tried.
    space = ScheduleSpace(1000, families=("linear", "wsd"), parameters={"cooldown": 0.2})

    def families_asked(behind: float) -> Counter[str]:
        engine, records = Engine(space, 0), []
        for i in range(12):
            values = engine.ask(i, records)
            loss = 1 + behind * (values[FAMILY] == "linear") + 0.03 * octave(values) ** 2
            records.append(
                TrialRecord(number=i, state="complete", parameters=values, values=(loss,))
            )
        return Counter(str(r.parameters[FAMILY]) for r in records)

    assert families_asked(0.1)["linear"] <= 3
    assert families_asked(-0.03)["linear"] >= 6


@pytest.mark.parametrize("good", [0.12, 0.48])
def test_the_shape_is_learnt_too(good: float) -> None:
    space = ScheduleSpace(1000, families="wsd", parameters={"cooldown_shape": "linear"})
    engine, records = Engine(space, 0), []
    for i in range(16):
        values = engine.ask(i, records)
        loss = 1 + 0.2 * abs(float(values["wsd_cooldown"]) - good) + 0.03 * octave(values) ** 2
        records.append(TrialRecord(number=i, state="complete", parameters=values, values=(loss,)))
    later = [float(r.parameters["wsd_cooldown"]) for r in records[8:]]
    assert np.median(np.abs(np.array(later) - good)) < 0.1


@pytest.mark.parametrize("good", ["linear", "1-sqrt"])
def test_the_better_choice_is_learnt(good: str) -> None:
    space = ScheduleSpace(1000, families="wsd", parameters={"cooldown": 0.2})
    records = []
    for i in range(8):
        choice = ("linear", "1-sqrt")[i % 2]
        record = complete(i, 0.0, 1 + 0.1 * (choice != good), family="wsd")
        shapes = {"wsd_cooldown_shape": choice}
        records.append(replace(record, parameters={**record.parameters, **shapes}))
    asked = Counter(Engine(space, s).ask(16, records)["wsd_cooldown_shape"] for s in range(20))
    assert asked[good] == 20


def test_the_warmup_is_learnt_across_families() -> None:
    records = []
    for i in range(20):
        record = complete(i, 0.0, 1 + abs(0.01 * i - 0.15), family=SPACE.families[1 + i % 4])
        records.append(replace(record, parameters={**record.parameters, WARMUP: 0.01 * i}))
    asked = [Engine(SPACE, s).ask(20, records)[WARMUP] for s in range(20)]
    assert np.median(np.abs(np.array(asked) - 0.15)) < 0.05


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_is_a_run_that_diverged(value: float) -> None:
    near = [complete(0, 0.0, 1.0), complete(1, 0.3, 1.001)]
    far = [complete(2 + i, 1.0, value) for i in range(3)]
    assert max(proposals(near + far)) < 1.0
    hot = [replace(r, state="stopped", side="hot", values=()) for r in far]
    assert proposals(near + far) == proposals(near + hot)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_good_rate_beyond_the_bounds_draws_to_that_bound(side: int) -> None:
    records = [complete(i, side * (6.0 + 0.1 * i), 0.9) for i in range(2)]
    records += [complete(2 + i, side * x, 1.0 - 0.01 * x) for i, x in enumerate((0.0, 1.0, 2.0))]
    assert all(side * x > 2.0 for x in proposals(records))


def test_several_objectives_go_to_the_front() -> None:
    # Both objectives are bad away from 1.5 and trade off inside [1, 2].
    records = [
        complete(i, x, abs(x - 1.0), abs(x - 2.0)) for i, x in enumerate(np.linspace(-2.5, 2.5, 16))
    ]
    found = np.array(proposals(records))
    assert np.mean((found > 0.7) & (found < 2.3)) >= 0.9


# -------------------------------------------------------- better than chance


def distance(
    space: ScheduleSpace, optimum: float, seed: int, propose: Callable[..., dict[str, Any]] | None
) -> float:
    """Octaves from the optimum to the best of 25 trials on a noisy basin with family offsets."""
    rng = np.random.default_rng([7, seed])
    offsets = dict(zip(space.families, 0.02 * rng.permutation(len(space.families)), strict=True))
    engine, records = Engine(space, seed), []
    for number in range(25):
        values = engine.ask(number, records) if propose is None else propose(rng)
        x = octave(values)
        loss = 0.05 * (x - optimum) ** 2 + offsets[str(values[FAMILY])] + 0.01 * rng.normal()
        record = TrialRecord(number=number, state="complete", parameters=values, values=(loss,))
        records.append(record)
    return abs(octave(min(records, key=lambda r: r.values).parameters) - optimum)


@pytest.mark.parametrize("optimum", [-2.0, -1.0, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("names", [(), ("cosine",)])
def test_nearer_to_the_optimum_than_uniform_random(names: tuple[str, ...], optimum: float) -> None:
    space = ScheduleSpace(1000, families=names)

    def uniform(rng: np.random.Generator) -> dict[str, Any]:
        family = space.families[int(rng.integers(len(space.families)))]
        return {FAMILY: family, MULTIPLIER: float(2.0 ** rng.uniform(-3.0, 3.0))}

    engine = np.mean([distance(space, optimum, seed, None) for seed in range(20)])
    chance = np.mean([distance(space, optimum, seed, uniform) for seed in range(20)])
    assert engine < chance


def regret(space: ScheduleSpace, optimum: float, seed: int, random: bool) -> float:
    """Noise-free loss given up by the best-looking of 25 trials; families differ by up to 0.3."""
    rng = np.random.default_rng([8, seed])
    offsets = dict(zip(space.families, rng.permutation([0, 0.03, 0.06, 0.1, 0.3]), strict=True))
    engine, records, truths = Engine(space, seed), [], []
    for number in range(25):
        if random:
            family = space.families[int(rng.integers(len(space.families)))]
            values = {FAMILY: family, MULTIPLIER: float(2.0 ** rng.uniform(-3.0, 3.0))}
        else:
            values = engine.ask(number, records)
        truths.append(offsets[str(values[FAMILY])] + 0.12 * (octave(values) - optimum) ** 2)
        seen = truths[-1] + 0.03 * rng.normal()
        records.append(
            TrialRecord(number=number, state="complete", parameters=values, values=(seen,))
        )
    return truths[min(range(25), key=lambda i: records[i].values)]


def test_gives_up_less_than_uniform_random_where_families_differ() -> None:
    space = ScheduleSpace(1000)
    cases = [(optimum, seed) for optimum in (-1.5, 0.0, 1.5) for seed in range(15)]
    engine = np.mean([regret(space, *case, random=False) for case in cases])
    chance = np.mean([regret(space, *case, random=True) for case in cases])
    assert engine < 0.7 * chance


def test_an_engine_of_a_version_with_fewer_coordinates_goes_on() -> None:
    state = Engine(SPACE, seed=3).__getstate__()
    assert "_past" not in state
    points = state["before"].points
    narrow = replace(points, places=points.places[:, :-1])
    old = Engine.__new__(Engine)
    old.__setstate__(state | {"before": replace(state["before"], points=narrow)})
    records = [TrialRecord(number=0, state="complete", parameters=old.ask(0, []), values=(1.0,))]
    assert old.ask(1, records) == Engine(SPACE, seed=3).ask(1, records)
