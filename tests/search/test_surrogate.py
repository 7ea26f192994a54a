"""The surrogate against its formula written out, shapes, the cliff, and levels of objectives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from lrsearch.schedules import families
from lrsearch.search import TrialRecord
from lrsearch.search import _surrogate as module
from lrsearch.search._cliff import Cliff
from lrsearch.search._levels import FRONT, TYPICAL, levels
from lrsearch.search._shapes import AVERAGED, LENGTH, MEASURED, PLACES, shape_point
from lrsearch.search._surrogate import Points, Surrogate


def points(octaves: list[float], names: list[str], study: int = 0) -> Points:
    shapes = [shape_point(name, {}) for name in names]
    return Points(
        np.array(octaves),
        np.array([s.place for s in shapes]),
        np.array([s.belief for s in shapes]),
        np.full(len(shapes), study),
    )


SEEN = points([-1.0, 0.0, 0.5, 1.0], ["linear", "cosine", "wsd", "linear"])
LOSSES = np.array([0.06, 0.011, 0.0, 0.04])
ASKED = points([-2.0, 0.3, 3.0], ["uba", "linear", "constant"])


def covariance(a: Points, b: Points) -> np.ndarray:
    """The docstring's covariance, one entry at a time."""
    found = np.empty((len(a), len(b)))
    for i, (u, s) in enumerate(zip(a.octaves, a.places, strict=True)):
        for j, (v, t) in enumerate(zip(b.octaves, b.places, strict=True)):
            r = math.sqrt(5) * abs(u - v)
            m = (1 + r + r * r / 3) * math.exp(-r)
            k = math.exp(-float((s - t) @ (s - t)) / 2)
            shape = module.OFFSET**2 + 4 * module.MISALIGNED**2 * u * v + module.OWN**2 * m
            level = 4 * module.SPREAD**2 * u * v + module.SHARED**2 * m
            same = a.studies[i] == b.studies[j]
            alike = 1.0 if same else module.ALIKE
            found[i, j] = module.FLAT * same + alike * (level + k * shape)
    return found


EARLIER = points([0.0, 1.0, 2.0], ["linear", "linear", "wsd"], study=1)
BOTH = (SEEN.joined(EARLIER), np.append(LOSSES, [0.2, 0.1, 0.15]))


@pytest.mark.parametrize("earlier", [False, True])
def test_prediction_is_the_formula_averaged_by_marginal_likelihood(earlier: bool) -> None:
    seen, losses = BOTH if earlier else (SEEN, LOSSES)
    deviations = np.append(np.array([0.0, 0.0, 0.0, 0.1]), np.zeros(len(seen) - 4))
    plain = np.append(losses[:4], losses[4:] - 0.1)  # the least of each study is its zero
    over = module.SQUASH * np.arcsinh(plain / module.SQUASH)
    scores, means, variances = [], [], []
    for step in module.GRID:
        q = module.CURVATURE * math.exp(module.CURVATURE_LOG_SPREAD * step)
        for ratio in module.NOISE_RATIO:
            noise = (q * ratio) ** 2 + (module.DISTRUST * over) ** 2 + deviations**2
            k = q * q * covariance(seen, seen) + np.diag(noise)
            prior = q * seen.octaves**2 + seen.beliefs
            log = multivariate_normal(prior, k).logpdf(over)
            scores.append(float(log) - step * step / 2)
            across = q * q * covariance(seen, ASKED)
            gain = across.T @ np.linalg.inv(k)
            means.append(q * ASKED.octaves**2 + ASKED.beliefs + gain @ (over - prior))
            variances.append(np.diag(q * q * covariance(ASKED, ASKED) - gain @ across))
    weights = np.exp(np.array(scores) - max(scores))
    kept = weights / weights.sum() >= module.LEAST_WEIGHT
    surrogate = Surrogate(seen, losses, deviations)
    np.testing.assert_allclose(surrogate.weights, weights[kept] / weights[kept].sum(), rtol=1e-6)
    found, spread = surrogate.predict(ASKED)
    np.testing.assert_allclose(found, np.array(means)[kept], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(spread**2, np.array(variances)[kept], rtol=1e-3, atol=1e-8)
    np.testing.assert_allclose(surrogate.mean(ASKED), surrogate.weights @ found)


def test_the_level_of_the_losses_does_not_matter() -> None:
    one = Surrogate(SEEN, LOSSES, np.zeros(4)).mean(ASKED)
    np.testing.assert_allclose(Surrogate(SEEN, LOSSES + 7, np.zeros(4)).mean(ASKED), one, atol=1e-9)


def test_one_basin_is_found_again() -> None:
    octaves = [-2.0, -1.0, 0.0, 1.5]
    seen = points(octaves, ["linear"] * 4)
    losses = 0.04 * (np.array(octaves) - 0.4) ** 2
    grid = points(list(np.linspace(-2, 2, 81)), ["linear"] * 81)
    mean = Surrogate(seen, losses, np.zeros(4)).mean(grid)
    assert grid.octaves[int(np.argmin(mean))] == pytest.approx(0.4, abs=0.2)


# -------------------------------------------------------------------- shapes


def test_distance_of_shapes_is_that_of_their_curves() -> None:
    linear, constant = shape_point("linear", {}), shape_point("constant", {})
    assert linear.place.shape == (PLACES,)
    # Root mean square of 1 - (1 - x) over x in [0, 1]: 1 / sqrt(3).
    distance = LENGTH * float(np.linalg.norm(linear.place - constant.place))
    assert distance == pytest.approx(1 / math.sqrt(3), abs=0.01)
    late = shape_point("linear", {}, warmup=0.15)
    assert float(np.linalg.norm(late.place - linear.place)) == pytest.approx(1.0)


def test_averaged_weights_lie_beside_the_decay_that_they_act_like() -> None:
    decay = shape_point("wsd", {"cooldown": 0.25, "cooldown_shape": "linear"})
    swa, ema = shape_point("swa", {"start": 0.75}), shape_point("ema", {"window": 0.125})
    assert float(np.linalg.norm(swa.place - decay.place)) == pytest.approx(AVERAGED, abs=1e-3)
    assert (swa.belief, swa.octaves) == pytest.approx((decay.belief, decay.octaves), abs=1e-3)
    # An exponential mean is as old as a plain one over two windows.
    distance = LENGTH * float(np.linalg.norm(swa.place - ema.place))
    assert distance < 0.1
    assert ema.octaves == pytest.approx(swa.octaves, abs=0.15)
    constant = shape_point("constant", {})
    assert swa.belief < ema.belief < constant.belief


def test_beliefs_pass_near_what_was_measured() -> None:
    for family, parameters, lost in MEASURED:
        said = shape_point(family, parameters).belief
        assert said == pytest.approx(lost - MEASURED[0][2], abs=0.006), family


@pytest.mark.parametrize("family", families())
def test_every_family_has_a_belief(family: str) -> None:
    point = shape_point(family, {})
    assert -0.02 < point.belief < 0.2
    assert math.isfinite(point.octaves)


# --------------------------------------------------------------------- cliff


def test_the_cliff_lies_between_what_held_and_what_did_not() -> None:
    peaks = np.array([-3.0, 0.0, 1.0, 2.0, 5.0])
    before = Cliff(np.zeros(0), np.zeros(0)).holds(peaks)
    assert np.all(np.diff(before) < 0)
    assert before[0] > 0.97
    assert before[-1] < 0.1
    after = Cliff(np.array([0.5]), np.array([1.5])).holds(np.array([0.3, 1.0, 1.7]))
    assert after[0] > 0.9
    assert 0.3 < after[1] < 0.7
    assert after[2] < 0.2
    # One odd run among many does not move it.
    odd = Cliff(np.array([1.0] * 8), np.array([-2.0])).holds(np.array([0.5]))
    assert odd[0] > 0.9


# -------------------------------------------------------------------- levels


def record(*values: float) -> TrialRecord:
    return TrialRecord(number=0, state="complete", values=values)


def test_levels_of_losses_are_logarithms() -> None:
    found = levels([record(2.0), record(1.0), record(1.5), record(4.0)])
    np.testing.assert_allclose(found, np.log([2.0, 1.0, 1.5, 4.0]))


def test_levels_of_losses_near_nothing_stay_finite() -> None:
    found = levels([record(1e-12), record(0.1), record(0.2)])
    np.testing.assert_allclose(found, [0.0, math.log(2), math.log(3)], rtol=1e-6, atol=1e-9)


def test_levels_of_negative_objectives_are_relative_to_the_median() -> None:
    found = levels([record(-0.9), record(-0.7), record(-0.8)])
    np.testing.assert_allclose(found, [0.0, 2 * TYPICAL, TYPICAL])
    np.testing.assert_allclose(levels([record(-1.0), record(-1.0)]), 0.0)
    assert len(levels([])) == 0


def test_levels_of_several_objectives_count_who_dominates() -> None:
    found = levels([record(0.0, 1.0), record(1.0, 0.0), record(1.0, 1.0), record(2.0, 2.0)])
    np.testing.assert_allclose(found, np.array([0, 0, 2, 3]) / 4 * FRONT)


@pytest.mark.parametrize("values", [(5e-324, 1.0, 2.0), (-1.0, -1.0 + 5e-324, 3.0), (0.0, 5e-324)])
def test_levels_of_next_to_nothing_stay_finite(values: tuple[float, ...]) -> None:
    records = [
        TrialRecord(number=i, state="complete", values=(value,)) for i, value in enumerate(values)
    ]
    with np.errstate(all="raise", under="ignore"):
        found = levels(records)
    assert np.isfinite(found).all()
    assert found[0] == 0.0 <= found.min()
