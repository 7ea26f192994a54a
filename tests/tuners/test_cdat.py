"""CDAT on networks: two ways that agree, a start that is safe, and words where it cannot work."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.optim import SGD, Adam, AdamW, Optimizer

from lrsearch.exceptions import MeasurementError, UnsupportedError
from lrsearch.testing import dense_hessian
from lrsearch.tuners import CDAT, proposed

WAYS = ["product", "forward"]


def network(*, dropout: float = 0.0, width: int = 6) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    layers = [nn.Linear(4, width), nn.BatchNorm1d(width), nn.Tanh(), nn.Dropout(dropout)]
    model = nn.Sequential(*layers, nn.Linear(width, 3)).double()
    return model, (torch.randn(32, 4).double(), torch.randint(3, (32,)))


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def rates(tuner: CDAT, closure: Callable[[], Tensor], steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        tuner.step(closure)
        found.append(tuner.learning_rate)
    return found


def test_n_and_d_are_those_of_the_dense_hessian() -> None:
    model, batch = network()
    params = list(model.parameters())
    optimizer = Adam(params, weight_decay=0.01)
    tuner = CDAT(optimizer, sigma=1.5, growth=None)
    for _ in range(3):
        H = dense_hessian(model, loss_fn, batch)
        H += 0.01 * torch.eye(len(H), dtype=torch.float64)
        w = torch.cat([p.detach().flatten() for p in params])
        loss = loss_fn(model, batch)
        found = torch.autograd.grad(loss, params)
        for p, g in zip(params, found, strict=True):
            p.grad = g
        g = torch.cat([g.flatten() for g in found]) + 0.01 * w
        u = torch.cat([d.flatten() for d in proposed(optimizer)])
        tuner.step(lambda: loss_fn(model, batch))
        n, d = float(-(g @ u)), float(u @ H @ u)
        assert tuner.learning_rate == pytest.approx(1.5 * n / abs(d), rel=1e-9)
        assert tuner.reading is not None
        assert tuner.reading.slope == pytest.approx(n, rel=1e-9)
        assert tuner.reading.sharpness == pytest.approx(d / n, rel=1e-9)
        assert tuner.reading.rho == pytest.approx(math.copysign(1.5 / 2, d), rel=1e-9)


@pytest.mark.parametrize(
    "build",
    [lambda p: SGD(p, 0.1, momentum=0.9), lambda p: Adam(p), lambda p: SGD(p, weight_decay=1e-3)],
    ids=["momentum", "adam", "sgd-l2"],
)
def test_losses_tell_the_same_as_products_where_the_step_is_local(
    build: Callable[[Any], Optimizer],
) -> None:
    """``h`` changes the loss by a tenth: a loss that is small asks for a near look."""
    found = {}
    for way in WAYS:
        model, batch = network()
        tuner = CDAT(build(model.parameters()), curvature=way, growth=1.2, first=1e-3)
        sharpness = []
        for _ in range(12):  # the cap makes both take the same steps
            rest = float(loss_fn(model, batch).detach()) - 0.01
            tuner.step(lambda model=model, batch=batch, rest=rest: loss_fn(model, batch) - rest)
            assert tuner.reading is not None
            sharpness.append(tuner.reading.sharpness)
        found[way] = sharpness
    assert found["forward"] == pytest.approx(found["product"], rel=0.02)
    assert found["forward"] != found["product"]


def test_averages_are_of_n_and_d_apart() -> None:
    model, batch = network()
    tuner = CDAT(SGD(model.parameters(), 0.1), sigma=1.2, decay=0.7, growth=1.1, first=0.01)
    n = d = 0.0
    for rate in [0.01 * 1.1**k for k in range(5)]:
        tuner.step(lambda: loss_fn(model, batch))
        assert tuner.reading is not None
        assert tuner.reading.slope is not None
        assert tuner.reading.sharpness is not None
        n = 0.7 * n + 0.3 * tuner.reading.slope
        d = 0.7 * d + 0.3 * abs(tuner.reading.sharpness) * tuner.reading.slope
        assert tuner.learning_rate == pytest.approx(min(rate, 1.2 * n / d), rel=1e-9)
    tuner = CDAT(SGD(model.parameters(), 0.1), sigma=0.01, decay=0.7, growth=None)
    n = d = 0.0
    for _ in range(5):
        tuner.step(lambda: loss_fn(model, batch))
        assert tuner.reading is not None
        assert tuner.reading.slope is not None
        assert tuner.reading.sharpness is not None
        n = 0.7 * n + 0.3 * tuner.reading.slope
        d = 0.7 * d + 0.3 * abs(tuner.reading.sharpness) * tuner.reading.slope
        assert tuner.learning_rate == pytest.approx(0.01 * n / d, rel=1e-9)


def test_the_cap_lets_the_rate_grow_by_a_factor_from_a_safe_start() -> None:
    w = nn.Parameter(torch.ones(3))
    closure = lambda: 1e-6 * (w**2).sum()  # noqa: E731
    assert rates(CDAT(SGD([w], 0.5)), closure, 4) == pytest.approx(
        [1e-3 * 1.2**k for k in range(4)]
    )
    assert rates(CDAT(Adam([w], 0.5)), closure, 2) == pytest.approx([1e-5, 1.2e-5])
    assert rates(CDAT(SGD([w], 0.5), first=0.2, growth=2.0), closure, 3) == pytest.approx(
        [0.2, 0.4, 0.8]
    )
    assert rates(CDAT(SGD([w], 0.5), growth=None), closure, 1) == pytest.approx([1e6])

    class Own(SGD):
        pass

    class Unknown(Optimizer):
        def __init__(self, params: list[nn.Parameter], lr: float) -> None:
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(group["lr"] * p.grad)

    assert rates(CDAT(Own([w], 0.5)), closure, 1) == pytest.approx([1e-3])
    assert rates(CDAT(Unknown([w], 0.5)), closure, 1) == pytest.approx([5e-3])


def test_one_step_that_stands_still_does_not_hold_back_the_next() -> None:
    w = nn.Parameter(torch.ones(3, dtype=torch.float64))
    tuner = CDAT(SGD([w], 0.1), growth=1.2, first=0.01)
    gentle = lambda: 1e-3 * (w**2).sum()  # noqa: E731
    last = rates(tuner, gentle, 10)[-1]
    still = 1e9 * (w.detach() ** 2).sum()
    tuner.step(lambda: 1e9 * (w**2).sum() - still)
    assert tuner.learning_rate == pytest.approx(1e-9)
    assert rates(tuner, gentle, 1)[0] == pytest.approx(last)  # 1.2 times, over 1.2


@pytest.mark.parametrize("seed", [0, 1])
def test_adam_needs_the_safe_start(seed: int) -> None:
    """Full batch, on edge: uncapped, its first sign-like steps throw it out for good."""

    def train(growth: float | None) -> tuple[float, float]:
        torch.manual_seed(seed)
        layers = [nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 5)]
        model = nn.Sequential(*layers)
        x = torch.randn(256, 10)
        y = (x[:, :5] + 0.5 * torch.randn(256, 5)).argmax(1)
        tuner = CDAT(Adam(model.parameters()), growth=growth)
        losses = [float(tuner.step(lambda: cross_entropy(model(x), y))) for _ in range(120)]
        return max(losses[:20]) / losses[0], losses[-1] / losses[0]

    worst, last = train(1.2)
    assert worst < 1.001
    assert last < 0.01
    worst, last = train(None)
    assert worst > 1.1
    assert not last < 0.3


def test_forward_leaves_weights_buffers_and_generators_as_a_plain_step_would() -> None:
    """The same steps without a measurement, at the rates that the tuner chose."""
    model, batch = network(dropout=0.4)

    def noisy(model: nn.Module) -> Tensor:
        return loss_fn(model, batch) * (1 + 0.1 * np.random.rand() + 0.1 * random.random())

    tuner = CDAT(Adam(model.parameters()), curvature="forward", first=1e-2)
    start = (torch.get_rng_state(), np.random.get_state(), random.getstate())
    chosen = rates(tuner, lambda: noisy(model), 6)
    end = (torch.get_rng_state(), np.random.get_state()[1:3], random.getstate())

    other, _ = network(dropout=0.4)
    optimizer = Adam(other.parameters())
    torch.set_rng_state(start[0])
    np.random.set_state(start[1])
    random.setstate(start[2])
    for rate in chosen:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        noisy(other).backward()
        optimizer.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert torch.equal(torch.get_rng_state(), end[0])
    assert str(np.random.get_state()[1:3]) == str(end[1])
    assert random.getstate() == end[2]


@pytest.mark.parametrize("way", WAYS)
def test_decoupled_decay_shrinks_the_weights_and_is_in_no_rate(way: str) -> None:
    found = []
    for decay in (0.0, 0.5):
        model, batch = network()
        before = [p.detach().clone() for p in model.parameters()]
        optimizer = AdamW(model.parameters(), weight_decay=decay)
        tuner = CDAT(optimizer, growth=None, sigma=0.1, curvature=way)
        tuner.step(lambda model=model, batch=batch: loss_fn(model, batch))
        found.append((tuner.learning_rate, [p.detach() for p in model.parameters()]))
    (rate, plain), (same, decayed) = found
    assert rate == same
    for w, p, d in zip(before, plain, decayed, strict=True):
        torch.testing.assert_close(d, p - 0.5 * rate * w)


@pytest.mark.parametrize("way", WAYS)
def test_attention_works_both_ways(way: str) -> None:
    torch.manual_seed(0)
    project, x = nn.Linear(8, 24), torch.randn(2, 5, 8)

    def closure() -> Tensor:
        q, k, v = project(x).chunk(3, -1)
        return (scaled_dot_product_attention(q, k, v) ** 2).mean()

    tuner = CDAT(SGD(project.parameters(), 0.1), curvature=way)
    tuner.step(closure)
    assert tuner.reading is not None
    assert tuner.reading.sharpness is not None


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * g


class Detached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0].detach() * g  # its second derivative is silently zero


@pytest.mark.parametrize("function", [Once, Detached])
def test_a_loss_without_second_derivative_names_the_way_that_needs_none(function: Any) -> None:
    w = nn.Parameter(torch.tensor([3.0, 1.0]))
    closure = lambda: function.apply(w).sum()  # noqa: E731
    tuner = CDAT(SGD([w], 0.1), sigma=1.0, growth=None)
    with pytest.raises(MeasurementError, match='pass curvature="forward"'):
        tuner.step(closure)
    assert w.tolist() == [3.0, 1.0]
    with pytest.raises(MeasurementError, match='pass curvature="forward"'):
        tuner.step(closure)  # it does not look once and then forget
    tuner = CDAT(SGD([w], 0.1), sigma=1.0, growth=None, curvature="forward")
    tuner.step(closure)
    assert w.abs().max() < 0.05


@pytest.mark.parametrize("way", WAYS)
def test_an_update_that_is_not_finite_is_not_made(way: str) -> None:
    w = nn.Parameter(torch.tensor([3.0, 1.0]))
    optimizer = SGD([w], 0.1, momentum=0.9)
    tuner = CDAT(optimizer, curvature=way)
    tuner.step(lambda: (w**2).sum())
    optimizer.state[w]["momentum_buffer"].fill_(float("inf"))
    before = w.tolist()
    tuner.step(lambda: (w**2).sum())
    assert tuner.reading is not None
    assert not tuner.reading.finite
    assert tuner.reading.note == "no step: update not finite"
    assert w.tolist() == before


def test_without_a_curvature_the_rate_stays() -> None:
    w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    tuner = CDAT(SGD([w], 0.1), sigma=0.5, growth=None, curvature="forward")
    tuner.step(lambda: (w**2).sum())
    rate = tuner.learning_rate
    calls = 0

    def once() -> Tensor:
        nonlocal calls
        calls += 1
        return (w**2).sum() * (1.0 if calls == 1 else float("nan"))

    tuner.step(once)
    assert tuner.learning_rate == rate
    assert tuner.reading is not None
    assert tuner.reading.finite
    assert tuner.reading.sharpness is None
    assert tuner.reading.note == "loss not finite near the weights"


@pytest.mark.parametrize("way", WAYS)
def test_uphill_the_rate_is_zero_and_the_optimizer_goes_on(way: str) -> None:
    w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = SGD([w], 0.1, momentum=0.5)
    for decay in (0.0, 0.9):
        optimizer.param_groups[0]["lr"] = 0.1
        tuner = CDAT(optimizer, sigma=1.0, decay=decay, growth=None, curvature=way)
        optimizer.state[w]["momentum_buffer"] = torch.tensor([-100.0], dtype=torch.float64)
        tuner.step(lambda: (w**2).sum())  # u = 50 - 2
        assert tuner.learning_rate == 0.0
        assert w.item() == 1.0
        assert tuner.reading is not None
        assert (tuner.reading.slope, tuner.reading.sharpness) == (0.0, None)
        assert optimizer.state[w]["momentum_buffer"].item() == -48.0
    rates(tuner, lambda: (w**2).sum(), 20)  # the groups' zero has not become their ratio
    assert tuner.learning_rate > 0.0


@pytest.mark.parametrize("way", WAYS)
def test_at_a_minimum_it_stays(way: str) -> None:
    w = nn.Parameter(torch.zeros(2))
    tuner = CDAT(SGD([w], 0.1), curvature=way, growth=None)
    tuner.step(lambda: (w**2).sum())
    assert w.tolist() == [0.0, 0.0]


def test_numbers_that_make_no_sense_are_refused() -> None:
    w = nn.Parameter(torch.ones(2))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"sigma": math.nan}, "sigma must be positive"),
        ({"decay": 1.0}, r"decay in \[0, 1\), got 2.0 and 1.0"),
        ({"growth": 1.0}, "growth must be larger than 1"),
        ({"first": -1.0}, "first must be a positive learning rate"),
        ({"first": 0.1, "growth": None}, "first must be a positive learning rate, with a growth"),
        ({"curvature": "hvp"}, 'is called \'hvp\': use "product" or "forward"'),
    ]
    for options, message in wrong:
        with pytest.raises(UnsupportedError, match=message):
            CDAT(SGD([w], 0.1), **options)
    with pytest.raises(UnsupportedError, match="a step of LBFGS is not"):
        CDAT(torch.optim.LBFGS([w]))


def test_what_it_costs_is_what_it_says() -> None:
    model, batch = network()
    tuner = CDAT(SGD(model.parameters(), 0.1))
    rates(tuner, lambda: loss_fn(model, batch), 4)
    assert tuner.cost == 4 * tuner.cost_per_step == 14.0
    calls = 0

    def counted() -> Tensor:
        nonlocal calls
        calls += 1
        return loss_fn(model, batch)

    tuner = CDAT(SGD(model.parameters(), 0.1), curvature="forward")
    rates(tuner, counted, 4)
    assert tuner.cost == pytest.approx(4 + 0.4 * (calls - 4))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own, while it compiles
def test_a_compiled_model_trains_forward_only_and_says_so() -> None:
    torch.compiler.reset()
    model, batch = network()
    compiled = torch.compile(model, backend="aot_eager")
    with pytest.raises(MeasurementError, match='pass curvature="forward"'):
        CDAT(SGD(model.parameters(), 0.1)).step(lambda: loss_fn(compiled, batch))
    other, _ = network()
    found = []
    for one in (compiled, other):
        tuner = CDAT(SGD(one.parameters(), 0.1), curvature="forward")
        found.append(rates(tuner, lambda one=one: loss_fn(one, batch), 3))
    # The failed step has moved the running statistics of the first, and nothing else.
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q)
