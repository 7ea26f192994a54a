"""Each rule stops what it should, and leaves alone what it must."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.stability import Reading, Verdict, below_edge, dead, diverged

Rule = Callable[[Sequence[Reading]], Verdict | None]
BUDGET = 1000


def losses(*pairs: tuple[int, float | None], **common: object) -> list[Reading]:
    fields = {"learning_rate": 0.3, "budget": BUDGET, "initial_loss": 2.0} | common
    return [Reading(step=step, loss=loss, **fields) for step, loss in pairs]


def gradients(*norms: float | None, first: int = 50, **common: object) -> list[Reading]:
    """Readings every 50 steps; the loss stays at 95 % of its start unless said."""
    fields = {"learning_rate": 0.3, "budget": BUDGET, "initial_loss": 2.0, "loss": 1.9} | common
    return [
        Reading(step=first + 50 * i, gradient_norm=norm, **fields) for i, norm in enumerate(norms)
    ]


def sharpnesses(*rhos: float | None, first: int = 100, **common: object) -> list[Reading]:
    """Readings every 50 steps with these normalised sharpnesses; the loss stays unless said."""
    fields = {"learning_rate": 0.5, "budget": BUDGET, "threshold": 2.0} | common
    fields = {"initial_loss": 2.0, "loss": 1.5} | fields
    return [
        Reading(step=first + 50 * i, sharpness=None if rho is None else 4.0 * rho, **fields)
        for i, rho in enumerate(rhos)
    ]


HOT = losses((40, 1.5), (100, 2.5), (150, 3.0))
DEAD = gradients(1.0, 1.1, 0.9, 0.5, 0.001, 0.002)
COLD = sharpnesses(0.05, 0.04, 0.05, 0.05)


def with_all(readings: list[Reading], **changes: object) -> list[Reading]:
    return [replace(r, **changes) for r in readings]


# ------------------------------------------------------------------ diverged


@pytest.mark.parametrize("budget", [None, BUDGET])
def test_not_finite_stops_at_once(budget: int | None) -> None:
    readings = [Reading(step=7, learning_rate=0.3125, budget=budget, finite=False)]
    verdict = diverged(readings)
    assert verdict is not None
    assert (verdict.stop, verdict.regime, verdict.side, verdict.step) == (
        True,
        "diverged",
        "hot",
        7,
    )
    assert "step 7" in verdict.reason
    assert "0.312" in verdict.reason


def test_noise_of_single_batches_is_not_a_rise() -> None:
    risen = losses((100, 2.2), (150, 2.3))
    assert diverged(with_all(risen, initial_spread=0.1)) is not None
    assert diverged(with_all(risen, initial_spread=0.25)) is None
    assert diverged(with_all(risen, initial_spread=math.nan)) is not None


def test_loss_above_its_start_twice_stops() -> None:
    verdict = diverged(HOT)
    assert verdict is not None
    assert (verdict.stop, verdict.regime, verdict.side) == (True, "diverged", "hot")
    assert verdict.step == 150
    for number in ("loss 3 ", "step 150", "15%", "start 2,"):
        assert number in verdict.reason
    assert verdict.trend["loss"] == 3.0
    assert verdict.trend["initial_loss"] == 2.0
    assert verdict.trend["log_loss_per_step"] == pytest.approx(math.log(3.0 / 2.5) / 50)


def test_one_catapult_is_forgiven() -> None:
    calm, catapult = [(i, 1.5) for i in (100, 150, 200)], (250, 50.0)
    assert diverged(losses(*calm, catapult)) is None
    assert diverged(losses(*calm, catapult, (300, 1.8))) is None
    assert diverged(losses(*calm, catapult, (300, 1.8), (350, 9.0))) is None
    assert diverged(losses(*calm, catapult, (300, 2.1))) is not None


def test_never_before_its_grace() -> None:
    assert diverged(losses((30, 9.0), (60, 9.0), (99, 9.0))) is None
    assert diverged(losses((60, 9.0), (99, 9.0), (100, 9.0))) is None  # one reading since
    assert diverged(losses((99, 9.0), (100, 9.0), (101, 9.0))) is not None


@pytest.mark.parametrize("start", [None, 0.0, -1.0, -2.5])
def test_a_start_that_says_nothing(start: float | None) -> None:
    assert diverged(with_all(HOT, initial_loss=start)) is None


def test_negative_losses_never_stop() -> None:
    assert diverged(losses((100, -5.0), (150, -1.0), initial_loss=-9.0)) is None
    assert diverged(losses((100, -5.0), (150, -1.0))) is None


def test_exactly_the_start_is_not_above() -> None:
    assert diverged(losses((100, 2.0), (150, 9.0))) is None


# ---------------------------------------------------------------------- dead


def test_collapsed_gradient_at_high_loss_stops() -> None:
    verdict = dead(DEAD)
    assert verdict is not None
    assert (verdict.stop, verdict.regime, verdict.side) == (True, "dead", "hot")
    assert verdict.step == 300
    for number in ("norm 0.002", "is 0.002 of its start", "loss 1.9", "95%", "step 300"):
        assert number in verdict.reason
    assert verdict.trend["gradient_norm"] == 0.002
    assert verdict.trend["initial_gradient_norm"] == 1.0
    assert verdict.trend["loss"] == 1.9
    assert verdict.trend["log_gradient_norm_per_step"] < -0.01


def test_a_vanished_gradient_is_dead_too() -> None:
    verdict = dead(gradients(1.0, 1.0, 1.0, 0.0, 0.0))
    assert verdict is not None
    assert math.isfinite(verdict.trend["log_gradient_norm_per_step"])


def test_one_small_gradient_is_forgiven() -> None:
    assert dead(gradients(1.0, 1.0, 1.0, 1.0, 1.0, 0.001)) is None
    assert dead(gradients(1.0, 1.0, 1.0, 0.001, 0.5, 0.001)) is None
    assert dead(gradients(1.0, 1.0, 1.0, 1.0, 0.001, 0.001)) is not None


def test_a_solved_problem_is_not_dead() -> None:
    assert dead(with_all(DEAD, loss=1.59)) is None  # 79.5 % of its start
    assert dead(with_all(DEAD, loss=1.61)) is not None
    late = [*DEAD[:-1], replace(DEAD[-1], loss=0.5)]
    assert dead(late) is None


def test_a_hundredth_of_the_start_is_the_limit() -> None:
    assert dead(gradients(1.0, 1.0, 1.0, 0.0101, 0.0101)) is None
    assert dead(gradients(1.0, 1.0, 1.0, 0.0099, 0.0099)) is not None


def test_dead_needs_five_readings_and_its_grace() -> None:
    assert dead(gradients(1.0, 1.0, 0.001, 0.001)) is None
    early = [replace(r, step=10 + 10 * i) for i, r in enumerate(DEAD)]  # up to 6 %
    assert dead(early) is None
    assert dead([replace(r, step=r.step + 50) for r in early]) is not None


@pytest.mark.parametrize("start", [None, 0.0, -2.0])
def test_dead_without_a_start(start: float | None) -> None:
    assert dead(with_all(DEAD, initial_loss=start)) is None


def test_dead_from_nothing() -> None:
    assert dead(gradients(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)) is None


def test_negative_loss_is_not_high() -> None:
    assert dead(with_all(DEAD, loss=-1.0)) is None
    assert dead(with_all(DEAD, loss=-1.0, initial_loss=-2.0)) is None


# ---------------------------------------------------------------- below edge


def test_far_below_the_edge_stops() -> None:
    verdict = below_edge(COLD)
    assert verdict is not None
    assert (verdict.stop, verdict.regime, verdict.side) == (True, "below the edge", "cold")
    assert verdict.step == 250
    for number in (
        "rho 0.05",
        "4 readings",
        "step 250",
        "+0.0 octaves",
        "limit 0.1",
        "75% of the loss",
    ):
        assert number in verdict.reason
    assert verdict.trend["rho"] == pytest.approx(0.05)
    assert verdict.trend["readings"] == 4.0
    assert verdict.trend["log2_rho_per_budget"] == pytest.approx(0.0, abs=1e-9)


def test_the_trend_is_told() -> None:
    # Half an octave down every 50 steps of 1000: 10 octaves per budget, 1.0 per tenth.
    verdict = below_edge(sharpnesses(*(0.08 * 2 ** (-i / 2) for i in range(4))))
    assert verdict is not None
    assert verdict.trend["log2_rho_per_budget"] == pytest.approx(-10.0)
    assert "-1.0 octaves" in verdict.reason


def test_the_limit_is_a_tenth() -> None:
    assert below_edge(sharpnesses(0.101, 0.101, 0.101, 0.101)) is None
    assert below_edge(sharpnesses(0.099, 0.099, 0.099, 0.099)) is not None


def test_on_the_way_to_the_edge_is_left_alone() -> None:
    # The median is 0.05 at a quarter of the budget; half of it is a further quarter away, so an
    # octave per quarter reaches 0.1: 4 octaves per budget.
    def rising(octaves: float) -> list[Reading]:
        return sharpnesses(*(0.05 * 2 ** (octaves * (x - 0.175)) for x in (0.1, 0.15, 0.2, 0.25)))

    assert below_edge(rising(4.2)) is None
    assert below_edge(rising(3.8)) is not None
    assert below_edge(rising(-4.2)) is not None  # falling: the trend is not counted against it


def test_one_wild_reading_is_forgiven_either_way() -> None:
    assert below_edge(sharpnesses(0.05, 0.05, 5.0, 0.05, 0.05)) is not None
    assert below_edge(sharpnesses(0.5, 0.5, 0.001, 0.5, 0.001)) is None


def test_nothing_is_too_slow_in_its_first_updates() -> None:
    def short(budget: int) -> list[Reading]:
        steps = [budget * share // 100 for share in (10, 15, 20, 25)]
        return [replace(r, step=s, budget=budget) for r, s in zip(COLD, steps, strict=True)]

    assert below_edge(short(60)) is None
    assert below_edge(short(396)) is None
    assert below_edge(short(400)) is not None


def with_rates(*rates: float) -> list[Reading]:
    readings = sharpnesses(*(0.05 for _ in rates))
    return [replace(r, learning_rate=x, peak=0.5) for r, x in zip(readings, rates, strict=True)]


def test_a_rising_rate_is_not_judged_before_it_is_at_its_top() -> None:
    assert below_edge(with_rates(0.5, 0.5, 0.5, 0.5, 0.5)) is not None
    assert below_edge(with_rates(0.5, 0.4, 0.3, 0.2, 0.1)) is not None  # a decay is judged
    assert below_edge(with_rates(0.1, 0.2, 0.3, 0.4, 0.5)) is None
    assert below_edge(with_rates(0.1, 0.3, 0.5, 0.4, 0.3)) is not None  # three from the top on
    assert below_edge(with_rates(0.1, 0.2, 0.3, 0.5, 0.4)) is None
    # A second, higher stage starts anew; a second, lower cycle does not.
    assert below_edge(with_rates(0.3, 0.3, 0.3, 0.3, 0.5)) is None
    assert below_edge(with_rates(0.5, 0.1, 0.3, 0.4, 0.1)) is not None
    # Rounding is no rise, and the last step of a warm-up is at the top.
    assert below_edge(with_rates(*(0.5 - 1e-9 * (5 - i) for i in range(5)))) is not None
    assert below_edge(with_rates(0.2, 0.499, 0.5, 0.5, 0.4)) is not None
    # A staircase that has its highest step before it is not judged on a lower one.
    assert below_edge(with_rates(0.1, 0.1, 0.1, 0.1, 0.1)) is None
    # The first reading of a decay comes after its peak.
    assert below_edge(with_rates(0.46, 0.44, 0.41, 0.38, 0.35)) is not None


def test_below_never_outside_its_window() -> None:
    everywhere = sharpnesses(*[0.05] * 20, first=50)  # 5 % to 100 %
    stops = [i for i in range(1, 21) if below_edge(everywhere[:i]) is not None]
    assert [everywhere[i - 1].step for i in stops] == [250, 300, 350, 400, 450, 500]


def test_the_first_tenth_does_not_count() -> None:
    cold_start = sharpnesses(*[1e-4] * 7, 0.5, 0.5, 0.5, first=30)
    early = [replace(r, step=10 * (i + 1)) for i, r in enumerate(cold_start[:7])]
    late = [replace(r, step=s) for r, s in zip(cold_start[7:], (150, 200, 250), strict=True)]
    assert below_edge(early + late) is None


def test_a_solved_problem_is_not_too_slow() -> None:
    assert below_edge(with_all(COLD, loss=0.98)) is None  # 49 % of its start
    assert below_edge(with_all(COLD, loss=1.0)) is not None
    assert below_edge([*COLD[:-1], replace(COLD[-1], loss=0.5)]) is None


@pytest.mark.parametrize("start", [None, 0.0, -2.0])
def test_below_without_a_start(start: float | None) -> None:
    assert below_edge(with_all(COLD, initial_loss=start)) is None


def test_negative_loss_is_not_slow() -> None:
    assert below_edge(with_all(COLD, loss=-1.0)) is None
    assert below_edge(with_all(COLD, loss=-1.0, initial_loss=-2.0)) is None


def test_three_readings_are_needed() -> None:
    assert below_edge(sharpnesses(0.05, 0.05, first=200)) is None
    assert below_edge(sharpnesses(0.05, 0.05, 0.05, first=150)) is not None


def test_negative_curvature_says_nothing() -> None:
    assert below_edge(sharpnesses(-0.05, -0.05, -0.05, -0.05)) is None
    assert below_edge(sharpnesses(-3.0, 0.05, -3.0, -3.0)) is None
    assert below_edge(sharpnesses(0.0, 0.0, 0.0, 0.0)) is None


def test_a_reading_without_sharpness_does_not_stop() -> None:
    assert below_edge([*COLD, *sharpnesses(None, first=300)]) is None
    assert below_edge([*COLD, *sharpnesses(None, 0.05, first=300)]) is not None


def test_a_decay_does_not_look_cold() -> None:
    decayed = with_all(COLD, peak=5.0)  # ten times the rate that the readings saw
    assert below_edge(decayed) is None
    assert below_edge(with_all(COLD, peak=0.5)) is not None


# ----------------------------------------------------------------- all three


@pytest.mark.parametrize(
    ("rule", "readings", "signals"),
    [
        (diverged, HOT, ["loss", "initial_loss", "budget"]),
        (dead, DEAD, ["loss", "initial_loss", "gradient_norm", "budget"]),
        (below_edge, COLD, ["sharpness", "threshold", "loss", "initial_loss", "budget"]),
    ],
)
def test_never_on_missing_signals(rule: Rule, readings: list[Reading], signals: list[str]) -> None:
    assert rule(readings) is not None
    assert rule([]) is None
    for name in signals:
        assert rule(with_all(readings, **{name: None})) is None, name
        assert rule([*readings[:-1], replace(readings[-1], **{name: None})]) is None, name


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (diverged, "loss"),
        (diverged, "initial_loss"),
        (dead, "gradient_norm"),
        (dead, "loss"),
        (dead, "initial_loss"),
        (below_edge, "sharpness"),
        (below_edge, "loss"),
        (below_edge, "initial_loss"),
    ],
)
def test_what_is_no_number_is_not_measured(rule: Rule, name: str, value: float) -> None:
    readings = {diverged: HOT, dead: DEAD, below_edge: COLD}[rule]
    assert rule(with_all(readings, **{name: value})) is None
    mixed = [replace(r, **{name: value}) if i < 3 else r for i, r in enumerate(readings)]
    stored = [Reading.from_dict(r.to_dict()) for r in mixed]
    assert rule(mixed) == rule(stored)  # a live run and its stored readings are judged alike


@pytest.mark.parametrize("readings", [HOT, DEAD, COLD])
def test_each_built_run_has_one_fault(readings: list[Reading]) -> None:
    assert sum(rule(readings) is not None for rule in (diverged, dead, below_edge)) == 1


numbers = st.none() | st.floats(allow_nan=True, width=32)


@st.composite
def wild(draw: st.DrawFn) -> list[Reading]:
    budget = draw(st.none() | st.just(100))
    return [
        Reading(
            step=step,
            learning_rate=draw(st.floats(0.0, 10.0)),
            budget=budget,
            finite=draw(st.booleans()),
            loss=draw(numbers),
            initial_loss=draw(numbers),
            gradient_norm=draw(numbers),
            sharpness=draw(numbers),
            threshold=draw(st.none() | st.just(2.0)),
        )
        for step in sorted(draw(st.lists(st.integers(1, 100), max_size=10)))
    ]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(wild())
def test_any_readings_give_a_storable_verdict_or_none(readings: list[Reading]) -> None:
    for rule in (diverged, dead, below_edge):
        verdict = rule(readings)
        if verdict is not None:
            assert verdict.stop
            assert verdict.reason
            assert verdict.step in {r.step for r in readings}
            assert Verdict.from_dict(json.loads(json.dumps(verdict.to_dict()))) == verdict
            json.dumps(verdict.to_dict(), allow_nan=False)


def test_a_tuners_rate_is_not_judged_below_the_edge() -> None:
    assert below_edge(COLD) is not None
    assert below_edge(with_all(COLD, tuned=True)) is None
