"""Batch sharpness against means that are taken by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim

from lrsearch.curvature import _cost as cost
from lrsearch.curvature import batch_sharpness, sharpness
from lrsearch.exceptions import MeasurementError, UnsupportedError
from lrsearch.testing import quadratic

START = [1.0, -2.0, 0.5]


def batches(count: int, seed: int = 0) -> list[Tensor]:
    """Each batch is a quadratic of its own: ``g = h w`` and ``H = diag(h)``."""
    generator = torch.Generator().manual_seed(seed)
    return list(torch.rand(count, 3, generator=generator, dtype=torch.float64) + 0.5)


def problem() -> tuple[nn.Module, Any]:
    model, loss_fn, _ = quadratic([1.0] * 3, START)
    return model, loss_fn


def by_hand(found: list[Tensor], inverse: Tensor | float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """``d'Hd`` and ``g'd`` of each batch, with ``d = P^-1 g``."""
    w = torch.tensor(START, dtype=torch.float64)
    pairs = [((h * (inverse * h * w) ** 2).sum(), (inverse * (h * w) ** 2).sum()) for h in found]
    bends, slopes = np.array([[float(b), float(s)] for b, s in pairs]).T
    return bends, slopes


@pytest.mark.parametrize("method", ["auto", "forward-over-reverse", "finite-difference"])
def test_both_means_are_those_taken_by_hand(method: str) -> None:
    model, loss_fn = problem()
    given = batches(30)
    found = batch_sharpness(model, loss_fn, given, tolerance=0.0, method=method)
    bends, slopes = by_hand(given)
    ratios = bends / slopes
    assert found.ratio_of_means == pytest.approx(bends.mean() / slopes.mean(), rel=1e-7)
    assert found.mean_of_ratios == pytest.approx(ratios.mean(), rel=1e-7)
    assert found.median_of_ratios == pytest.approx(np.median(ratios), rel=1e-7)
    assert found.ratio_error == pytest.approx(
        ratios.std(ddof=1) / math.sqrt(30) / ratios.mean(), rel=1e-6
    )
    assert found.ratio_of_means != pytest.approx(found.mean_of_ratios, rel=1e-3)
    assert found.batches == 30
    assert not found.converged
    assert found.reason == "no more batches"
    price = {
        "auto": cost.GRAPH + cost.DOUBLE_BACKWARD,
        "forward-over-reverse": 1 + cost.FORWARD_OVER_REVERSE,
        "finite-difference": 1 + cost.FORWARD + cost.FINITE_DIFFERENCE,
    }[method]
    assert found.cost == pytest.approx(30 * price)


def test_in_the_metric_of_an_optimizer_the_direction_is_its_own() -> None:
    """At noisy gradients: without the factor that bias correction puts on early full-batch steps"""
    model, loss_fn = problem()
    optimizer = optim.Adam(model.parameters(), lr=0.0, betas=(0.9, 0.5), eps=1e-3)
    model.w.grad = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    optimizer.step()
    inverse = 1 / (torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64) + 1e-3)
    given = batches(20)
    found = batch_sharpness(model, loss_fn, given, optimizer=optimizer, tolerance=0.0)
    bends, slopes = by_hand(given, inverse)
    assert found.ratio_of_means == pytest.approx(bends.sum() / slopes.sum(), rel=1e-9)
    assert found.mean_of_ratios == pytest.approx((bends / slopes).mean(), rel=1e-9)


def test_one_batch_of_all_data_is_a_rayleigh_quotient() -> None:
    model, loss_fn, scale = quadratic([4.0, 1.0, 0.5], START)
    found = batch_sharpness(model, loss_fn, [scale])
    g = scale * torch.tensor(START, dtype=torch.float64)
    assert found.ratio_of_means == pytest.approx(float(g @ (scale * g) / (g @ g)))
    assert found.ratio_of_means == found.mean_of_ratios == found.median_of_ratios
    assert found.ratio_of_means < sharpness(model, loss_fn, scale).value * (1 + 1e-9)
    assert found.error == found.ratio_error == math.inf
    assert not found.converged


def test_the_standard_error_is_the_spread_over_repetitions() -> None:
    model, loss_fn = problem()
    runs = [
        batch_sharpness(model, loss_fn, batches(20, seed), tolerance=0.0, method="double-backward")
        for seed in range(40)
    ]
    for value, error in (("ratio_of_means", "error"), ("mean_of_ratios", "ratio_error")):
        values = np.array([getattr(run, value) for run in runs])
        told = np.mean([getattr(run, error) for run in runs])
        # 40 repetitions know a deviation to 1 / sqrt(80) = 11 %: three times that
        assert values.std(ddof=1) / values.mean() == pytest.approx(told, rel=0.34)


def test_it_stops_where_the_error_is_within_the_tolerance_and_not_before_the_least() -> None:
    model, loss_fn = problem()
    used = 0

    def counted() -> Iterator[Tensor]:
        nonlocal used
        for batch in batches(200):
            used += 1
            yield batch

    found = batch_sharpness(model, loss_fn, counted(), tolerance=0.04)
    assert 10 <= found.batches == used < 200
    assert found.converged
    assert found.error <= 0.04
    assert found.reason == "relative standard error within 0.04"
    one_less = batch_sharpness(model, loss_fn, batches(200)[: found.batches - 1], tolerance=0.04)
    assert one_less.batches == found.batches - 1
    assert one_less.error > 0.04 or found.batches == 10
    assert batch_sharpness(model, loss_fn, batches(99), tolerance=9.0).batches == 10
    assert batch_sharpness(model, loss_fn, batches(99), tolerance=9.0, least=3).batches == 3
    capped = batch_sharpness(model, loss_fn, batches(99), tolerance=0.0, most=7)
    assert capped.batches == 7
    assert capped.reason == "stopped after 7 batches, the most it may take"


def test_batches_without_a_gradient_weigh_nothing() -> None:
    model, loss_fn = problem()
    given = batches(12)
    with_zeros = [*given[:6], torch.zeros(3, dtype=torch.float64), *given[6:]]
    found = batch_sharpness(model, loss_fn, with_zeros, tolerance=0.0)
    plain = batch_sharpness(model, loss_fn, given, tolerance=0.0)
    assert found.ratio_of_means == pytest.approx(plain.ratio_of_means, rel=1e-12)
    assert found.mean_of_ratios == pytest.approx(plain.mean_of_ratios, rel=1e-12)
    assert found.batches == 13
    with pytest.raises(MeasurementError, match="every gradient is zero"):
        batch_sharpness(model, loss_fn, [torch.zeros(3, dtype=torch.float64)] * 3)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_it_scales_with_noise_over_batch_size_as_published(size: int) -> None:
    """Least squares at its optimum, where gradients are all noise: halving the batch adds to it.

    One weight, unit inputs of either sign and x^2 = 1: H = 1 in every batch, so the ratio is 1
    whatever the size. With inputs of two sizes, E[H g^2] / E[g^2] = h + cov / size on paper.
    """
    generator = torch.Generator().manual_seed(size)

    class Slope(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.w

    def loss_fn(model: nn.Module, batch: Any) -> Tensor:
        x, noise = batch
        return 0.5 * (model(x) - noise).square().mean()

    x = torch.tensor([1.0, 3.0], dtype=torch.float64)[
        torch.randint(2, (800, size), generator=generator)
    ]
    noise = torch.randn(800, size, generator=generator, dtype=torch.float64)
    found = batch_sharpness(
        Slope(),
        loss_fn,
        zip(x, noise, strict=True),
        tolerance=0.0,
        most=800,
        method="double-backward",
    )
    # g = -mean(x e), H = mean(x^2): E[g^2] = m2 / b, E[H g^2] = (m4 + (b - 1) m2^2) / b^2
    m2, m4 = (1 + 9) / 2, (1 + 81) / 2
    expected = (m4 + (size - 1) * m2**2) / (size * m2)
    assert found.ratio_of_means == pytest.approx(expected, rel=4 * found.error)
    assert found.error < 0.06


def test_no_batch_and_senseless_numbers_are_refused() -> None:
    model, loss_fn = problem()
    with pytest.raises(MeasurementError, match="pass at least one"):
        batch_sharpness(model, loss_fn, [])
    for options in ({"most": 0}, {"tolerance": -0.1}, {"tolerance": math.nan}):
        with pytest.raises(UnsupportedError, match="most must be at least 1"):
            batch_sharpness(model, loss_fn, batches(3), **options)
