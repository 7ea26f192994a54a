"""Thresholds of fixed rates: found by few runs wherever one begins, and bracketed by the truth."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.stability import FixedRate, RegimeMap, next_rate, regime_map

START = 2.3


def run(rate: float, level: float, annealed: float = math.nan, **more: float) -> FixedRate:
    finite = math.isfinite(level)
    return FixedRate(
        rate=rate, start=START, losses=(level,) * 4 if finite else (), annealed=annealed, **more
    )


def task(bottom: float, good: float, end: float, sign: float = 1.0) -> Callable[[float], FixedRate]:
    """Level least at `bottom`, quality no worse than there up to `good`, diverging from `end`."""

    def train(rate: float) -> FixedRate:
        if rate >= end:
            return run(rate, math.inf)
        away = math.log2(rate / bottom)
        level = min(0.2 * 1.3 ** abs(away), 0.75 * START)
        middle = math.sqrt(bottom * good)
        worse = abs(math.log2(rate / middle)) - abs(math.log2(good / middle))
        return run(rate, level, sign * 0.3 * 1.05**worse)

    return train


def mapped(
    train: Callable[[float], FixedRate], first: float, maximize: bool = False
) -> tuple[RegimeMap, int]:
    runs: list[FixedRate] = []
    while (rate := next_rate(runs, first, maximize=maximize)) is not None:
        assert all(rate != other.rate for other in runs)
        assert len(runs) < 40
        runs.append(train(rate))
    return regime_map(runs, maximize=maximize), len(runs)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    off=st.floats(-5.0, 5.0),
    band=st.floats(1.0, 3.0),
    room=st.floats(1.0, 4.0),
    maximize=st.booleans(),
)
def test_thresholds_are_bracketed_wherever_one_begins(
    off: float, band: float, room: float, maximize: bool
) -> None:
    bottom = 0.05
    good, end = bottom * 2**band, bottom * 2 ** (band + room)
    train = task(bottom, good, end, sign=-1.0 if maximize else 1.0)
    found, runs = mapped(train, bottom * 2**off, maximize)
    assert abs(math.log2(found.convergence.rate / bottom)) <= 0.5
    assert found.convergence.low < bottom < found.convergence.high
    assert found.good.low <= good * 2**0.7  # tolerance and lattice let it end later
    assert found.good.high >= good
    assert found.divergence.low < end <= found.divergence.high
    assert found.divergence.octaves <= 0.5 + 1e-9
    assert runs <= 14 + 2 * abs(off)
    assert [found.regime(r) for r in (bottom / 9, found.divergence.high * 2)] == ["1", "3"]
    assert found.regime(math.sqrt(found.convergence.rate * found.good.rate)) == "2A"


def test_the_parabolas_vertex_is_exact_on_a_parabola() -> None:
    levels = {2.0**x: math.exp(0.1 * (x - 0.2) ** 2 - 2) for x in (-1, 0, 1)}
    found = regime_map([run(rate, level) for rate, level in levels.items()])
    assert found.convergence.rate == pytest.approx(2**0.2)


def test_solved_training_sets_are_equal_and_the_largest_rate_counts() -> None:
    levels = {0.01: 1e-3, 0.02: 1e-5, 0.04: 1e-2, 0.08: 0.5}
    found = regime_map([run(rate, level, 0.4) for rate, level in levels.items()])
    assert (found.convergence.low, found.convergence.high) == (0.04, 0.08)
    assert found.convergence.rate == pytest.approx(math.sqrt(0.04 * 0.08))
    assert found.good.low == 0.08


def test_the_papers_synthetic_task() -> None:
    """PAPERS.md 2.6: boundaries 7.5e-3, 1.78e-2, 5.62e-2, by the figures of its table.

    The start is taken as 1 (it is not in the table); quality is the accuracy after fine-tuning.
    """
    table = [
        (1e-4, 0.0008, 0.703),
        (1e-3, 0.0001, 0.723),
        (4.2e-3, 0.0000, 0.750),
        (7.5e-3, 0.029, 0.763),
        (1.0e-2, 0.302, 0.792),
        (1.33e-2, 0.376, 0.792),
        (1.78e-2, 0.608, 0.771),
        (3.16e-2, 0.77, 0.699),
        (5.6e-2, 3.2, 0.708),
        (1e-1, 5.3, 0.645),
    ]
    runs = [FixedRate(rate=r, start=1.0, losses=(v,), annealed=q) for r, v, q in table]
    found = regime_map(runs, maximize=True)
    assert found.convergence.low == 4.2e-3
    assert found.convergence.high == 7.5e-3
    assert (found.good.low, found.good.high) == (1.78e-2, 3.16e-2)
    assert (found.divergence.low, found.divergence.high) == (3.16e-2, 5.6e-2)
    assert found.best.rate in (1.0e-2, 1.33e-2)


def test_levels_within_their_noise_widen_the_threshold() -> None:
    noisy = (0.30, 0.20, 0.28, 0.22)
    runs = [
        FixedRate(rate=0.1, start=START, losses=(0.5, 0.5, 0.5, 0.5)),
        FixedRate(rate=0.2, start=START, losses=(0.24, 0.24, 0.24, 0.24)),
        FixedRate(rate=0.4, start=START, losses=noisy),
        FixedRate(rate=0.8, start=START, losses=(0.9, 0.9, 0.9, 0.9)),
    ]
    found = regime_map(runs).convergence
    assert (found.low, found.high) == (0.1, 0.8)


def test_no_2a_where_the_next_rate_is_worse() -> None:
    runs = [run(0.1, 0.6, 0.5), run(0.2, 0.3, 0.3), run(0.4, 0.5, 0.4), run(0.8, math.inf)]
    found = regime_map(runs)
    assert found.convergence.rate > 0.2
    assert found.good == found.convergence
    assert found.regime(0.4) == "2B"


def test_the_lowest_level_above_the_threshold_is_in_2a_where_it_anneals_well() -> None:
    runs = [run(0.1, 0.4, 0.4), run(0.2, 0.38, 0.3), run(0.4, 0.9, 0.5), run(0.8, math.inf)]
    found = regime_map(runs)
    assert found.convergence.rate < 0.2
    assert (found.good.low, found.good.high) == (0.2, 0.4)
    assert found.regime(found.best.rate) == "2A"
    worse = regime_map([runs[0], run(0.2, 0.38, 0.5), *runs[2:]])
    assert worse.good == worse.convergence
    assert worse.regime(0.2) == "2B"


def test_a_diverged_run_is_never_as_low_as_the_lowest_however_noisy() -> None:
    wild = (0.1, 40.0, 0.1, 0.1)
    runs = [
        FixedRate(rate=rate, start=START, losses=losses)
        for rate, losses in [
            (0.1, (0.4,) * 4),
            (0.2, (0.2, 0.21, 0.2, 0.2)),
            (0.4, wild),
            (0.8, (0.9, 0.9, 0.9, 0.9)),
            (1.6, (0.1, 4.0, 0.0, 0.0)),  # noisy enough to be alike, but behind one that is not
        ]
    ]
    assert regime_map(runs).convergence.high == 0.4


def test_a_run_that_was_lost_beside_the_lowest_gives_no_parabola() -> None:
    runs = [run(0.1, math.inf), run(0.2, 0.3, 0.3), run(0.4, 0.6, 0.4), run(0.8, math.inf)]
    found = regime_map(runs).convergence
    assert (found.low, found.rate, found.high) == (0.1, 0.2, 0.4)


@pytest.mark.parametrize("solved", [False, True])
def test_where_nothing_diverges_the_rest_is_told(solved: bool) -> None:
    """As of networks whose weights only grow: 24 octaves are looked through, none is regime 3."""
    rise = 1.0 if solved else 1.3
    least = 1e-3 if solved else 0.2
    found, runs = mapped(
        lambda rate: run(rate, min(least * rise ** abs(math.log2(rate / 0.05)), 1.0), 0.3), 0.05
    )
    assert runs < 40
    assert found.divergence.high == math.inf
    assert {found.regime(r.rate) for r in found.runs} == ({"1"} if solved else {"1", "2A"})
    assert found.regime(1e30) != "3"


@pytest.mark.parametrize("first", [1.0, 8.0, 30.0])
def test_a_plateau_of_dead_runs_is_left(first: float) -> None:
    """Too hot, a network may end at the loss of guessing: under the start, in any order."""
    trains = task(0.05, 0.1, 0.5)

    def train(rate: float) -> FixedRate:
        guess = 0.99 * START + 1e-3 * math.sin(1000 * rate)
        return run(rate, guess) if rate >= 0.5 else trains(rate)

    found, runs = mapped(train, first)
    assert abs(math.log2(found.convergence.rate / 0.05)) <= 0.5
    assert runs <= 22


def test_a_first_batch_that_is_easier_than_the_last_ones() -> None:
    """Then every rate that is too small ends above the start."""

    def train(rate: float) -> FixedRate:
        return run(rate, 1.02 * START - min(rate / 0.05, 1.0) * 1.5 if rate < 0.5 else math.inf, 1)

    found, _ = mapped(train, 0.05 / 2**12)
    assert 0.2 < found.convergence.rate < 0.5  # the largest of equal ones
    assert found.regime(0.01) == "1"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    outcome=st.lists(
        st.tuples(
            st.sampled_from([math.inf, 0.0, 0.2, 0.5, 1.5, 1.9, 2.2, 2.4, 9.0]),
            st.sampled_from([math.nan, 0.0, -1.0, 0.3, 0.5]),
        ),
        min_size=3,
        max_size=60,
    ),
    resolution=st.sampled_from([1.0, 0.5, 0.125]),
    maximize=st.booleans(),
)
def test_whatever_happens_it_ends(
    outcome: list[tuple[float, float]], resolution: float, maximize: bool
) -> None:
    runs: list[FixedRate] = []
    rate, refusal = 0.1, ""
    while rate is not None:
        assert rate not in {r.rate for r in runs}
        assert len(runs) < 100
        level, annealed = outcome[len(runs) % len(outcome)]
        runs.append(run(rate, level, annealed))
        try:
            rate = next_rate(runs, 0.1, resolution=resolution, maximize=maximize)
        except ValueError as error:
            rate, refusal = None, str(error)
    if refusal:
        trained = any(not r.diverged for r in runs)
        assert refusal.startswith("the training loss still falls" if trained else "no rate trains")
        return
    found = regime_map(runs, maximize=maximize)
    for threshold in (found.convergence, found.good, found.divergence):
        assert threshold.low <= threshold.rate <= threshold.high
    json.dumps(found.to_dict(), allow_nan=False)


def test_rates_that_are_far_too_small_are_not_taken_for_hot_ones() -> None:
    found, runs = mapped(task(0.05, 0.1, 0.5), 0.05 / 2**9)
    assert abs(math.log2(found.convergence.rate / 0.05)) <= 0.5
    assert runs <= 22


@pytest.mark.parametrize("level", [math.inf, math.nan, 2 * START])
def test_what_never_trains_is_said(level: float) -> None:
    with pytest.raises(ValueError, match="no rate"):
        mapped(lambda rate: run(rate, level), 0.1)


def test_a_flat_task_is_said() -> None:
    with pytest.raises(ValueError, match="no rate trains"):
        mapped(lambda rate: run(rate, 0.95 * START if rate < 1 else math.inf), 0.1)
    with pytest.raises(ValueError, match="no rate trains"):
        regime_map([run(0.1, 0.95 * START)])
    with pytest.raises(ValueError, match="no rate trains"):
        regime_map([])


@pytest.mark.parametrize("resolution", [0.0, -1.0, 0.3, 2.0, 1 / 128, math.nan])
def test_a_resolution_that_is_none(resolution: float) -> None:
    with pytest.raises(ValueError, match="resolution"):
        next_rate([], 0.1, resolution=resolution)


def test_a_coarser_map_takes_fewer_runs() -> None:
    counts = []
    for resolution in (1.0, 0.5, 0.25):
        runs: list[FixedRate] = []
        train = task(0.05, 0.15, 0.7)
        while (rate := next_rate(runs, 0.04, resolution=resolution)) is not None:
            runs.append(train(rate))
        assert regime_map(runs).divergence.octaves <= resolution + 1e-9
        counts.append(len(runs))
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_it_comes_back_from_json() -> None:
    runs = [run(0.1, 0.5, 0.5), run(0.2, 0.3, 0.3, plain=0.4), run(0.4, math.inf, cost=0.1)]
    text = json.dumps([r.to_dict() for r in runs], allow_nan=False)
    again = [FixedRate.from_dict(plain) for plain in json.loads(text)]
    assert [a.to_dict() for a in again] == [r.to_dict() for r in runs]
    document = json.dumps(regime_map(again).to_dict(), allow_nan=False)
    assert json.loads(document)["runs"][2]["regime"] == "3"
