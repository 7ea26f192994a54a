"""Shapes that are made of data: levels, and schedules that follow one another."""

from __future__ import annotations

import numpy as np
import pytest

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule, join


def test_piecewise_by_hand() -> None:
    schedule = Schedule("piecewise", 2.0, 6, {"levels": [0.0, 1.0, 0.5]}, 2, 1.0)
    # Four steps after the warm-up, which leads to the first level: the end.
    assert schedule.values().tolist() == pytest.approx([1 / 3, 2 / 3, 1.0, 1.5, 2.0, 1.75])
    assert schedule(6) == 1.5
    assert schedule.mean_factor == pytest.approx(0.625)


def test_piecewise_with_a_level_at_every_step_gives_these_numbers() -> None:
    levels = np.random.default_rng(0).uniform(size=31)
    levels /= levels.max()
    schedule = Schedule("piecewise", 0.3, 30, {"levels": levels})
    np.testing.assert_allclose(schedule.values(), 0.3 * levels[:-1], rtol=1e-12)
    assert schedule(30) == pytest.approx(0.3 * levels[-1])


def test_piecewise_agrees_with_interpolation() -> None:
    levels = (0.2, 1.0, 0.4, 0.9, 0.0)
    schedule = Schedule("piecewise", 1.0, 37, {"levels": levels})
    expected = np.interp(np.arange(37), np.linspace(0, 37, 5), levels)
    np.testing.assert_allclose(schedule.values(), expected, rtol=1e-12)


PARTS = (
    Schedule("wsd", 0.3, 40, {}, 5, 0.1),
    Schedule("cosine", 0.1, 20),
    Schedule("step", 0.7, 30, {"drops": 1}, 3, provenance={"trial": 3}),
)


def test_a_join_runs_its_parts_one_after_the_other() -> None:
    run = join(*PARTS)
    assert (run.family, run.budget, run.peak, run.warmup_steps) == ("join", 90, 0.7, 0)
    expected = np.concatenate([part.values() for part in PARTS])
    np.testing.assert_allclose(run.values(), expected, rtol=1e-15, atol=0)
    assert run(90) == pytest.approx(PARTS[-1](30))
    # In closed form, so within a step for every rise and fall.
    assert run.mean_factor == pytest.approx(expected.mean() / 0.7, abs=3 / 90)
    assert 0.4 < join(Schedule("linear", 0.1, 2**45)).mean_factor < 0.6


def test_joins_can_be_joined_and_have_a_warmup_of_their_own() -> None:
    nested = join(join(*PARTS[:2]), PARTS[2])
    np.testing.assert_allclose(nested.values(), join(*PARTS).values(), rtol=1e-15)
    parts = nested.parameters["parts"]
    warm = Schedule("join", 0.7, 94, {"parts": parts}, warmup_steps=4)
    np.testing.assert_allclose(warm.values()[4:], nested.values(), rtol=1e-15)
    np.testing.assert_allclose(warm.values()[:4], nested(0) * np.array([0.2, 0.4, 0.6, 0.8]))


def test_a_join_rescales_every_part() -> None:
    run = join(*PARTS)
    longer = run.rescale(270)
    expected = np.concatenate([part.rescale(3 * part.budget).values() for part in PARTS])
    np.testing.assert_allclose(longer.values(), expected, rtol=1e-15)
    assert longer.rescale(90) == run
    assert run.rescale(31).budget == 31
    with pytest.raises(InvalidScheduleError, match="2 steps are too few for a join of 3 parts"):
        run.rescale(2)
    with pytest.raises(InvalidScheduleError, match=r"'cyclic' .* needs 4 of 3 steps"):
        join(Schedule("cyclic", 0.1, 10), Schedule("linear", 0.1, 10)).rescale(6)


def test_a_join_is_a_value() -> None:
    assert join(*PARTS) == join(*PARTS)
    assert hash(join(*PARTS)) == hash(join(*PARTS))
    assert join(*PARTS) != join(*PARTS[::-1])
    # Provenance of the parts does not stay: the join is a new schedule.
    assert join(*PARTS).parameters["parts"][2].provenance == {}


def test_what_cannot_be_joined() -> None:
    with pytest.raises(InvalidScheduleError, match=r"parts must be a list of schedules, got \[\]"):
        join()
    with pytest.raises(InvalidScheduleError, match="part 1 must be a schedule, got 'linear'"):
        join(PARTS[0], "linear")  # type: ignore[arg-type]
    with pytest.raises(InvalidScheduleError, match=r"parts\[0\] cycles momentum, .*'kept'"):
        join(Schedule("one_cycle", 0.1, 20))
    with pytest.raises(InvalidScheduleError, match=r"largest peak of parts must be 1, got 0\.7"):
        Schedule("join", 0.7, 90, {"parts": PARTS})
    parts = join(*PARTS).parameters["parts"]
    with pytest.raises(InvalidScheduleError, match=r"needs 90 of 80 steps .*; take a larger"):
        Schedule("join", 0.7, 80, {"parts": parts})
    with pytest.raises(
        InvalidScheduleError, match=r"needs 90 of 100 steps .* leaves 100; use resc"
    ):
        Schedule("join", 0.7, 100, {"parts": parts})
