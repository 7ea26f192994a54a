"""What a run that goes on is said to be doing, and that it is never stopped for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.stability import Reading, phase, phases

BUDGET = 1000
Signal = Callable[[float], float | None]


def run(
    *,
    rate: Signal = lambda t: 0.1,
    rho: Signal = lambda t: 0.8,
    loss: Signal = lambda t: 2.0 * math.exp(-3 * t),
    gradient: Signal = lambda t: 1.0,
    until: float = 0.5,
    every: int = 20,
    **common: object,
) -> list[Reading]:
    """Readings of a run whose signals are functions of the share of the budget done."""
    fields = {"budget": BUDGET, "threshold": 2.0, "initial_loss": 2.0, "peak": 0.1} | common
    found = []
    for step in range(every, int(until * BUDGET) + 1, every):
        t = step / BUDGET
        eta, level = rate(t) or 0.0, rho(t)
        sharpness = None if level is None or not eta else 2.0 * level / eta
        found.append(
            Reading(
                step=step,
                learning_rate=eta,
                sharpness=sharpness,
                loss=loss(t),
                gradient_norm=gradient(t),
                **fields,
            )
        )
    return found


def spiral(**changes: object) -> list[Reading]:
    """A greedy tuner: the sharpness doubles every tenth of the budget, and the rate halves."""
    signals = {"rate": lambda t: 0.1 * 2 ** (-10 * t), "rho": lambda t: 0.5, "tuned": True}
    return run(**(signals | changes))


def flat(t: float) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("readings", "regime", "words"),
    [
        (run(rate=lambda t: 0.2 * t, until=0.3), "warming", "learning rate 0.06 of 0.1"),
        (run(rate=lambda t: 0.1 * (1 - t), until=0.9), "annealing", "fell by"),
        (run(rho=lambda t: 0.8), "at the edge", "rho 0.8"),
        (run(rho=lambda t: 2.6), "above the edge", "rho 2.6"),
        (run(rho=lambda t: 0.05), "below the edge", "rho 0.05"),
        (run(rho=lambda t: 0.01 * 2 ** (8 * t)), "progressive sharpening", "octaves in"),
        (run(loss=flat), "plateau", "+0.0%"),
        (run(rho=lambda t: 3.0, loss=flat, annealed_loss=1.9), "chaotic", "95% of the loss"),
        (spiral(), "short-sighted spiral", "sharpness rose by 1.4"),
    ],
)
def test_each_regime_is_told_in_one_sentence(readings, regime, words) -> None:
    said = phase(readings)
    assert (said.regime, said.stop, said.step) == (regime, False, readings[-1].step)
    assert words in said.reason
    assert f"(step {said.step})" in said.reason


def test_nothing_is_said_of_too_little() -> None:
    for readings in ([], run()[:2], [replace(r, finite=False) for r in run()]):
        assert (phase(readings).regime, phase(readings).reason) == ("training", "")
    blind = run(rho=lambda t: None, loss=lambda t: None, gradient=lambda t: None)
    assert phase(blind).regime == "training"


def test_a_planned_fall_is_no_spiral() -> None:
    """In up to half of the good runs of recorded tables the sharpness follows a planned fall."""
    assert phase(spiral(tuned=False)).regime == "annealing"


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient": lambda t: 2 ** (5 * t)},  # gradients grow: it still moves somewhere
        {"rho": lambda t: 1.3},  # at the edge: the sharpness is held back
        {"rho": lambda t: 1.0},  # as a tuner of sigma 2 has it by construction
        {"rho": lambda t: 0.5 * 2 ** (-9 * t)},  # the sharpness does not rise
        {"rate": lambda t: 0.1},  # the rate does not fall
    ],
)
def test_what_lacks_one_sign_is_no_spiral(changes) -> None:
    assert phase(spiral(**changes)).regime != "short-sighted spiral"


def test_eigenvalues_tell_better_than_a_tuners_own_quotient() -> None:
    def with_top(readings: list[Reading], rho: float) -> list[Reading]:
        return [
            replace(r, top_sharpness=2.0 * rho / r.learning_rate, top_threshold=2.0)
            for r in readings
        ]

    assert phase(with_top(spiral(), 0.6)).regime == "short-sighted spiral"
    assert phase(with_top(spiral(), 1.0)).regime != "short-sighted spiral"
    held = spiral(rho=lambda t: 1.0)
    assert phase(with_top(held, 0.6)).trend["rho"] == pytest.approx(0.6)


def test_a_spiral_is_seen_within_15_percent_of_the_budget_after_its_onset() -> None:
    onset = 0.4
    found = spiral(
        rate=lambda t: 0.1 * 2 ** (-10 * max(t - onset, 0)), until=1.0, loss=lambda t: 2 - t
    )
    seen = next(
        found[n - 1].step
        for n in range(1, len(found) + 1)
        if phase(found[:n]).regime == "short-sighted spiral"
    )
    assert onset * BUDGET < seen <= (onset + 0.15) * BUDGET


def test_stale_sharpness_is_extrapolated_in_the_log() -> None:
    held = run(rho=lambda t: 0.1 * 2 ** (5 * t) if t <= 0.45 else None)
    truth = 0.1 * 2 ** (5 * 0.5)
    said = phase(held)
    assert said.trend["rho"] == pytest.approx(truth, rel=1e-6)
    assert "extrapolated" in said.reason


def test_phases_are_a_short_story_and_one_odd_reading_begins_none() -> None:
    def rho(t: float) -> float:
        return 5.0 if t == 0.2 else 0.1 if t < 0.3 else 0.8

    odd = run(rho=rho, until=0.6)
    odd[9] = replace(odd[9], sharpness=odd[9].sharpness * 100)
    regimes = [said.regime for said in phases(odd)]
    assert regimes[0] == "below the edge"
    assert regimes[-1] == "at the edge"
    assert "above the edge" not in regimes
    assert len(regimes) <= 3


noisy = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(noisy, noisy, noisy, noisy, st.floats(0, 1e3), st.booleans()), max_size=12)
)
def test_no_reading_makes_it_fail_or_stop(rows) -> None:
    readings = [
        Reading(
            step=10 * i,
            budget=BUDGET,
            learning_rate=rate,
            loss=loss,
            gradient_norm=gradient,
            sharpness=sharpness,
            annealed_loss=annealed,
            threshold=2.0,
            initial_loss=2.0,
            tuned=tuned,
        )
        for i, (loss, gradient, sharpness, annealed, rate, tuned) in enumerate(rows, 1)
    ]
    assert not phase(readings).stop
    assert all(not said.stop for said in phases(readings))


def test_rates_of_next_to_nothing_are_no_error() -> None:
    for rates in ((2.0, 5e-324), (5e-324, 1e308)):
        readings = [
            Reading(step=10 * i, budget=BUDGET, learning_rate=rate)
            for i, rate in enumerate((rates[0], 0.0, rates[1]), 1)
        ]
        assert phase(readings).regime == ("annealing" if rates[0] > rates[1] else "warming")
