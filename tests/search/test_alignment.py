"""The alignment: the bound's relative peaks, and the measurements that its exponent comes from."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lrsearch.schedules import Schedule, families, get_family
from lrsearch.search import _alignment
from lrsearch.search._alignment import EXPONENT, alignment
from lrsearch.theory import optimal_peak


def octaves(family: str, **parameters: float | str) -> float:
    return math.log2(alignment(family, parameters))


def test_linear_is_the_unit() -> None:
    assert alignment("linear", {}) == 1.0
    assert octaves("cosine") == pytest.approx(0.0, abs=0.05)


def test_the_exponent_is_the_measured_one() -> None:
    results = Path(__file__).parents[2] / "studies" / "alignment" / "results.md"
    (row,) = [line for line in results.read_text().splitlines() if "fashion: bound" in line]
    measured, left_out = (cell.strip() for cell in row.split("|")[2:4])
    low, high = (float(end) for end in left_out.split(" to "))
    assert pytest.approx(float(measured), abs=0.05) == EXPONENT
    assert low < EXPONENT < high
    said = " ".join((_alignment.__doc__ or "").split())
    assert f"{measured} on Fashion-MNIST, {low:.2f} to {high:.2f}" in said


@pytest.mark.parametrize("name", families())
def test_follows_the_bound(name: str) -> None:
    shape = Schedule(name, 1.0, 400)
    bound = optimal_peak(shape) / optimal_peak(Schedule("linear", 1.0, 400))
    assert octaves(name) == pytest.approx(EXPONENT * math.log2(bound))
    # Defaults said and unsaid, and warm-up or end, make no difference.
    assert alignment(name, {}) == alignment(name, shape.parameters)


def test_the_longer_a_shape_stays_high_the_lower_its_peak() -> None:
    peaks = [alignment("uba", {"phi": phi}) for phi in (0, 0.5, 2, 8)]
    assert peaks == sorted(peaks)
    assert peaks[0] == alignment("constant", {})
    for mean_is_the_same in ("cosine_restarts", "cyclic", "one_cycle"):
        assert alignment(mean_is_the_same, {}) < 1.0  # they are high again near the end


def test_shapes_that_need_many_steps_have_one_too() -> None:
    room = get_family("cyclic").room(400, {"cycles": 1000.0})
    assert room == 2000
    assert 0.5 < alignment("cyclic", {"cycles": 1000.0}) < 1.0
