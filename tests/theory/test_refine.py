"""Refinement from gradient norms: the closed form, the filter, and where the theory ends."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule
from lrsearch.theory import convex_bound, optimal_peak, refine, refined_shape

RNG = np.random.default_rng(0)
LINEAR = Schedule("linear", 0.3, 1000)


def literal(norms: np.ndarray, exponent: float) -> np.ndarray:
    """The closed form of 2310.07831 as it is printed, with the last norm once more, O(n^2)."""
    w = np.append(norms, norms[-1]) ** exponent
    eta = np.array([w[t] * sum(w[p] for p in range(t + 1, len(w))) for t in range(len(w))])
    return np.asarray(eta / eta.max())


def filtered(norms: np.ndarray, smoothing: float) -> np.ndarray:
    """The median filter, window by window: reflected at the end, the first repeated before."""
    n = len(norms)
    half = int(smoothing * n) // 2

    def at(i: int) -> float:
        return float(norms[0] if i < 0 else norms[2 * (n - 1) - i] if i >= n else norms[i])

    return np.array([np.median([at(j) for j in range(i - half, i + half + 1)]) for i in range(n)])


# The closed form.


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("norm", [1.0, 1e-200, 1e200])
@pytest.mark.parametrize("n", [20, 777])
def test_constant_norms_give_linear_decay(optimizer: str, norm: float, n: int) -> None:
    shape = refined_shape(np.full(n, norm), optimizer)
    np.testing.assert_allclose(shape, 1 - np.arange(n + 1) / n, rtol=0, atol=2e-16)


@pytest.mark.parametrize(("optimizer", "exponent"), [("sgd", -2.0), ("adam", -1.0)])
def test_agrees_with_the_formula_word_by_word(optimizer: str, exponent: float) -> None:
    norms = RNG.uniform(0.5, 2.0, 50)
    shape = refined_shape(norms, optimizer, smoothing=0.0)
    np.testing.assert_allclose(shape, literal(norms, exponent), rtol=1e-13)
    assert shape.shape == (51,)
    assert (shape.max(), shape[-1]) == (1.0, 0.0)


@pytest.mark.parametrize(("optimizer", "factor"), [("sgd", 4.0), ("adam", 2.0)])
def test_half_the_norm_in_one_half_of_the_run(optimizer: str, factor: float) -> None:
    # In the second half w is four times (Adam: twice) that of the first.
    n = 100
    shape = refined_shape(np.repeat([2.0, 1.0], n // 2), optimizer)
    weights = np.repeat([1.0, factor], [n // 2, n // 2 + 1])
    tail = np.append(np.cumsum(weights[:0:-1])[::-1], 0.0)
    np.testing.assert_allclose(shape, weights * tail / (weights * tail).max(), rtol=1e-14)
    assert shape[n // 2] / shape[n // 2 - 1] == pytest.approx(factor * 50 / 51)


def test_scale_of_the_norms_does_not_matter() -> None:
    norms = RNG.uniform(0.5, 2.0, 60)
    np.testing.assert_allclose(refined_shape(norms), refined_shape(1e-6 * norms), rtol=1e-13)


def test_falling_norms_give_a_warm_up_and_rising_ones_an_early_decay() -> None:
    x = np.linspace(0, 1, 400)
    falling, rising = refined_shape(1 + 9 * np.exp(-20 * x)), refined_shape(1 + 3 * x)
    peak = int(falling.argmax())
    assert 20 < peak < 200
    assert falling[0] < 0.1
    assert (np.diff(falling[peak:]) <= 0).all()
    assert rising.argmax() == 0
    assert (rising[1:-1] < 1 - np.arange(1, 400) / 400).all()


def test_the_bound_agrees_that_it_is_better() -> None:
    # Closer to the optimum of the bound with these norms than linear decay and cosine.
    norms = 1 + 4 * np.exp(-6 * np.linspace(0, 1, 500))
    refined = convex_bound(refined_shape(norms, smoothing=0.0)[:-1], norms).optimal_value
    for family in ("linear", "cosine"):
        assert refined < convex_bound(Schedule(family, 1.0, 500), norms).optimal_value


# The filter.


@pytest.mark.parametrize("n", [20, 21, 57, 100])
@pytest.mark.parametrize("smoothing", [0.0, 0.03, 0.1, 0.5, 0.99])
def test_filter_is_the_papers(n: int, smoothing: float) -> None:
    norms = RNG.uniform(0.5, 2.0, n)
    np.testing.assert_allclose(
        refined_shape(norms, smoothing=smoothing), literal(filtered(norms, smoothing), -2.0)
    )


def test_spikes_and_single_dips_leave_no_trace() -> None:
    norms = np.ones(400)
    norms[[50, 51, 200, 399]] = [1e6, 1e-6, 1e5, 1e-4]
    np.testing.assert_allclose(refined_shape(norms), 1 - np.arange(401) / 400, atol=2e-16)


# The schedule.


def test_refined_schedule() -> None:
    origin = Schedule("uba", 0.3, 1000, {"phi": 5.0}, 40, 0.01, {"trial": 7})
    schedule = refine(origin, np.ones(1000), "adam", peak="kept")
    assert (schedule.family, schedule.peak, schedule.budget) == ("piecewise", 0.3, 1000)
    assert (schedule.warmup_steps, schedule.end_value) == (0, 0.0)
    assert schedule.provenance["trial"] == 7
    source = schedule.provenance["refined from"]
    assert isinstance(source, dict)
    assert (source["family"], source["peak"], source["warmup_steps"]) == ("uba", 0.3, 40)
    assert source["parameters"]["phi"] == 5.0  # type: ignore[call-overload, index]
    assert schedule.provenance["refined by"] == {
        "optimizer": "adam",
        "smoothing": 0.1,
        "floor": 0.0,
        "peak": "kept",
    }
    json.dumps(schedule.to_dict())
    assert Schedule.from_dict(schedule.to_dict()) == schedule


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_peak_is_the_optimum_of_the_new_shape_where_the_old_one_was(optimizer: str) -> None:
    origin = Schedule("wsd", 0.3, 1000, {}, 40)
    norms = np.geomspace(4.0, 1.0, 250)
    refined = refine(origin, norms, optimizer)
    seen = np.repeat(norms, 4) ** (1.0 if optimizer == "sgd" else 0.5)
    old = convex_bound(origin, seen, 1.0)
    # D / G at which the finished run was tuned: there the new peak is at its optimum too.
    distance = origin.peak / optimal_peak(origin, seen)
    # (Up to what the median filter does at the ends.)
    scale = convex_bound(refined, seen, distance).optimal_scale
    assert scale == pytest.approx(1.0, abs=2e-3)
    assert convex_bound(refined, seen, distance).value < distance * old.optimal_value
    assert refine(origin, norms, optimizer, peak="kept").peak == 0.3 < refined.peak


def test_unknown_peak_rule() -> None:
    with pytest.raises(InvalidScheduleError, match="one of matched, kept, got 'best'"):
        refine(LINEAR, np.ones(100), peak="best")


@pytest.mark.parametrize("n", [20, 100, 199, 200, 999, 1000])
def test_constant_norms_give_the_linear_schedule(n: int) -> None:
    np.testing.assert_allclose(
        refine(LINEAR, np.ones(n)).values(), LINEAR.values(), rtol=0, atol=1e-15
    )


def test_few_records_are_kept_as_they_are() -> None:
    norms = RNG.uniform(0.5, 2.0, 50)
    schedule = refine(LINEAR, norms)
    shape = refined_shape(norms)
    assert schedule.parameters["levels"] == tuple(shape)
    # Record i belongs to step 20 i.
    np.testing.assert_allclose([schedule.factor(20 * i) for i in range(51)], shape, atol=1e-14)


@pytest.mark.parametrize("points", [2, 3, 50, 200])
def test_many_records_are_compressed(points: int) -> None:
    schedule = refine(LINEAR, np.linspace(2, 1, 1000), points=points)
    levels = schedule.parameters["levels"]
    assert isinstance(levels, tuple)
    assert (len(levels), max(levels), levels[-1]) == (points, 1.0, 0.0)


@pytest.mark.parametrize("points", [50, 200, 800])
@pytest.mark.parametrize("octaves", [-2.0, -1.0, 1.0, 3.0])
def test_compression_error_for_smooth_norms(points: int, octaves: float) -> None:
    T = 20_000
    norms = 2.0 ** (octaves * np.arange(T) / T)
    shape = refined_shape(norms, smoothing=0.0)
    missed = np.abs(
        refine(
            Schedule("linear", 1.0, T), norms, smoothing=0.0, points=points, peak="kept"
        ).values()
        - shape[:-1]
    )
    bend = np.abs(np.diff(shape[:-1], 2)).max() * T**2
    step = 1 / (points - 1)
    # One half for the line between two points, and as much for the largest that was missed.
    assert missed.max() <= 1.05 * step**2 / 8 * bend * 2
    if points == 200:
        assert missed.max() < 4e-4


def test_records_may_be_coarser_than_steps() -> None:
    T = 2000
    norms = 1 + np.cos(np.linspace(0, 3, T)) / 2
    schedule = Schedule("linear", 1.0, T)
    fine, coarse = refine(schedule, norms), refine(schedule, norms[::20])
    np.testing.assert_allclose(fine.values(), coarse.values(), atol=0.02)


# Where the theory ends.


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_vanishing_norms_are_refused_with_a_way_out(optimizer: str) -> None:
    x = np.arange(1000) / 1000
    norms = np.exp(-60 * x)
    with pytest.raises(InvalidScheduleError) as caught:
        refined_shape(norms, optimizer)
    assert "half of its learning rate in the last 5%" in str(caught.value)
    assert "floor=0.1" in str(caught.value)
    shape = refined_shape(np.maximum(norms, 1e-2), optimizer, floor=0.1)
    assert shape.argmax() < 950


@pytest.mark.parametrize("end", [0.5, 0.1, 0.03])
def test_norms_may_fall_far(end: float) -> None:
    shape = refined_shape(np.linspace(1.0, end, 1000), smoothing=0.0)
    assert shape.argmax() == pytest.approx(1000 * max(0, (1 - 1.5 * end) / (1 - end)), abs=3)


@pytest.mark.parametrize("growth", [3.0, 30.0, 300.0])
def test_norms_may_rise_far(growth: float) -> None:
    assert refined_shape(np.geomspace(1.0, growth, 1000)).argmax() < 60


def test_floor_makes_small_norms_count_alike() -> None:
    norms = np.repeat([1.0, 1e-3], [80, 20])
    floored = np.repeat([1.0, 0.25], [80, 20])
    np.testing.assert_allclose(
        refined_shape(norms, smoothing=0.0, floor=0.25), literal(floored, -2.0)
    )
    zeros = np.repeat([1.0, 0.0], [80, 20])
    np.testing.assert_allclose(
        refined_shape(zeros, smoothing=0.0, floor=0.25), literal(floored, -2.0)
    )


def test_norms_that_are_mostly_zero_have_no_floor() -> None:
    with pytest.raises(InvalidScheduleError, match="0 at most steps"):
        refined_shape(np.repeat([1.0, 0.0], [20, 80]), floor=0.1)


def with_one(value: float) -> np.ndarray:
    norms = np.ones(100)
    norms[3] = value
    return norms


@pytest.mark.parametrize(
    ("norms", "more", "said"),
    [
        (with_one(math.nan), {}, r"gradient_norms\[3\] .* got nan \(1 of 100 records are wrong\)"),
        (with_one(math.inf), {}, r"gradient_norms\[3\] .* got inf"),
        (with_one(-1.0), {}, r"gradient_norms\[3\] .* got -1\.0"),
        (with_one(0.0), {}, r"gradient_norms\[3\] .* got 0\.0 .*floor=0\.1, allows"),
        (with_one(-1.0), {"floor": 0.1}, r"gradient_norms\[3\] .* got -1\.0"),
        (np.ones(19), {}, "19 gradient norms are too few .* at least 20"),
        ([], {}, "0 gradient norms are too few"),
        (1.0, {}, r"shape \(n,\), got shape \(\)"),
        (np.ones((100, 2)), {}, r"shape \(n,\), got shape \(100, 2\)"),
        (["a"] * 30, {}, "gradient_norms must be numbers"),
        (np.ones(1001), {}, "1001 gradient norms for the 1000 steps"),
        (np.ones(100), {"optimizer": "lion"}, "'sgd', 'adam', got 'lion'"),
        (np.ones(100), {"smoothing": 1.0}, "smoothing must be a fraction >= 0 and < 1, got 1.0"),
        (np.ones(100), {"smoothing": math.nan}, "smoothing must be a fraction .* got nan"),
        (np.ones(100), {"floor": -0.1}, "floor must be a fraction .* got -0.1"),
        (np.ones(100), {"points": 1}, "points must be a whole number >= 2, got 1"),
        (np.ones(100), {"points": 9.0}, "points must be a whole number >= 2, got 9.0"),
    ],
)
def test_nonsense_is_refused_by_name(norms: object, more: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidScheduleError, match=said):
        refine(LINEAR, norms, **more)  # type: ignore[arg-type]


def test_only_a_schedule_is_refined() -> None:
    with pytest.raises(InvalidScheduleError, match=r"must be a Schedule, got 0\.1"):
        refine(0.1, np.ones(100))  # type: ignore[arg-type]


def test_a_spike_decides_neither_shape_nor_peak() -> None:
    origin = Schedule("wsd", 0.3, 1000, {}, 50)
    plain = refine(origin, np.ones(1000))
    for step in (30, 950):
        norms = np.ones(1000)
        norms[step] = 100.0
        assert refine(origin, norms).peak == plain.peak
    vanished, floored = np.ones(1000), np.ones(1000)
    vanished[800:], floored[800:] = 0.0, 0.25
    assert refine(origin, vanished, floor=0.25).peak == pytest.approx(refine(origin, floored).peak)


def test_norms_that_no_float_can_weigh() -> None:
    norms = np.ones(100)
    norms[0] = 1e-170
    with pytest.raises(InvalidScheduleError, match=r"more than a float can weigh; give a floor"):
        refined_shape(norms, smoothing=0.0)


def test_just_under_half_before_the_end_is_too_little() -> None:
    def share(rate: float) -> float:
        """What a schedule refined from e^(-rate x) spends before its last twentieth."""
        norms = np.exp(-rate * np.arange(1000) / 1000)
        weights = np.append(norms, norms[-1]) ** -2.0
        shape = weights[:-1] * np.cumsum(weights[:0:-1])[::-1]
        return float(shape[:950].sum() / shape.sum())

    rate = next(rate for rate in np.arange(2.0, 30.0, 0.25) if share(rate) < 0.48)
    assert share(rate) > 0.42
    with pytest.raises(InvalidScheduleError, match="half of its learning rate in the last 5%"):
        refined_shape(np.exp(-rate * np.arange(1000) / 1000), smoothing=0.0)
