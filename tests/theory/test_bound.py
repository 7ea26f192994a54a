"""The convex bound: the formula word by word, the published values, and the laws it obeys."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Averaging, Schedule, families
from lrsearch.theory import Bound, convex_bound, optimal_peak, rank_families

RNG = np.random.default_rng(0)


def literal(eta: np.ndarray, G: np.ndarray, D: float) -> float:
    """Theorem 10 of 2310.07831 as it is printed, with k and t from 1, O(T^2)."""
    T = len(eta)
    first = (D**2 + sum(eta[t - 1] ** 2 * G[t - 1] ** 2 for t in range(1, T + 1))) / 2 / sum(eta)
    last = 0.0
    for k in range(1, T):
        rest = sum(eta[t - 1] for t in range(k + 1, T + 1))
        noise = sum(eta[t - 1] ** 2 * G[t - 1] ** 2 for t in range(k, T + 1))
        last += eta[k - 1] / rest * noise / sum(eta[t - 1] for t in range(k, T + 1))
    return float(first + last / 2)


def wsd(budget: int, cooldown_shape: str, cooldown: float = 0.2) -> Schedule:
    parameters = {"cooldown": cooldown, "cooldown_shape": cooldown_shape}
    return Schedule("wsd", 1.0, budget, parameters)


def named(name: str, budget: int) -> Schedule | np.ndarray:
    if name == "rex":
        p = np.arange(budget) / budget
        return np.asarray((1 - p) / (1 / 2 + (1 - p) / 2))
    family, _, detail = name.partition(" ")
    if family == "wsd":
        return wsd(budget, detail)
    return Schedule(family, 1.0, budget, {"phi": float(detail)} if detail else {})


# The formula.


@pytest.mark.parametrize("steps", [1, 2, 3, 37])
def test_agrees_with_the_formula_word_by_word(steps: int) -> None:
    rates, norms = RNG.uniform(0.01, 2.0, steps), RNG.uniform(0.1, 3.0, steps)
    assert convex_bound(rates, norms, 1.7).value == pytest.approx(literal(rates, norms, 1.7))
    assert convex_bound(rates, 2.0, 0.3).value == pytest.approx(
        literal(rates, np.full(steps, 2.0), 0.3)
    )


def test_terms_are_those_of_the_theorem() -> None:
    bound = convex_bound([0.5, 0.25], [2.0, 4.0], 3.0)
    assert bound.distance_term == pytest.approx(9 / 1.5)
    assert bound.gradient_term == pytest.approx((1 + 1) / 1.5)
    assert bound.last_iterate_term == pytest.approx(0.5 * (0.5 / 0.25) * (2 / 0.75))
    assert bound.value == pytest.approx(6 + 4 / 3 + 8 / 3)


@pytest.mark.parametrize("steps", [1, 10, 1000])
def test_constant_in_closed_form(steps: int) -> None:
    gamma, harmonic = 0.3, math.fsum(1 / k for k in range(1, steps))
    bound = convex_bound(Schedule("constant", gamma, steps))
    assert bound.distance_term == pytest.approx(1 / (2 * steps * gamma))
    assert bound.gradient_term == pytest.approx(gamma / 2)
    assert bound.last_iterate_term == pytest.approx(gamma / 2 * harmonic)


def test_one_step() -> None:
    bound = convex_bound([1.0])
    assert bound == Bound(0.5, 0.5, 0.0)
    assert bound.optimal_scale == pytest.approx(1.0) == bound.optimal_value


@pytest.mark.parametrize(
    ("name", "budget", "value", "scale"),
    [
        ("constant", 400, 2.7509, 0.3635),
        ("cosine", 400, 2.0677, 0.9648),
        ("linear", 400, 2.0126, 0.991),
        ("wsd linear", 400, 2.1865, 0.5075),
        ("wsd 1-sqrt", 400, 2.1458, 0.5369),
        ("rex", 400, 2.0337, None),
        ("uba 0.25", 400, 2.073, None),
        ("uba 0.5", 400, 2.051, None),
        ("uba 1", 400, 2.047, None),
        ("uba 2", 400, 2.068, None),
        ("uba 5", 400, 2.141, None),
        ("uba 10", 400, 2.241, None),
        ("constant", 6400, 3.2158, None),
        ("cosine", 6400, 2.0606, None),
        ("linear", 6400, 2.0012, None),
        ("wsd linear", 6400, 2.1623, None),
        ("wsd 1-sqrt", 6400, 2.1278, None),
    ],
)
def test_published_values(name: str, budget: int, value: float, scale: float | None) -> None:
    # Times sqrt(T), to all digits given (2501.18965 and the authors' code).
    bound = convex_bound(named(name, budget))
    assert bound.optimal_value * math.sqrt(budget) == pytest.approx(
        value, abs=6e-5 if name[:3] != "uba" else 6e-4
    )
    if scale is not None:
        assert bound.optimal_scale * math.sqrt(budget) == pytest.approx(scale, abs=4e-4)


def test_wsd_wants_half_the_peak_of_cosine() -> None:
    ratio = optimal_peak(wsd(400, "linear")) / optimal_peak(Schedule("cosine", 1.0, 400))
    assert ratio == pytest.approx(0.526, abs=5e-4)


def test_the_papers_extra_zero_at_the_end_changes_nothing() -> None:
    rates, norms = RNG.uniform(0.1, 1.0, 50), RNG.uniform(0.1, 1.0, 50)
    padded = convex_bound(np.append(rates, [0.0, 0.0]), np.append(norms, [9.0, 9.0]))
    assert padded == convex_bound(rates, norms)


def test_zeros_before_the_end_are_steps_that_do_not_move() -> None:
    assert convex_bound([0.0, 1.0, 0.0, 0.5]).value == pytest.approx(convex_bound([1, 0.5]).value)


def test_no_cancellation_where_little_is_left() -> None:
    rates = np.array([1.0, 1.0, 1e-14, 1e-14])  # sums from the front would keep one digit of these
    assert convex_bound(rates).value == pytest.approx(literal(rates, np.ones(4), 1.0), rel=1e-12)


def test_a_long_run_in_closed_form() -> None:
    T = 1_000_000
    bound = convex_bound(Schedule("linear", 1.0, T))
    assert bound.optimal_value * math.sqrt(T) == pytest.approx(2.0, abs=2e-5)
    last = math.fsum(1 / (m - 1) * (2 * m + 1) / 3 / T for m in range(2, T + 1))
    assert bound.last_iterate_term == pytest.approx(last, rel=1e-10)


# The factor on the rates.


@pytest.mark.parametrize("name", ["constant", "cosine", "wsd 1-sqrt", "uba 5"])
def test_optimal_scale_is_the_minimum_of_a_convex_function(name: str) -> None:
    bound = convex_bound(named(name, 100), np.linspace(3.0, 1.0, 100), 0.5)
    found = minimize_scalar(
        lambda x: bound.at(math.exp(x)), bounds=(-20, 10), method="bounded", options={"xatol": 1e-9}
    )
    assert bound.optimal_scale == pytest.approx(math.exp(found.x), rel=1e-6)
    assert bound.optimal_value == pytest.approx(found.fun) == bound.at(bound.optimal_scale)
    scales = np.linspace(0.1, 3.0, 50) * bound.optimal_scale
    assert (np.diff([bound.at(scale) for scale in scales], 2) > 0).all()


def test_at_is_the_bound_of_scaled_rates() -> None:
    rates = RNG.uniform(0.1, 1.0, 30)
    assert convex_bound(rates).at(2.5) == pytest.approx(convex_bound(2.5 * rates).value)
    assert convex_bound(2.5 * rates).optimal_scale * 2.5 == pytest.approx(
        convex_bound(rates).optimal_scale
    )


def test_units() -> None:
    shape = named("cosine", 200)
    one, other = convex_bound(shape), convex_bound(shape, 4.0, 3.0)
    assert other.optimal_scale == pytest.approx(one.optimal_scale * 3 / 4)
    assert other.optimal_value == pytest.approx(one.optimal_value * 3 * 4)


def test_optimal_peak_falls_as_the_root_of_the_budget() -> None:
    peaks = [optimal_peak(Schedule("linear", 1.0, T)) * math.sqrt(T) for T in (100, 10_000)]
    assert peaks[0] == pytest.approx(peaks[1], rel=0.04)
    assert peaks[1] == pytest.approx(1.0, abs=1e-3)


def test_optimal_peak_does_not_depend_on_the_peak() -> None:
    schedule = Schedule("uba", 0.01, 100, warmup_steps=10, end_value=0.001)
    stronger = Schedule("uba", 10.0, 100, warmup_steps=10, end_value=1.0)
    assert optimal_peak(schedule, 2.0, 3.0) == pytest.approx(optimal_peak(stronger, 2.0, 3.0))
    assert convex_bound(
        Schedule("cosine", optimal_peak(Schedule("cosine", 1.0, 64)), 64)
    ).optimal_scale == pytest.approx(1.0)


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_extreme_units_lose_no_digits(size: float) -> None:
    bound = convex_bound(np.array([1.0, 0.5]) * size, 1 / size, 1.0)
    assert bound.optimal_scale * size == pytest.approx(convex_bound([1, 0.5]).optimal_scale * size)


# Ranking.


def test_ranking_of_the_paper() -> None:
    wanted = [
        "constant",
        "cosine",
        "linear",
        ("wsd", {"cooldown": 0.2, "cooldown_shape": "linear"}),
        ("wsd", {"cooldown": 0.2, "cooldown_shape": "1-sqrt"}),
    ]
    ranked = rank_families(400, wanted)
    assert [record.family for record in ranked] == ["linear", "cosine", "wsd", "wsd", "constant"]
    assert [record.parameters.get("cooldown_shape") for record in ranked[2:4]] == [
        "1-sqrt",
        "linear",
    ]
    assert ranked[0].relative_peak == 1.0
    assert ranked[1].peak == optimal_peak(Schedule("cosine", 1.0, 400))
    assert ranked[1].relative_peak == pytest.approx(0.9648 / 0.9913, abs=1e-4)
    assert ranked[4].bound * 20 == pytest.approx(2.7509, abs=1e-4)


def test_ranking_knows_every_family_that_needs_nothing() -> None:
    ranked = rank_families(1000)
    assert sorted(record.family for record in ranked) == sorted(families())
    assert [record.bound for record in ranked] == sorted(record.bound for record in ranked)
    assert ranked[0].family == "linear"


def test_averaged_weights_have_the_bound_of_the_decay_that_they_act_like() -> None:
    swa = Schedule("swa", 0.1, 200, {"start": 0.75})
    decay = Schedule("wsd", 0.1, 200, {"cooldown": 0.25, "cooldown_shape": "linear"})
    assert convex_bound(swa).value == pytest.approx(convex_bound(decay).value, rel=1e-9)
    assert optimal_peak(swa) == pytest.approx(optimal_peak(decay), rel=1e-9)
    cosine = Schedule("cosine", 0.1, 200)
    averaged = replace(cosine, averaging=Averaging(0.9))
    assert convex_bound(averaged).value != convex_bound(cosine).value
    assert convex_bound(averaged).value == convex_bound(averaged.effective_values()).value


def test_linear_decay_is_the_best_of_all() -> None:
    # The worst-case optimum; checked against random shapes around it.
    best = convex_bound(named("linear", 60)).optimal_value
    for _ in range(50):
        other = np.asarray(Schedule("linear", 1.0, 60).values()) * RNG.uniform(0.7, 1.3, 60)
        assert convex_bound(other).optimal_value > best


def test_ranking_with_warm_up_and_norms() -> None:
    ranked = rank_families(100, ["linear"], 20, np.linspace(2, 1, 100), 5.0)
    schedule = Schedule("linear", 1.0, 100, warmup_steps=20)
    assert ranked[0].peak == optimal_peak(schedule, np.linspace(2, 1, 100), 5.0)
    assert ranked[0].relative_peak == 1.0


def test_ranking_leaves_out_what_does_not_fit_unless_asked() -> None:
    found = {record.family for record in rank_families(10, warmup_steps=9)}
    assert {"constant", "linear", "cosine", "uba"} <= found
    assert "wsd" not in found  # its cooldown takes two steps
    with pytest.raises(InvalidScheduleError, match="wsd"):
        rank_families(10, ["wsd"], 9)


# Nonsense.


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([],), r"shape \(T,\), got shape \(0,\)"),
        (([[1.0]],), r"shape \(T,\), got shape \(1, 1\)"),
        ((1.0,), r"shape \(T,\), got shape \(\)"),
        ((["fast"],), "schedule must be numbers"),
        (([1.0, -0.5],), "schedule must be finite and >= 0, got -0.5"),
        (([1.0, math.nan],), "schedule must be finite and >= 0, got nan"),
        (([0.0, 0.0],), "all learning rates are 0"),
        (([1.0, 1.0], [1.0]), r"one for each of the 2 learning rates, got shape \(1,\)"),
        (([1.0, 1.0], -1.0), "gradient_norms must be finite and >= 0, got -1.0"),
        (([1.0, 1.0], [1.0, math.inf]), "gradient_norms must be finite and >= 0, got inf"),
        (([1.0, 1.0], 0.0), "gradient_norms are 0 throughout"),
        (([1.0, 1.0], [0.0, 0.0]), "gradient_norms are 0 throughout"),
        (([1.0, 1.0], 1.0, 0.0), "distance must be one number above 0, got 0.0"),
        (([1.0, 1.0], 1.0, math.nan), "distance must be finite and >= 0, got nan"),
        (([1.0, 5e-324],), "fall by too much before the end"),
    ],
)
def test_nonsense_is_refused_by_name(arguments: tuple[object, ...], said: str) -> None:
    with pytest.raises(InvalidScheduleError, match=said):
        convex_bound(*arguments)  # type: ignore[arg-type]


def test_terms_beyond_a_float_are_refused_without_a_warning() -> None:
    with pytest.raises(InvalidScheduleError, match="beyond what a float"):
        convex_bound([1.0, 1e-200], [1e-200, 1.0])
    with pytest.raises(InvalidScheduleError, match="beyond what a float"):
        convex_bound([1e3, 5e-324])


def test_the_optimal_scale_survives_tiny_rates() -> None:
    tiny = convex_bound([1e-160, 0.5e-160]).optimal_scale
    assert tiny * 1e-160 == pytest.approx(convex_bound([1, 0.5]).optimal_scale)


def test_one_family_may_be_named_alone() -> None:
    assert rank_families(100, "uba") == rank_families(100, ["uba"])
