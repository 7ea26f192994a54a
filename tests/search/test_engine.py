"""The engine: reproducible, inside its bounds, and better than chance."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from lrsearch.schedules import families
from lrsearch.search import FAMILY, MULTIPLIER, Engine, ScheduleSpace, TrialRecord
from lrsearch.search import _prior as prior
from lrsearch.search._engine import STARTUP
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


# ------------------------------------------------------------------- startup


@pytest.mark.parametrize("seed", [0, 1, 99])
def test_trial_zero_is_the_edge_itself(seed: int) -> None:
    values = Engine(ScheduleSpace(1000, families=("uba", "linear", "wsd")), seed).ask(0, [])
    assert values[MULTIPLIER] == pytest.approx(1.0)
    assert values[FAMILY] == "linear"  # the first of those that weigh most
    assert Engine(ScheduleSpace(1000, families=("wsd", "linear")), seed).ask(0, [])[FAMILY] == "wsd"


@pytest.mark.parametrize("seed", range(5))
def test_startup_spreads_over_the_prior(seed: int) -> None:
    engine = Engine(SPACE, seed)
    found = [octave(engine.ask(i, [])) for i in range(STARTUP)]
    beyond = norm.cdf(-3.0, prior.CENTER, prior.SPREAD)  # the space ends three octaves away
    shares = (norm.cdf(found, prior.CENTER, prior.SPREAD) - beyond) / (1 - 2 * beyond)
    np.testing.assert_allclose(shares, [1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8], atol=0.0401)
    assert shares[0] == pytest.approx(0.5, abs=1e-9)
    assert min(np.abs(shares[1:] - [1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8])) > 0.0  # moved a little


def test_startup_does_not_depend_on_the_records() -> None:
    records = played(SPACE, 20)
    assert Engine(SPACE, 1).ask(STARTUP - 1, records) == Engine(SPACE, 1).ask(STARTUP - 1, [])
    assert Engine(SPACE, 1).ask(STARTUP, records) != Engine(SPACE, 1).ask(STARTUP, [])


def test_startup_gives_families_their_share() -> None:
    engine = Engine(SPACE, 0)
    seen = Counter(engine.ask(i, [])[FAMILY] for i in range(20))
    assert seen == {"linear": 5, "cosine": 5, "wsd": 5, "uba": 4, "constant": 1}


def test_without_two_losses_the_prior_goes_on() -> None:
    records = [replace(r, state="stopped", values=()) for r in played(SPACE, 12)]
    one = [*records[:-1], complete(11, 0.0, 1.0)]
    two = [*records[:-2], complete(10, 0.0, 1.0), complete(11, 0.0, 1.0)]
    prior = Engine(SPACE, 0).ask(12, [])
    assert Engine(SPACE, 0).ask(12, records) == prior
    assert Engine(SPACE, 0).ask(12, one) == prior
    assert Engine(SPACE, 0).ask(12, two) != prior


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


@settings(max_examples=250, deadline=None, derandomize=True)
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
    base = [complete(i, x, x**2) for i, x in enumerate((-2.0, -1.0, -0.1, 0.1, 1.0, 2.0))]

    def spread(liar: bool) -> float:
        gaps = []
        for seed in range(20):
            engine, records, found = Engine(ONE, seed), list(base), []
            for number in range(6, 12):
                values = engine.ask(number, records)
                found.append(octave(values))
                if liar:
                    running = TrialRecord(number=number, state="running", parameters=values)
                    records.append(running)
            gaps += [abs(a - b) for a, b in itertools.combinations(found, 2)]
        return float(np.mean(gaps))

    assert spread(liar=True) > 2 * spread(liar=False)


def test_stopped_hot_trials_push_it_away() -> None:
    calm = [complete(i, x, x**2) for i, x in enumerate((-0.4, 0.4, -1.0, 1.0, -2.0, 2.0))]
    hot = [
        TrialRecord(
            number=6 + i, state="stopped", parameters={FAMILY: "cosine", MULTIPLIER: 2.0**x}
        )
        for i, x in enumerate((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8))
    ]
    free, pushed = np.array(proposals(calm)), np.array(proposals(calm + hot))
    assert np.abs(free).max() < 0.5
    assert pushed.max() < -0.2
    assert np.mean(pushed) < np.mean(free) - 0.3


def test_stopped_late_is_as_bad_as_running() -> None:
    calm = [complete(i, x, x**2) for i, x in enumerate((-1, 0.6, 0, 0.8, -0.5, 1))]
    extra = TrialRecord(number=6, state="stopped", parameters={FAMILY: "cosine", MULTIPLIER: 1.0})
    stopped, running = (
        proposals([*calm, extra]),
        proposals([*calm, replace(extra, state="running")]),
    )
    assert stopped == running
    assert stopped != proposals(calm)


def test_good_trials_pull_it_near() -> None:
    for best in (-2.0, 0.0, 1.5):
        records = [complete(i, best + x, x**2) for i, x in enumerate((-0.6, 0.9, 0.1, 0.4, -0.2))]
        records += [complete(5 + i, x, 9.0 + x) for i, x in enumerate((-2.9, -1.0, 0.9, 2.9))]
        assert np.median(np.abs(np.array(proposals(records)) - best)) < 0.4


@pytest.mark.parametrize(("trials", "least", "most"), [(12, 120, 175), (40, 165, 199)])
def test_the_better_family_is_proposed_more_often(trials: int, least: int, most: int) -> None:
    # The more trials speak for it the oftener; never to the exclusion of the other one.
    space = ScheduleSpace(1000, families=("linear", "cosine"))
    records = [
        complete(i, 0.1 * (i % 12) - 0.6, float(i % 2), family=("linear", "cosine")[i % 2])
        for i in range(trials)
    ]
    seen = Counter(Engine(space, s).ask(trials, records)[FAMILY] for s in range(200))
    assert least <= seen["linear"] <= most


@pytest.mark.parametrize("good", [0.12, 0.48])
def test_the_shape_is_learnt_too(good: float) -> None:
    space = ScheduleSpace(1000, families="wsd")
    records = []
    for i, cooldown in enumerate(np.linspace(0.1, 0.5, 24)):
        record = complete(i, 0.0, abs(cooldown - good), family="wsd")
        shapes = {"wsd_cooldown": float(cooldown), "wsd_cooldown_shape": "linear"}
        records.append(replace(record, parameters={**record.parameters, **shapes}))
    asked = [Engine(space, s).ask(24, records)["wsd_cooldown"] for s in range(20)]
    assert np.max(np.abs(np.array(asked) - good)) < 0.08


@pytest.mark.parametrize("good", ["linear", "1-sqrt"])
def test_the_better_choice_is_learnt(good: str) -> None:
    space = ScheduleSpace(1000, families="wsd", parameters={"cooldown": 0.2})
    records = []
    for i in range(16):
        choice = ("linear", "1-sqrt")[i % 2]
        record = complete(i, 0.0, float(choice != good), family="wsd")
        shapes = {"wsd_cooldown_shape": choice}
        records.append(replace(record, parameters={**record.parameters, **shapes}))
    asked = Counter(Engine(space, s).ask(16, records)["wsd_cooldown_shape"] for s in range(20))
    assert asked[good] == 20


def test_the_warmup_is_learnt_across_families() -> None:
    records = []
    for i in range(20):
        record = complete(i, 0.0, abs(0.01 * i - 0.15), family=families()[i % 5])
        records.append(replace(record, parameters={**record.parameters, WARMUP: 0.01 * i}))
    asked = [Engine(SPACE, s).ask(20, records)[WARMUP] for s in range(20)]
    assert np.median(np.abs(np.array(asked) - 0.15)) < 0.04


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_is_never_good(value: float) -> None:
    # Two finite ones around 1, one that is not at 4: the better quarter is "at least two".
    near = [complete(0, 0.0, 1.0), complete(1, 0.3, 1.1)]
    far = [complete(2 + i, 2.0, value) for i in range(6)]
    assert max(proposals(near + far)) < 1.0
    alone = [complete(0, 0.0, 1.0), *far]  # one loss: still the prior
    assert proposals(alone) == proposals([replace(r, state="stopped", values=()) for r in alone])


@pytest.mark.parametrize("side", [-1, 1])
def test_a_good_rate_beyond_the_bounds_draws_to_that_bound(side: int) -> None:
    records = [complete(i, side * (6.0 + 0.1 * i), 0.1) for i in range(2)]
    records += [complete(2 + i, x, 1.0) for i, x in enumerate((0.0, 1.0, -1.0, 0.5, -0.5, 2.0))]
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
