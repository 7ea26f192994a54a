"""CDAT against what is known of it in closed form (Roulet et al. 2024), one test per statement."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop

from lrsearch.tuners import CDAT

WAYS = ["product", "forward"]
EXACT = {"product": 1e-12, "forward": 1e-9}  # losses resolve a second difference less well


def point(*start: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(start, dtype=torch.float64))


def bowl(w: nn.Parameter, *, signs: bool = False) -> tuple[Callable[[], Tensor], Tensor]:
    """``1/2 w'Aw - b'w`` with a dense A; with ``signs`` of both signs."""
    generator = torch.Generator().manual_seed(3)
    n = w.numel()
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    scale = torch.linspace(-0.3 if signs else 0.1, 1, n, dtype=torch.float64)
    A = root @ torch.diag(scale) @ root.T
    b = torch.randn(n, generator=generator, dtype=torch.float64)
    return lambda: 0.5 * w @ A @ w - b @ w, A


def plain(optimizer: Optimizer, sigma: float, **options: object) -> CDAT:
    """The paper's own rule."""
    return CDAT(optimizer, sigma=sigma, growth=None, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, 2.5])
@pytest.mark.parametrize(
    "build",
    [
        lambda w: SGD(w, 1.0),
        lambda w: SGD(w, 1.0, momentum=0.9, nesterov=True),
        lambda w: Adam(w),
        lambda w: RMSprop(w, momentum=0.5),
        lambda w: SGD(w, 1.0, weight_decay=0.3),
        lambda w: Adam(w, weight_decay=0.3),
    ],
    ids=["sgd", "nesterov", "adam", "rmsprop", "sgd-l2", "adam-l2"],
)
def test_1_the_change_of_any_quadratic_is_known(
    build: Callable[[list[nn.Parameter]], Optimizer], sigma: float, way: str
) -> None:
    w = point(1.0, -2.0, 0.5, 3.0)
    optimizer = build([w])
    decay = optimizer.param_groups[0]["weight_decay"]
    loss, A = bowl(w)
    H = A + decay * torch.eye(4, dtype=torch.float64)

    def f() -> float:
        return float(loss().detach() + decay / 2 * (w @ w).detach())

    tuner = plain(optimizer, sigma, curvature=way)
    seen = 0
    for _ in range(4):
        before, at = f(), w.detach().clone()
        g = torch.autograd.grad(loss(), w)[0] + decay * at
        tuner.step(loss)
        if tuner.learning_rate == 0:  # momentum may point uphill
            continue
        u = (w.detach() - at) / tuner.learning_rate
        n, d = float(-(g @ u)), float(u @ H @ u)
        change = -(sigma - sigma**2 / 2) * n**2 / d
        scale = abs(before) + n**2 / d
        assert f() - before == pytest.approx(change, abs=EXACT[way] * scale)
        seen += 1
    assert seen


def test_1_where_the_curvature_is_negative_its_size_counts() -> None:
    w = point(1.0, -2.0, 0.5, 3.0)
    loss, A = bowl(w, signs=True)
    vector = torch.linalg.eigh(A)[1][:, 0]
    b = torch.autograd.grad(loss(), w)[0].detach() - A @ w.detach()
    with torch.no_grad():
        w.copy_(torch.linalg.solve(A, -b) + vector)  # the gradient is along the lowest eigenvector
    tuner = plain(SGD([w], 1.0), 1.0)
    tuner.step(loss)
    assert tuner.learning_rate == pytest.approx(1 / float(-vector @ A @ vector), rel=1e-9)
    assert tuner.reading is not None
    assert tuner.reading.sharpness is not None
    assert tuner.reading.sharpness < 0


@pytest.mark.parametrize("way", WAYS)
def test_2_greedy_is_exact_line_search(way: str) -> None:
    w = point(1.0, -2.0, 0.5, 3.0)
    loss, A = bowl(w)
    g = torch.autograd.grad(loss(), w)[0]
    tuner = plain(SGD([w], 1.0), 1.0, curvature=way)
    tuner.step(loss)
    assert tuner.learning_rate == pytest.approx(float(g @ g / (g @ A @ g)), rel=EXACT[way])
    g_after = torch.autograd.grad(loss(), w)[0]
    assert float(g_after @ g) == pytest.approx(0.0, abs=1e-8 * float(g @ g))


@pytest.mark.parametrize("way", WAYS)
def test_3_in_one_dimension_greedy_arrives_and_on_edge_flips(way: str) -> None:
    w = point(3.0)
    plain(SGD([w], 1.0), 1.0, curvature=way).step(lambda: 2.5 * (w**2).sum())
    assert w.item() == pytest.approx(0.0, abs=3 * EXACT[way])
    w = point(3.0)
    tuner = plain(SGD([w], 1.0), 2.0, curvature=way)
    for turn in range(1, 51):
        tuner.step(lambda w=w: 2.5 * (w**2).sum())
        assert w.item() == pytest.approx(3.0 * (-1) ** turn, rel=1e-7)


def test_4_the_rate_is_never_under_sigma_over_the_sharpness_and_goes_to_the_edge() -> None:
    eigenvalues = torch.logspace(-2, 1, 20, dtype=torch.float64)
    for sigma in (0.5, 1.0, 2.0):
        w = nn.Parameter(torch.ones(20, dtype=torch.float64))
        tuner = plain(SGD([w], 1.0), sigma)
        for _ in range(300):
            tuner.step(lambda w=w: 0.5 * (eigenvalues * w**2).sum())
            assert tuner.learning_rate * 10.0 >= sigma * (1 - 1e-12)
    assert 2.0 <= tuner.learning_rate * 10.0 < 2.0 + 1e-5
    w = nn.Parameter(torch.zeros(20, dtype=torch.float64))
    w.data[-1] = 1.0  # the gradient is the top eigenvector
    tuner = plain(SGD([w], 1.0), 1.5)
    tuner.step(lambda: 0.5 * (eigenvalues * w**2).sum())
    assert tuner.learning_rate * 10.0 == pytest.approx(1.5, rel=1e-14)


def test_5_greedy_with_the_diagonal_as_metric_solves_a_diagonal_quadratic() -> None:
    h = torch.tensor([0.1, 3.0, 40.0], dtype=torch.float64)

    class Newton(Optimizer):
        def __init__(self, params: list[nn.Parameter]) -> None:
            super().__init__(params, {"lr": 1.0})

        @torch.no_grad()
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(group["lr"] * p.grad / h)

    w = point(1.0, -2.0, 0.5)
    tuner = plain(Newton([w]), 1.0)
    tuner.step(lambda: 0.5 * (h * w**2).sum())
    assert tuner.learning_rate == pytest.approx(1.0, rel=1e-14)
    assert w.detach().abs().max() < 1e-14


def test_6_averages_of_a_constant_stream_have_no_bias() -> None:
    w = point(3.0)
    tuner = plain(SGD([w], 1.0), 2.0, decay=0.9)
    for _ in range(30):  # on edge in one dimension, n and d stay what they are
        tuner.step(lambda: 2.5 * (w**2).sum())
        assert tuner.learning_rate == pytest.approx(2.0 / 5.0, rel=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_7_scales_of_update_and_loss_do_not_matter(way: str) -> None:
    class Scaled(SGD):
        factor = 1.0

        @torch.no_grad()
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(self.factor * group["lr"] * p.grad)

    class Larger(Scaled):
        factor = 7.0

    def run(kind: type[SGD], scale: float) -> tuple[Tensor, list[float]]:
        w = point(1.0, -2.0, 0.5, 3.0)
        loss, _ = bowl(w)
        tuner = plain(kind([w], 1.0), 1.5, curvature=way)
        rates = []
        for _ in range(5):
            tuner.step(lambda: scale * loss())
            rates.append(tuner.learning_rate)
        return w.detach(), rates

    w, rates = run(Scaled, 1.0)
    for kind, scale, factor in ((Larger, 1.0, 7.0), (Scaled, 11.0, 11.0)):
        other_w, others = run(kind, scale)
        assert torch.allclose(w, other_w, rtol=1e-7, atol=1e-9)
        assert others == pytest.approx([rate / factor for rate in rates], rel=1e-6)


def test_8_greedy_lets_the_sharpness_grow_and_on_edge_holds_it() -> None:
    """The toy model: ``lambda x^2 / 2``, where lambda grows by a and falls by b x^2."""
    a, b, steps = 0.01, 1.0, 1000

    def run(sigma: float, start: float, steps: int) -> float:
        x, sharpness = point(start), 0.5
        tuner = plain(SGD([x], 1.0), sigma)
        for _ in range(steps):
            sharpness += a - b * x.item() ** 2
            tuner.step(lambda s=sharpness: 0.5 * s * (x**2).sum())
        return sharpness

    assert run(1.0, 0.01, steps) == pytest.approx(0.5 + a * steps, rel=0.01)
    assert run(2.0, math.sqrt(a / b), 100) == pytest.approx(0.5, rel=1e-6)
