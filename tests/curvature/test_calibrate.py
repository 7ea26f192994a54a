"""Calibration: it finds the best rate, puts everything back, and accounts for what it spent."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop

from lrsearch.curvature import calibrate, proxy_steps
from lrsearch.curvature._calibrate import warmup_steps
from lrsearch.curvature._shift import MULTIPLIER, WIDTH
from lrsearch.exceptions import CalibrationError
from lrsearch.stability import Edge

STEPS = 20


class Descent(Optimizer):
    """Gradient descent of a kind that lrsearch has never heard of: it has no usual rate."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad, alpha=group["lr"])
                    self.state[p]["steps"] = self.state[p].get("steps", 0) + 1


def regression(count: int = 28, dtype: torch.dtype = torch.float32) -> list[Any]:
    """Batches of noisy linear regression with eigenvalues over two decades."""
    generator = torch.Generator().manual_seed(5)
    scale = torch.logspace(0, -1, 6)
    batches = []
    for _ in range(count):
        x = torch.randn(16, 6, generator=generator) * scale
        y = x @ torch.arange(1.0, 7.0) + 0.1 * torch.randn(16, generator=generator)
        batches.append((x.to(dtype), y.to(dtype)))
    return batches


def squares(model: nn.Module, batch: Any) -> Tensor:
    x, y = batch
    return (model(x)[:, 0] - y).square().mean()


def linear(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(6, 1).to(dtype)


def deep() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, 1)
    )


def measure(model: nn.Module, optimizer: Optimizer, **options: Any) -> Edge:
    batches = options.pop("batches", None) or regression()
    loss_fn = options.pop("loss_fn", squares)
    steps = options.pop("steps", STEPS)
    return calibrate(model, optimizer, loss_fn, batches[:-8], batches[-8:], steps=steps, **options)


# What it finds


def annealed(model: nn.Module, build: Callable[[Any, float], Optimizer], rate: float) -> float:
    """What a run at ``rate`` reaches, written out: the thing that calibration weighs."""
    model = copy.deepcopy(model)
    optimizer = build(model.parameters(), rate)
    batches, losses = regression(), []
    for i in range(STEPS):
        optimizer.param_groups[0]["lr"] = rate * min((i + 1) / 13, 1 - i / STEPS)
        optimizer.zero_grad()
        loss = squares(model, batches[i % 20])
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        fresh = sum(float(squares(model, b)) for b in batches[-8:]) / 8
    mean = (fresh + sum(losses[-2:]) / 2) / 2
    return mean if math.isfinite(mean) else math.inf


KINDS: dict[str, Callable[[Any, float], Optimizer]] = {
    "sgd": lambda p, lr: SGD(p, lr=lr),
    "momentum": lambda p, lr: SGD(p, lr=lr, momentum=0.9),
    "adam": lambda p, lr: Adam(p, lr=lr),
    "adamw": lambda p, lr: AdamW(p, lr=lr),
    "nadam": lambda p, lr: NAdam(p, lr=lr),
    "rmsprop": lambda p, lr: RMSprop(p, lr=lr),
    "adagrad": lambda p, lr: Adagrad(p, lr=lr),
    "unknown": lambda p, lr: Descent(p, lr=lr),
}
USUAL = {
    "sgd": 0.1,
    "momentum": 0.02,
    "adam": 1e-3,
    "adamw": 1e-3,
    "nadam": 2e-3,
    "rmsprop": 1e-3,
    "adagrad": 1e-2,
    "unknown": 0.01,
}


@pytest.mark.parametrize("kind", KINDS)
def test_finds_the_best_octave(kind: str) -> None:
    """Against every octave tried by hand, with runs written out again."""
    model = linear()
    usual = USUAL[kind]
    edge = measure(model, KINDS[kind](model.parameters(), 0.01))
    reached = {k: annealed(linear(), KINDS[kind], usual * 2.0**k) for k in range(-3, 15)}
    found = min((loss, rate) for rate, loss in edge.trace if loss is not None)[1]
    octave = round(math.log2(found / usual))
    least = min(loss for _, loss in edge.trace if loss is not None)
    fresh = regression()[-8:]
    with torch.no_grad():
        untrained = sum(float(squares(linear(), batch)) for batch in fresh) / 8
    width = WIDTH * math.log(untrained / least)
    weights = [
        (math.log2(rate), math.exp(-math.log(loss / least) / width))
        for rate, loss in edge.trace
        if loss is not None
    ]
    mean = sum(x * w for x, w in weights) / sum(w for _, w in weights)
    assert math.log2(edge.proxy_rate) == pytest.approx(mean)
    assert reached[octave] <= min(reached[octave - 1], reached[octave + 1])
    assert reached[octave] <= 3 * min(reached.values())  # momentum and Adam have two basins here
    if kind in ("sgd", "rmsprop", "adagrad", "unknown"):
        assert octave == min(reached, key=lambda k: reached[k])
    for rate, loss in edge.trace:
        by_hand = reached[round(math.log2(rate / usual))]
        if loss is None:
            assert by_hand > 1e30
        else:
            assert loss == pytest.approx(by_hand, rel=1e-4)
    beta = 0.0 if kind in ("sgd", "rmsprop", "adagrad", "unknown") else 0.9
    assert edge.shift == pytest.approx(math.log2(1 + 3 / (STEPS * (1 - beta))))
    assert edge.learning_rate == pytest.approx(MULTIPLIER[STEPS] * edge.proxy_rate * 2**-edge.shift)
    assert edge.usual_rate == usual
    assert edge.threshold == {"unknown": None, "momentum": pytest.approx(0.2)}.get(kind, 2.0)
    assert edge.optimizer == type(KINDS[kind](linear().parameters(), 1.0)).__name__
    assert [rate for rate, _ in edge.trace] == sorted(rate for rate, _ in edge.trace)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("off", [1e-4, 1e-2, 37.0, 1e4])
def test_a_first_guess_far_off_does_not_matter(off: float, dtype: torch.dtype) -> None:
    rates = []
    for rate in (0.3, 0.3 * off):
        model = linear(dtype)
        batches = regression(dtype=dtype)
        rates.append(measure(model, Descent(model.parameters(), rate), batches=batches).proxy_rate)
    assert abs(math.log2(rates[1] / rates[0])) <= 1.0


def test_rates_that_diverge_are_survived_and_noted() -> None:
    model = linear()
    edge = measure(model, Descent(model.parameters(), 1e6))
    assert edge.trace[-1][0] == pytest.approx(1e6)
    assert any(loss is None for _, loss in edge.trace)
    assert all(loss is None or math.isfinite(loss) for _, loss in edge.trace)
    assert 1e-3 < edge.proxy_rate < 10
    assert Edge.from_dict(edge.to_dict()) == edge


def test_the_sharpness_is_that_of_the_bowl() -> None:
    """With curvature 4 in every direction, at any rate, 4 is what must be read.

    The reading belongs to the weights before a step: after one, a rate at the edge has turned the
    slope along the gradient around.
    """
    model = linear(torch.float64)
    centres = list(torch.randn(28, 6, generator=torch.Generator().manual_seed(1)).double())

    def bowl(model: nn.Module, centre: Any) -> Tensor:
        return 2.0 * ((model.weight - centre) ** 2).sum()

    edge = measure(model, SGD([model.weight], lr=0.1), batches=centres, loss_fn=bowl)
    assert edge.sharpness == pytest.approx(4.0, rel=1e-6)
    assert edge.rho == pytest.approx(edge.learning_rate * 4.0 / 2.0)


@pytest.mark.parametrize("make", [linear, deep])
@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_is_deterministic(make: Callable[[], nn.Module], kind: str) -> None:
    """Also with dropout: the state of the generators before it makes no difference to a second."""
    edges = []
    for _ in range(2):
        model = make()
        torch.manual_seed(8)
        optimizer = KINDS[kind](model.parameters(), 0.01)
        edges += [measure(model, optimizer), measure(model, optimizer)]
    assert edges[0] == edges[1] == edges[2] == edges[3]


@pytest.mark.parametrize("kind", ["momentum", "adam", "adagrad"])
def test_what_the_optimizer_did_before_makes_no_difference(kind: str) -> None:
    """It measures from the weights, with a fresh optimizer."""
    model = linear()
    fresh = measure(model, KINDS[kind](model.parameters(), 0.01))
    used = KINDS[kind](model.parameters(), 0.01)
    weights = copy.deepcopy(model.state_dict())
    for batch in regression(6):
        used.zero_grad()
        squares(model, batch).backward()
        used.step()
    model.load_state_dict(weights)
    assert measure(model, used) == fresh


def test_groups_keep_their_ratios() -> None:
    seen: set[tuple[float, float]] = set()
    model = deep()
    optimizer = SGD([{"params": model[0].parameters()}, {"params": model[4].parameters()}], lr=0.4)
    optimizer.param_groups[1]["lr"] = 0.1

    def watched(model: nn.Module, batch: Any) -> Tensor:
        seen.add(tuple(g["lr"] for g in optimizer.param_groups))
        return squares(model, batch)

    measure(model, optimizer, loss_fn=watched)
    assert len(seen) > STEPS
    assert all(second == pytest.approx(first / 4) for first, second in seen)
    assert [g["lr"] for g in optimizer.param_groups] == [0.4, 0.1]


def test_trains_in_the_modes_of_the_user() -> None:
    """Frozen layers stay frozen; a model that comes in eval mode is trained all the same."""
    modes: list[tuple[bool, bool]] = []

    def watched(model: nn.Module, batch: Any) -> Tensor:
        if torch.is_grad_enabled():
            modes.append((model[1].training, model[3].training))
        return squares(model, batch)

    model = deep()
    model[1].eval()
    measure(model, Adam(model.parameters()), loss_fn=watched)
    assert set(modes) == {(False, True)}
    modes.clear()
    model.eval()
    measure(model, Adam(model.parameters()), loss_fn=watched)
    assert set(modes) == {(True, True)}
    assert not any(m.training for m in model.modules())


# What it leaves behind


class WithOwn(nn.Module):
    """A loss with a parameter of its own, which the optimizer trains beside the model."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "unknown"] + ["tensor-rate"])
def test_everything_is_put_back_bit_for_bit(
    kind: str, fails: bool, everything: Callable[..., Any]
) -> None:
    model, own = deep(), WithOwn()
    model[0].bias.requires_grad_(False)
    model[3].eval()
    groups = [
        {"params": [p for p in model[0].parameters() if p.requires_grad]},
        {"params": [*model[4].parameters(), *own.parameters()]},
    ]
    optimizer = (
        Adam(groups, lr=torch.tensor(0.02)) if kind == "tensor-rate" else KINDS[kind](groups, 0.02)
    )
    optimizer.param_groups[1]["lr"] = 0.003
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

    def loss_fn(model: nn.Module, batch: Any) -> Tensor:
        return squares(model, batch) * own.scale.exp().sum()

    for batch in regression(5):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
        scheduler.step()
    before = everything(model, optimizer), own.scale.item()
    del before[0]["versions"]  # calibration trains in place: it says so
    state = optimizer.state
    slots = {p: dict(held) for p, held in state.items()}
    gradients = [p.grad for p in [*model.parameters(), own.scale]]
    rates = [g["lr"] for g in optimizer.param_groups]
    calls = 0

    def fragile(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if fails and calls == 30:
            raise KeyError("in the middle of a run")
        return loss_fn(model, batch)

    if fails:
        with pytest.raises(KeyError):
            measure(model, optimizer, loss_fn=fragile)
    else:
        measure(model, optimizer, loss_fn=fragile)
    assert calls >= 30
    after = everything(model, optimizer), own.scale.item()
    del after[0]["versions"]
    assert after == before
    assert optimizer.state is state
    assert {p: list(held) for p, held in state.items()} == {p: list(s) for p, s in slots.items()}
    assert all(state[p][n] is v for p, held in slots.items() for n, v in held.items())
    assert all(
        p.grad is g for p, g in zip([*model.parameters(), own.scale], gradients, strict=True)
    )
    assert all(g["lr"] is r for g, r in zip(optimizer.param_groups, rates, strict=True))


def test_a_fresh_optimizer_stays_fresh() -> None:
    model = linear()
    optimizer = Adam(model.parameters())
    measure(model, optimizer)
    assert isinstance(optimizer.state, defaultdict)
    assert len(optimizer.state) == 0
    assert model.weight.grad is None


def test_training_after_calibration_is_training_without() -> None:
    finals = []
    for calibrated in (False, True):
        model = deep()
        torch.manual_seed(4)
        optimizer = Adam(model.parameters(), lr=0.01)
        if calibrated:
            measure(model, optimizer)
        for batch in regression(10):
            optimizer.zero_grad()
            squares(model, batch).backward()
            optimizer.step()
        finals.append(model.state_dict())
    assert all(torch.equal(finals[0][n], finals[1][n]) for n in finals[0])


# What it costs


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("steps", [20, 45])
def test_the_account_is_what_was_spent(kind: str, steps: int) -> None:
    """A training step is a gradient, any other loss a forward pass."""
    gradients = forwards = 0

    def counted(model: nn.Module, batch: Any) -> Tensor:
        nonlocal gradients, forwards
        if torch.is_grad_enabled():
            gradients += 1
        else:
            forwards += 1
        return squares(model, batch)

    model = linear()
    told: list[str] = []
    edge = measure(
        model,
        KINDS[kind](model.parameters(), 1.0),
        loss_fn=counted,
        steps=steps,
        progress=told.append,
    )
    runs = len(edge.trace)
    if any(loss is None for _, loss in edge.trace):
        assert gradients < runs * steps  # what diverges ends at once
        assert forwards < 8 + runs * (8 + 3 * 3)
    else:
        assert gradients == runs * steps
        assert forwards == 8 + runs * (8 + 3 * 3)
    assert edge.cost == pytest.approx(gradients + 0.4 * forwards)
    assert edge.proxy_steps == steps
    assert len(told) == runs
    assert told[0].startswith("annealed run 1: rate ")


def test_a_calibration_near_the_usual_rate_costs_what_is_promised() -> None:
    """About five runs where the usual rate is within two octaves: three to seven."""
    model = linear()
    for rate in (0.3, 1.0, 3.0):
        edge = measure(model, Descent(model.parameters(), rate))
        assert abs(math.log2(edge.proxy_rate / rate)) <= 2
        assert 3 <= len(edge.trace) <= 6


@pytest.mark.parametrize(
    ("budget", "share", "steps"),
    [
        (1_000, 0.3, 56),
        (10, 0.3, 20),
        (10**6, 0.3, 80),
        (500, 0.5, 47),
        (500, None, 40),
        (1_500, None, 56),
    ],
)
def test_proxy_steps(budget: int, share: float | None, steps: int) -> None:
    assert proxy_steps(budget, share) == steps


@pytest.mark.parametrize(
    ("steps", "rising"), [(1, 1), (20, 13), (40, 26), (60, 26), (80, 32), (200, 80)]
)
def test_warmup_steps(steps: int, rising: int) -> None:
    assert warmup_steps(steps) == rising


def test_losses_under_zero_are_weighed_in_units_of_what_training_took_off() -> None:
    """A constant off the loss moves no edge far, and none of it is an error."""
    rates = []
    for less in (0.0, 100.0):
        model = linear()
        loss_fn = lambda m, b, less=less: squares(m, b) - less  # noqa: E731
        rates.append(measure(model, SGD(model.parameters(), lr=0.1), loss_fn=loss_fn).proxy_rate)
    assert abs(math.log2(rates[1] / rates[0])) < 1.0


# When there is nothing to find


def test_a_constant_loss_is_an_error_with_the_way_out() -> None:
    model = linear()
    with pytest.raises(CalibrationError, match=r"no learning rate between .*lrsearch\.Edge\.known"):
        measure(model, Adam(model.parameters()), loss_fn=lambda m, b: 0 * squares(m, b) + 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_to_begin_with(bad: float) -> None:
    model = linear()
    steps = 0

    def broken(model: nn.Module, batch: Any) -> Tensor:
        nonlocal steps
        steps += torch.is_grad_enabled()
        return squares(model, batch) + bad

    with pytest.raises(CalibrationError, match="not finite before the first step"):
        measure(model, Adam(model.parameters()), loss_fn=broken)
    assert steps == 0


def test_a_loss_that_turns_nan_at_any_rate() -> None:
    def broken(model: nn.Module, batch: Any) -> Tensor:
        loss = squares(model, batch)
        return loss * math.nan if torch.is_grad_enabled() else loss

    model = linear()
    before = model.weight.clone()
    with pytest.raises(CalibrationError, match="no learning rate"):
        measure(model, SGD(model.parameters(), lr=0.1), loss_fn=broken)
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize("rate", [0.0, math.nan, math.inf])
def test_an_unknown_optimizer_needs_a_rate_to_begin_with(rate: float) -> None:
    model = linear()
    with pytest.raises(CalibrationError, match="learning rate is"):
        measure(model, Descent(model.parameters(), rate))


def test_a_known_optimizer_needs_none() -> None:
    model = linear()
    built, zero = (SGD(model.parameters(), lr=lr) for lr in (0.1, 0.0))
    assert measure(model, zero) == measure(model, built)
    assert zero.param_groups[0]["lr"] == 0.0


def test_batch_norm_dropout_and_classification() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
    )
    batches = [(x, (3 * y.sigmoid()).long().clamp(max=2)) for x, y in regression()]

    def loss_fn(model: nn.Module, batch: Any) -> Tensor:
        return cross_entropy(model(batch[0]), batch[1])

    edge = measure(model, AdamW(model.parameters()), batches=batches, loss_fn=loss_fn)
    assert 1e-3 < edge.learning_rate < 1
    assert edge.sharpness is not None
