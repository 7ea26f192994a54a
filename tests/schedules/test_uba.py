"""The acceptance checks of UBA: shared/PAPERS.md 4.6, by number."""

from __future__ import annotations

import numpy as np
import pytest

from lrsearch.schedules import Schedule

PHIS = [0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0, 100.0]


def uba(phi: float, budget: int = 400, **settings: float) -> Schedule:
    return Schedule("uba", 1.0, budget, {"phi": phi}, **settings)  # type: ignore[arg-type]


def at_every_step(schedule: Schedule) -> np.ndarray:
    return np.array([schedule(step) for step in range(schedule.budget + 1)])


def test_1_phi_2_is_cosine() -> None:
    t = np.arange(401) / 400
    expected = 0.1 + 0.9 * (1 + np.cos(np.pi * t)) / 2
    np.testing.assert_allclose(at_every_step(uba(2.0, end_value=0.1)), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("phi", "quarters"),
    [
        (0.5, [0.958871, 0.8, 0.406983]),
        (1.0, [0.920991, 0.666667, 0.255479]),
        (2.5, [0.823407, 0.444444, 0.120692]),
        (5.0, [0.699823, 0.285714, 0.064222]),
        (10.0, [0.538252, 0.166667, 0.033176]),
    ],
)
def test_2_values_at_the_quarters(phi: float, quarters: list[float]) -> None:
    schedule = uba(phi)
    assert [schedule(step) for step in (100, 200, 300)] == pytest.approx(quarters, abs=5e-7)


@pytest.mark.parametrize("phi", PHIS)
def test_3_falls_strictly_from_the_peak_to_the_end(phi: float) -> None:
    values = at_every_step(uba(phi, end_value=0.25))
    assert values[0] == 1.0
    assert values[-1] == 0.25
    assert np.all(np.diff(values) < 0)


def test_3_falls_strictly_with_phi() -> None:
    inside = np.stack([at_every_step(uba(phi))[1:-1] for phi in PHIS])
    assert np.all(np.diff(inside, axis=0) < 0)


@pytest.mark.parametrize(
    ("phi", "mean"), [(0.5, 0.666667), (1.0, 0.585786), (2.0, 0.5), (5.0, 0.387426)]
)
def test_4_mean_factor(phi: float, mean: float) -> None:
    values = at_every_step(uba(phi, budget=20_000))
    trapezoid = (values[:-1] + values[1:]).sum() / 2 / 20_000
    assert trapezoid == pytest.approx(mean, abs=1e-6)
    assert uba(phi).mean_factor == pytest.approx(mean, abs=5e-7)


@pytest.mark.parametrize("kappa", [1.5, 2.5, 5.0, 50.0])
def test_5_chebyshev_steps_of_the_condition_number(kappa: float) -> None:
    low, high = 1.0, kappa
    cos = np.cos(np.pi * np.arange(401) / 400)
    steps = 1 / ((high + low) / 2 - (high - low) / 2 * cos)
    normalised = (steps - 1 / high) / (1 / low - 1 / high)
    actual = at_every_step(uba(2 * kappa))
    np.testing.assert_allclose(actual, normalised, rtol=0, atol=1e-12)


def test_6_phi_0_is_constant() -> None:
    np.testing.assert_array_equal(at_every_step(uba(0.0, end_value=0.5)), 1.0)


@pytest.mark.parametrize("phi", PHIS)
def test_6_both_published_forms(phi: float) -> None:
    t = np.arange(400) / 400
    cos = 1 + np.cos(np.pi * t)
    actual = uba(phi).values()
    tangent = 1 / (1 + phi / 2 * np.tan(np.pi * t / 2) ** 2)
    np.testing.assert_allclose(actual, tangent, rtol=0, atol=1e-12)
    np.testing.assert_allclose(actual, 2 * cos / (2 * phi + (2 - phi) * cos), rtol=0, atol=1e-12)


@pytest.mark.parametrize("phi", PHIS)
def test_7_warmup_is_linear_and_meets_the_peak(phi: float) -> None:
    values = uba(phi, warmup_steps=40).values()
    np.testing.assert_allclose(np.diff(values[:41]), 1 / 41, rtol=0, atol=1e-15)
    assert values[40] == 1.0 > values[41]
    np.testing.assert_allclose(values[40:], uba(phi, budget=360).values(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("phi", [5e-324, 1e-300, 1e300, 1.7e308])
def test_extreme_phi_stays_finite(phi: float) -> None:
    values = at_every_step(uba(phi, budget=10))
    assert np.all(np.isfinite(values))
    assert values[0] == 1.0
    assert values[-1] == 0.0


@pytest.mark.parametrize("phi", PHIS)
@pytest.mark.parametrize("phases", [2, 4])
def test_8_every_phase_starts_at_the_peak(phi: float, phases: int) -> None:
    schedule = Schedule("uba", 1.0, 400, {"phi": phi, "cycles": phases}, end_value=0.25)
    values, whole = schedule.values(), uba(phi, budget=400 // phases, end_value=0.25).values()
    starts = [400 * k // phases for k in range(phases)]
    assert [values[step] for step in starts] == [1.0] * phases
    assert all(values[step - 1] < 0.75 for step in starts[1:])
    np.testing.assert_allclose(values, np.tile(whole, phases), rtol=0, atol=1e-15)
