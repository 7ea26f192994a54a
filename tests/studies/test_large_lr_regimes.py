"""Where large rates lead: the pieces against what is known, and the runs as a whole."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

STUDY = Path(__file__).parents[2] / "studies" / "large_lr_regimes"

# Epochs to convergence of the paper's ResNet-18 on CIFAR-10, by rate and seed
PUBLISHED = {
    1e-4: (18, 17, 20), 1.5e-4: (25, 23, 23), 2e-4: (27, 27, 25), 2.5e-4: (40, 37, 40),
    3e-4: (90, 81, 83), 3.5e-4: (336, 511, 402), 3.7e-4: (501, 1101), 3.8e-4: (1541,),
    3.9e-4: (2621,),
}  # fmt: skip


def tick_nets(large_rates, dtype, copies=3):
    ensemble, data = large_rates("ensemble"), large_rates("tick").data(0)
    w, v = ensemble.begin([0], copies, dtype)
    x, y = (torch.tensor(data[k]).to(dtype).unsqueeze(0) for k in ("train", "train_y"))
    return ensemble.Ensemble(w, v, x, y)


def test_steps_stay_on_the_sphere_and_do_not_feel_its_radius(large_rates) -> None:
    ensemble, geometry = large_rates("ensemble"), large_rates("geometry")
    nets = tick_nets(large_rates, torch.float64)
    rates = torch.tensor([[1e-4], [1e-3], [1e-2]], dtype=torch.float64)
    x, y = nets.spread(nets.x), nets.spread(nets.y)
    ends = []
    for radius in (1.0, 7.0):
        w = nets.w * radius
        for i in range(40):
            pick = slice(12 * i, 12 * i + 12)
            g = ensemble.gradient(w, nets.v, x[:, pick], y[:, pick])[1]
            w = geometry.step(w, g, rates, radius)
            assert (w.norm(dim=-1) - radius).abs().max() < 1e-12 * radius
        ends.append(ensemble.outputs(w, nets.v, x))
    # only the eps of the normalisation, 1e-7 beside variances of some 0.01, tells them apart
    torch.testing.assert_close(ends[0][:2], ends[1][:2], rtol=1e-3, atol=1e-3)
    assert (ends[0][0] - ensemble.outputs(nets.w, nets.v, x)[0]).abs().max() > 0.05


def test_angles(large_rates) -> None:
    angle = large_rates("geometry").angle
    w = torch.randn(5, 100, generator=torch.Generator().manual_seed(0))
    assert angle(w, w).tolist() == [0.0] * 5
    assert angle(w, -w).tolist() == pytest.approx([math.pi] * 5, abs=1e-12)
    torch.testing.assert_close(angle(3 * w, w.flip(0)), angle(w, 0.1 * w.flip(0)))
    right = angle(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    assert right.item() == pytest.approx(math.pi / 2)


def test_barriers(large_rates) -> None:
    barrier = large_rates("geometry").barrier
    assert barrier(torch.linspace(0.5, 0.1, 21, dtype=torch.float64)).item() == pytest.approx(
        0, abs=1e-12
    )
    assert barrier(torch.tensor([0.0, 0.3, 0.0])).item() == pytest.approx(0.3)
    assert barrier(torch.tensor([0.3, 0.0, 0.3])).item() == 0.0
    heights = barrier(torch.rand(200, 11, generator=torch.Generator().manual_seed(1)))
    assert heights.shape == (200,)
    assert heights.min() >= 0


def test_the_threshold_of_the_published_epochs(large_rates) -> None:
    threshold = large_rates("regimes").convergence_threshold
    short, long = threshold(PUBLISHED, 200), threshold(PUBLISHED, 1000)
    assert (short.last, short.first, short.borderline) == (3e-4, 3.5e-4, ())
    assert (long.last, long.first, long.borderline) == (3.7e-4, 3.8e-4, (3.7e-4,))
    with pytest.raises(ValueError, match="within 10 epochs"):
        threshold(PUBLISHED, 10)


def test_regimes_and_the_end_of_2a(large_rates) -> None:
    regimes = large_rates("regimes")
    threshold = regimes.Threshold(3e-4, 3.5e-4, ())
    seen = [regimes.regime(r, threshold, a, 0.1)
            for r, a in ((1e-6, 0.5), (3e-4, 1.0), (1e-3, 0.8), (1e-1, 0.1))]  # fmt: skip
    assert seen == [1, 1, 2, 3]
    rates = (1e-4, 3e-4, 1e-3, 2e-3, 3e-3)
    assert regimes.last_while(rates, [False, False, True, True, True], threshold) == 3e-3
    assert regimes.last_while(rates, [True, True, True, False, True], threshold) == 1e-3
    assert regimes.last_while(rates, [True, True, False, True, True], threshold) is None


def test_the_grid_of_rates(large_rates) -> None:
    rates = large_rates("tick").RATES
    assert len(rates) == 23
    np.testing.assert_allclose(rates[[10, 13, 17]], [7.4989e-3, 1.7783e-2, 5.6234e-2], rtol=1e-4)


def test_each_feature_tells_the_classes_apart_and_a_border_does_not(large_rates) -> None:
    tick = large_rates("tick")
    parts = tick.data(3)
    for name in ("train", "test"):
        for k in range(tick.FEATURES):
            x, y = parts[name][:, 2 * k : 2 * k + 2], parts[name + "_y"]
            between = np.abs(x[:, 1] - np.abs(x[:, 0]) + 1) < 1
            assert ((~between) == (y == 1)).all()
            edge = np.abs(np.abs(x[:, 1] - np.abs(x[:, 0]) + 1) - 1)
            assert edge.min() > tick.MARGIN - 1e-5
    other = parts["single"][0][:, 2:4]
    assert np.abs(np.abs(other[:, 1] - np.abs(other[:, 0]) + 1) - 1).max() < 1e-6


def test_the_perceptrons_gradient(large_rates) -> None:
    ensemble = large_rates("ensemble")
    nets = tick_nets(large_rates, torch.float64)
    w = torch.randn(3, 2048, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    w.requires_grad_(True)
    x, y = nets.spread(nets.x[:, :16]), nets.spread(nets.y[:, :16])
    a, b = w.view(3, 2, 32, 32).unbind(1)

    def norm(z):
        return torch.nn.functional.layer_norm(z, (32,), eps=1e-7)

    logits = norm(norm(x @ a).relu() @ b).relu() @ nets.v.unsqueeze(-1)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.squeeze(-1), y, reduction="none"
    ).mean(-1)
    (wanted,) = torch.autograd.grad(losses.sum(), w)
    loss, got = ensemble.gradient(w.detach(), nets.v, x, y)
    torch.testing.assert_close(loss, losses.detach())
    torch.testing.assert_close(got, wanted)
    assert (got * w).sum(-1).abs().max() < 1e-5 * got.norm()  # no part along w: scale invariance
    single = ensemble.gradient(w.detach().float(), nets.v.float(), x.float(), y.float())[1]
    torch.testing.assert_close(single.double(), wanted, rtol=1e-3, atol=1e-5)


def test_the_convolutions_gradient_and_moments(large_rates) -> None:
    convnets = large_rates("convnets")
    nets = convnets.Nets(side=7, channels=(3, 4, 5), strides=(2, 1, 2), classes=4)
    w, head = (part.double() for part in nets.begin(0))
    g = torch.Generator().manual_seed(3)
    x = torch.randn(9, 1, 7, 7, generator=g, dtype=torch.float64)
    y = torch.randint(0, 4, (9,), generator=g)
    w.requires_grad_(True)
    a = x
    for matrix, stride in zip(nets.split(w.unsqueeze(0)), nets.strides, strict=True):
        kernel = matrix[0].view(3, 3, -1, matrix.shape[-1]).permute(3, 2, 0, 1)
        a = torch.nn.functional.conv2d(a, kernel, stride=stride, padding=1)
        a = torch.nn.functional.batch_norm(a, None, None, training=True, eps=1e-7).relu()
    logits = a.mean((2, 3)) @ head
    loss = torch.nn.functional.cross_entropy(logits, y)
    (wanted,) = torch.autograd.grad(loss, w)
    rows, both = nets.first_rows(x), w.detach().repeat(2, 1)
    value, got, _ = nets.gradient(both, head, rows, y)
    torch.testing.assert_close(value, loss.detach().repeat(2))
    torch.testing.assert_close(got[1], wanted)
    moments = nets.moments(both, head, rows)
    torch.testing.assert_close(nets.forward(both, head, rows, moments)[0][0], logits.detach())
    part = nets.forward(both, head, rows[:4], moments)[0][0]
    torch.testing.assert_close(part, logits[:4].detach())


def test_curvature_on_the_sphere(large_rates) -> None:
    geometry = large_rates("geometry")
    scales = torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64)

    def gradient(w):  # of sum(scales w^2) / |w|^2, whose curvature at the last axis is 2 (3 - 1/2)
        square = (w * w).sum(-1, keepdim=True)
        return 2 * w * (scales - (scales * w * w).sum(-1, keepdim=True) / square) / square

    w = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 5.0]], dtype=torch.float64)
    found = geometry.sharpness(w, gradient, 60)
    torch.testing.assert_close(found, torch.full((2,), 5.0, dtype=torch.float64), rtol=1e-4, atol=0)


def test_bands_sum_up_to_the_image_and_are_the_papers_at_its_size(large_rates) -> None:
    bands = large_rates("bands")
    masks = bands.masks(32)
    k = np.minimum(np.arange(32), 32 - np.arange(32))
    total = k[:, None] + k[None, :]
    for mask, (low, high) in zip(masks, bands.PAPER, strict=True):
        assert (mask.numpy() == ((total >= low) & (total <= high))).all()
    x = torch.randn(3, 1, 14, 14, generator=torch.Generator().manual_seed(4))
    assert (bands.masks(14).sum(0) == 1).all()
    torch.testing.assert_close(sum(bands.band(x, i) for i in range(4)), x, atol=1e-5, rtol=1e-4)
