"""Which cells a table records: the adaptive grid against landscapes that are known."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STUDY = Path(__file__).parents[2] / "studies" / "search_efficiency"


@pytest.fixture(scope="module")
def grid() -> Any:
    spec = importlib.util.spec_from_file_location("recorded_grid", STUDY / "grid.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded(grid: Any, loss: Callable[[int, int], float], centre: int = -12) -> dict[Any, float]:
    """All cells that the grid asks for, wave by wave."""
    results: dict[Any, float] = {}
    for _ in range(100):
        cells = grid.wanted(results, centre)
        if not cells:
            return results
        assert not set(cells) & set(results)
        results |= {(k, seed): loss(k, seed) for k, seed in cells}
    raise AssertionError("the grid never ends")


def valley(best: int, width: float = 8.0, cliff: int | None = None) -> Callable[[int, int], float]:
    """Log loss a parabola of ``k``; infinite from the cliff on."""

    def loss(k: int, seed: int) -> float:
        if cliff is not None and k >= cliff:
            return math.inf
        return math.exp(((k - best) / width) ** 2 + 0.001 * seed)

    return loss


@pytest.mark.parametrize("best", [-12, -9, -30, 20])
def test_quarter_octaves_within_two_octaves_and_both_cliffs(grid, best) -> None:
    results = recorded(grid, valley(best))
    places = {k for k, _ in results}
    assert set(range(best - 8, best + 9)) <= places
    for side in (min(places), max(places)):
        assert results[side, 0] > 1.5 * results[best, 0]


def test_seeds_three_everywhere_and_eight_near_the_best(grid) -> None:
    results = recorded(grid, valley(-9))
    for k in {k for k, _ in results}:
        near = ((k + 9) / 8) ** 2 <= math.log(1.05)
        assert {seed for j, seed in results if j == k} == set(range(8 if near else 3))


def test_a_rate_beyond_a_cliff_is_no_best(grid) -> None:
    """One lucky seed beside the cliff: its other seeds diverge, and the centre moves back."""

    def loss(k: int, seed: int) -> float:
        if k == -2:
            return 0.5 if seed == 0 else math.inf
        return valley(-8, cliff=-1)(k, seed)

    results = recorded(grid, loss)
    assert set(range(-16, 1)) <= {k for k, _ in results}
    assert (-8, 7) in results
    assert (-2, 7) not in results


def test_a_task_that_nothing_trains_ends(grid) -> None:
    results = recorded(grid, lambda k, seed: math.inf)
    assert min(k for k, _ in results) >= -12 - grid.WIDEST


def test_a_flat_landscape_ends_at_the_widest_grid(grid) -> None:
    results = recorded(grid, lambda k, seed: 1.0)
    places = {k for k, _ in results}
    assert (min(places), max(places)) == (-12 - grid.WIDEST, -12 + grid.WIDEST)


def test_the_order_of_results_does_not_matter(grid) -> None:
    results = recorded(grid, valley(-9))
    part = dict(list(results.items())[:25])
    backwards = dict(reversed(part.items()))
    assert grid.wanted(part, -12) == grid.wanted(backwards, -12)


def test_fewer_seeds_for_a_quick_look(grid) -> None:
    results: dict[Any, float] = {}
    while cells := grid.wanted(results, -12, 1, 1):
        results |= {cell: valley(-9)(*cell) for cell in cells}
    assert {seed for _, seed in results} == {0}
    assert len(results) < 40


def test_places_are_powers_of_two(grid) -> None:
    assert grid.rate(-4) == 0.5
    assert grid.place(0.1) == -12
    assert grid.place(0.5) == -4
