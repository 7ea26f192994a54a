"""The laws on the published loss curves of arXiv 2503.12811, where those are present."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lrsearch.schedules import Schedule
from lrsearch.theory import (
    Curve,
    MultiPowerLaw,
    fit_annealing_law,
    fit_multi_power_law,
    optimal_levels,
    r_squared,
)
from lrsearch.theory._blocks import blocks_of
from lrsearch.theory._fit import BLOCK

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LRSEARCH_DATA", ROOT.parent / "shared" / "data")) / "multipowerlaw"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the published loss curves are not beside the repository"
)

PEAK, END, WARMUP = 3e-4, 3e-5, 2160
PAST = {"previous_rate": PEAK, "previous_sum": 0.5 * PEAK * WARMUP}
TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
TEST = (
    "constant_72000",
    "cosine_72000",
    "wsd_20000_24000",
    "wsdld_20000_24000",
    "wsdcon_3",
    "wsdcon_18",
)
# Coefficients, mean R2 over the test curves, final loss of the optimised schedule.
PUBLISHED = {
    "25": (
        (3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257),
        0.9988020610656915,
        3.1496773780559524,
    ),
    "100": (
        (2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644),
        0.9983008228767494,
        2.794136776132377,
    ),
    "400": (
        (2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457),
        0.9977627125467547,
        2.533218602559499,
    ),
}


def learning_rates(name: str) -> np.ndarray:
    """The learning rate of every update; the warm-up is linear from 0."""
    warmup = np.linspace(0.0, PEAK, WARMUP)
    kind, _, rest = name.partition("_")
    if kind == "wsdcon":
        low = np.full(8000, int(rest) * 1e-5)
        return np.concatenate([warmup, np.full(8000 - WARMUP, PEAK), low])
    if kind in ("wsd", "wsdld"):
        x = np.arange(4000) / 4000
        decay = PEAK ** (1 - x) * END**x if kind == "wsd" else PEAK * (1 - x) + END * x
        return np.concatenate([warmup, np.full(20_000 - WARMUP, PEAK), decay])
    x = np.arange(int(rest) - WARMUP) / (int(rest) - WARMUP)
    falling = END + 0.5 * (PEAK - END) * (1 + np.cos(np.pi * x))
    return np.concatenate([warmup, falling if kind == "cosine" else np.full(len(x), PEAK)])


@cache
def curve(size: str, name: str) -> Curve:
    """One curve; row `s` of a file is the loss after `s + 1` updates."""
    table = np.genfromtxt(DATA / f"csv_{size}" / f"{name}.csv", delimiter=",", skip_header=1)
    assert learning_rates(name)[table[:, 0].astype(int)] == pytest.approx(table[:, 1], rel=1e-9)
    return Curve(learning_rates(name), table[:, 0].astype(int) + 1, table[:, 2])


def r2(law: MultiPowerLaw, known: Curve) -> float:
    return r_squared(known.losses, law.predict(known.learning_rates, known.steps))


@pytest.mark.parametrize("size", PUBLISHED)
def test_published_coefficients_give_the_published_r2(size: str) -> None:
    coefficients, published, _ = PUBLISHED[size]
    law = MultiPowerLaw(*coefficients)
    curves = [curve(size, name) for name in TEST]
    assert np.mean([r2(law, known) for known in curves]) == pytest.approx(published, abs=1e-7)
    without = MultiPowerLaw(*coefficients[:3], 0.0, *coefficients[4:])
    assert np.mean([r2(without, known) for known in curves]) < 0.7


@pytest.mark.parametrize("size", PUBLISHED)
def test_published_schedules_have_their_loss_and_are_found_again(size: str) -> None:
    coefficients, _, loss = PUBLISHED[size]
    law = MultiPowerLaw(*coefficients)
    published = np.load(DATA / "optimized_schedules" / f"{size}.npy")
    assert law.final_loss(published, **PAST) == pytest.approx(loss, abs=5e-7)
    levels = optimal_levels(law, len(published), PEAK, **PAST)
    found = Schedule("piecewise", PEAK, len(published), {"levels": tuple(levels)}).values()
    assert law.final_loss(found, **PAST) < loss + 1e-4
    gap = np.abs(found - published) / PEAK
    assert gap.mean() < 2e-3
    assert gap.max() < 0.06


def test_the_best_fit_is_better_than_the_published_one_on_its_curves() -> None:
    known = [curve("400", name) for name in TRAIN]
    fit = fit_multi_power_law(known)
    law = MultiPowerLaw(*PUBLISHED["400"][0])
    assert fit.converged
    assert fit.mean_r2 > np.mean([r2(law, c) for c in known]) + 1e-3
    assert np.mean([r2(fit.law, curve("400", name)) for name in TEST]) > 0.996


def test_the_annealing_law_predicts_as_well() -> None:
    fit = fit_annealing_law([curve("400", name) for name in TRAIN])
    predictions = [fit.law.predict(c.learning_rates, c.steps) for c in unseen("400")]
    scores = [r_squared(c.losses, p) for c, p in zip(unseen("400"), predictions, strict=True)]
    assert np.mean(scores) > 0.9975


def unseen(size: str) -> list[Curve]:
    return [curve(size, name) for name in TEST]


@pytest.mark.parametrize("name", ["cosine_24000", "wsd_20000_24000"])
def test_summed_decrements_are_far_below_the_noise(name: str) -> None:
    law, known = MultiPowerLaw(*PUBLISHED["400"][0]), curve("400", name)
    part = blocks_of(known, known.steps, 1.0, 1.0, BLOCK)
    sums, _ = part.annealed(law.C, law.beta, law.gamma)
    summed = law.L0 + law.A * np.exp(-law.alpha * part.log_sum) - law.B * sums
    exact = law.predict(known.learning_rates, known.steps)
    assert np.abs(summed / exact - 1).max() < 2e-5
