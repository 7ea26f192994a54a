"""ALeRA and SALERA: a rate per layer, and the guard that goes back."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsearch.exceptions import CheckpointError, RunStopped, UnsupportedError
from lrsearch.tuners import SALERA, ALeRA, path_spread

GAIN = 1e-3


def scene(
    make: Callable[..., torch.optim.Optimizer] = torch.optim.SGD, lr: float = 0.1, **options: Any
) -> tuple[nn.Module, torch.optim.Optimizer, Callable[[], Tensor]]:
    """A small net in double precision, its optimizer, and a closure that walks through batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, y = torch.randn(64, 6).double(), torch.randint(3, (64,))
    draw = torch.Generator().manual_seed(1)

    def closure() -> Tensor:
        rows = torch.randint(64, (16,), generator=draw)
        return nn.functional.cross_entropy(model(x[rows]), y[rows])

    return model, make(model.parameters(), lr=lr, **options), closure


def of_losses(losses: list[float], lr: float = 0.1) -> tuple[SALERA, nn.Parameter, Any]:
    """A tuner that sees the given losses, and a gradient of one."""
    w = nn.Parameter(torch.full((3,), 1 / 3, dtype=torch.float64))
    tuner = SALERA(torch.optim.SGD([w], lr=lr), [[w]], gain=GAIN)
    queue = iter(losses)
    return tuner, w, lambda: (w - w.detach()).sum() + next(queue)


def literal(model: nn.Module, closure: Callable[[], Tensor], lr: float, **k: Any) -> list[Any]:
    """ALeRA with SGD, written out; the rates of both layers in each step."""
    c, layers = k["c"], [list(model[0].parameters()), list(model[2].parameters())]
    rates, found = [lr, lr], []
    paths = [[torch.zeros_like(p) for p in params] for params in layers]
    for t in range(1, k["steps"] + 1):
        grads = torch.autograd.grad(closure(), layers[0] + layers[1])
        for n, params in enumerate(layers):
            g = grads[2 * n : 2 * n + 2]
            d = sum(p.numel() for p in params)
            size = math.sqrt(sum((x**2).sum().item() for x in g))
            paths[n] = [(1 - c) * q + c * x / size for q, x in zip(paths[n], g, strict=True)]
            mu = c / (2 - c) * (1 - (1 - c) ** (2 * t))
            sigma = c / math.sqrt(d) if k["published"] else path_spread(c, d)
            length = sum((q**2).sum().item() for q in paths[n])
            rates[n] *= math.exp(k["gain"] / sigma * (length - mu))
            with torch.no_grad():
                for p, x in zip(params, g, strict=True):
                    p -= rates[n] * x
        found.append(list(rates))
    return found


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("c", [0.2, 0.01])
@pytest.mark.parametrize("kind", [ALeRA, SALERA])
def test_it_agrees_with_the_formulas_written_out(
    kind: type[ALeRA], c: float, published: bool
) -> None:
    model, optimizer, closure = scene()
    tuner = kind(optimizer, model, gain=GAIN, cumulation=c, published=published)
    rates = []
    for _ in range(50):
        tuner.step(closure)
        rates.append(tuner.rates)
    other, _, closure = scene()
    expected = literal(other, closure, 0.1, c=c, gain=GAIN, steps=50, published=published)
    for ours, theirs in zip(rates, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9)
    assert rates[-1][0] != rates[-1][1]
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


def test_the_authors_sigma_is_too_large_by_the_root_of_two() -> None:
    assert 1e-3 / math.sqrt(80) == pytest.approx(math.sqrt(2) * path_spread(1e-3, 80), rel=1e-3)


def test_a_layer_is_a_module_or_a_list_and_the_two_agree() -> None:
    found = []
    for lists in (False, True):
        model, optimizer, closure = scene()
        layers = [list(model[0].parameters()), list(model[2].parameters())] if lists else model
        tuner = ALeRA(optimizer, layers, gain=GAIN)
        for _ in range(5):
            tuner.step(closure)
        found.append(tuner.rates)
        assert tuner.layers == [0, 1]
    assert found[0] == found[1]


def test_groups_are_split_and_keep_options_and_ratios() -> None:
    """Biases without decay and at half the rate: four groups, two layers."""
    model, _, closure = scene()
    named = dict(model.named_parameters())
    optimizer = torch.optim.SGD(
        [
            {"params": [p for n, p in named.items() if "weight" in n], "weight_decay": 0.1},
            {"params": [p for n, p in named.items() if "bias" in n], "lr": 0.05},
        ],
        lr=0.1,
    )
    tuner = ALeRA(optimizer, model, gain=0.01, cumulation=0.2)
    assert tuner.layers == [0, 1, 0, 1]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.1, 0.0, 0.0]
    for _ in range(5):
        tuner.step(closure)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx(tuner.rates, rel=1e-12)
    assert rates[0] == tuner.learning_rate
    assert rates[0] != rates[1]
    assert [rates[2], rates[3]] == pytest.approx([rates[0] / 2, rates[1] / 2], rel=1e-12)


def test_named_parameters_and_rates_as_tensors_are_split_too() -> None:
    model, _, closure = scene()
    optimizer = torch.optim.SGD(model.parameters(), lr=torch.tensor(0.1, dtype=torch.float64))
    optimizer.param_groups[0]["param_names"] = [n for n, _ in model.named_parameters()]
    tuner = ALeRA(optimizer, model, gain=0.01, cumulation=0.2)
    tuner.step(closure)
    tuner.step(closure)
    assert [g["param_names"] for g in optimizer.param_groups] == [
        ["0.weight", "0.bias"],
        ["2.weight", "2.bias"],
    ]
    assert [float(g["lr"]) for g in optimizer.param_groups] == pytest.approx(tuner.rates)
    assert tuner.rates[0] != tuner.rates[1]


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.RMSprop])
def test_inside_another_optimizer_the_path_is_of_gradients(
    make: type[torch.optim.Optimizer],
) -> None:
    """Ag-Adam: the plain optimizer at these rates goes the same way."""
    model, optimizer, closure = scene(make, lr=0.01)
    twin_model, twin, twin_closure = scene(make, lr=0.01)
    tuner = ALeRA(optimizer, model, gain=0.01, cumulation=0.2)
    ALeRA(twin, twin_model, gain=0.0)  # splits the groups
    for _ in range(5):
        tuner.step(closure)
        for group, done in zip(twin.param_groups, optimizer.param_groups, strict=True):
            group["lr"] = done["lr"]
        twin.zero_grad()
        twin_closure().backward()
        twin.step()
    for p, q in zip(model.parameters(), twin_model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_layer_without_gradient_keeps_its_rate_and_a_tiny_one_only_shrinks_the_path() -> None:
    a, b, unused = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(3))
    tuner = ALeRA(
        torch.optim.SGD([a, b, unused], lr=1.0), [[a], [b], [unused]], gain=1e-3, cumulation=0.2
    )
    tuner.step(lambda: a.sum() + 1e-9 * b.sum())
    assert tuner.rates[0] == pytest.approx(1.0, rel=1e-12)  # the first path is as long as any
    assert tuner.rates[1] == pytest.approx(math.exp(-1e-3 * 0.04 / path_spread(0.2, 2)))
    assert tuner.rates[2] == 1.0


# The guard.


def test_a_constant_or_falling_loss_is_left_alone() -> None:
    """Check 7."""
    tuner, _, closure = of_losses([1.0] * 300)
    for _ in range(300):
        tuner.step(closure)
    assert tuner.alarms == 0
    tuner, _, closure = of_losses([1.0 - 0.0003 * t for t in range(300)])
    for _ in range(300):
        tuner.step(closure)
    assert tuner.alarms == 0


@pytest.mark.parametrize(("at", "alarm"), [(200, 201), (20, 20)])
def test_an_alarm_goes_back_bit_for_bit_and_halves_the_rates(at: int, alarm: int) -> None:
    """Check 7."""
    tuner, w, closure = of_losses([1.0] * at + [10.0] * 5)
    weights = []
    for _ in range(alarm):
        weights.append(w.detach().clone())
        tuner.step(closure)
        assert tuner.alarms == 0
    rates, own = tuner.rates, tuner.state_dict()["own"]
    tuner.step(closure)
    assert tuner.alarms == 1
    assert torch.equal(w, weights[-1])
    assert tuner.rates == [0.5 * rate for rate in rates]
    assert tuner.optimizer.param_groups[0]["lr"] == tuner.rates[0]
    after = tuner.state_dict()["own"]
    assert after["ages"] == own["ages"]  # the path and its age go on
    assert torch.equal(after["paths"][0], own["paths"][0])
    assert tuner.reading is not None
    assert "rates halved" in str(tuner.reading.note)
    assert (tuner.reading.update_norm, tuner.cost) == (None, float(tuner.steps))


def test_a_real_run_at_far_too_high_a_rate_is_brought_down() -> None:
    w = nn.Parameter(torch.ones(4, dtype=torch.float64))
    tuner = SALERA(torch.optim.SGD([w], lr=20.0), [[w]], gain=3e-8)
    for _ in range(400):
        tuner.step(lambda: 0.5 * w.square().sum())
    assert 3 <= tuner.alarms <= 12
    assert tuner.rates[0] < 2.0
    assert w.abs().max().item() < 1e-3


def test_a_loss_that_is_not_finite_is_an_alarm() -> None:
    tuner, w, closure = of_losses([1.0, 1.0, math.nan, 1.0])
    tuner.step(closure)
    before = w.detach().clone()
    tuner.step(closure)
    rate = tuner.rates[0]
    tuner.step(closure)
    assert (tuner.alarms, tuner.rates) == (1, [0.5 * rate])
    assert torch.equal(w, before)
    tuner.step(closure)
    assert tuner.reading is not None
    assert tuner.reading.finite
    assert not torch.equal(w, before)


def test_a_first_loss_that_is_not_finite_is_none() -> None:
    tuner, w, closure = of_losses([math.inf])
    before = w.detach().clone()
    tuner.step(closure)
    assert (tuner.alarms, tuner.rates) == (0, [0.1])
    assert torch.equal(w, before)


def test_a_run_that_climbs_at_any_rate_is_stopped() -> None:
    tuner, w, closure = of_losses([1.0, *[math.nan] * 100])
    with pytest.raises(RunStopped, match="halved a learning rate"):
        for _ in range(101):
            tuner.step(closure)
    assert tuner.stopped
    assert tuner.rates[0] <= 1e-15 < 2 * tuner.rates[0]
    assert w.isfinite().all()
    with pytest.raises(RunStopped):
        tuner.step(closure)


def test_a_small_rate_without_alarms_stops_nothing() -> None:
    tuner, _, closure = of_losses([1.0] * 3, lr=1e-16)
    tuner.step(closure)
    assert not tuner.stopped
    tuner.step(closure)


# As every tuner.


@pytest.mark.parametrize("kind", [ALeRA, SALERA])
def test_it_resumes_bit_for_bit(kind: type[ALeRA]) -> None:
    def build(lr: float) -> tuple[nn.Module, ALeRA, Callable[[], Tensor]]:
        model, optimizer, closure = scene(lr=lr, momentum=0.9)
        more = {"fraction": 0.5, "threshold": 0.01} if kind is SALERA else {}
        return model, kind(optimizer, model, gain=0.01, cumulation=0.2, **more), closure

    model, tuner, closure = build(0.5)
    for _ in range(8):
        tuner.step(closure)
    file = io.BytesIO()
    state = [model.state_dict(), tuner.optimizer.state_dict(), tuner.state_dict()]
    torch.save(state, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    again, resumed, other_closure = build(0.3)
    for part, target in zip(saved, (again, resumed.optimizer, resumed), strict=True):
        target.load_state_dict(part)
    for _ in range(8):
        other_closure()
    for _ in range(12):
        assert torch.equal(tuner.step(closure), resumed.step(other_closure))
        assert tuner.rates == resumed.rates
    if isinstance(tuner, SALERA) and isinstance(resumed, SALERA):
        assert tuner.alarms == resumed.alarms > 0
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_state_of_another_tuner_is_refused() -> None:
    model, optimizer, _ = scene()
    state = ALeRA(optimizer, model, gain=GAIN).state_dict()
    with pytest.raises(CheckpointError, match="SALERA"):
        SALERA(optimizer, model, gain=GAIN).load_state_dict(state)
    with pytest.raises(CheckpointError, match="same arguments"):
        ALeRA(optimizer, model, gain=2 * GAIN).load_state_dict(state)


def test_every_parameter_must_be_in_one_layer() -> None:
    model, optimizer, _ = scene()
    first, last = (list(model[i].parameters()) for i in (0, 2))
    with pytest.raises(UnsupportedError, match="in no layer"):
        ALeRA(optimizer, [first], gain=GAIN)
    with pytest.raises(UnsupportedError, match="list it once"):
        ALeRA(optimizer, [first, first + last], gain=GAIN)
    with pytest.raises(UnsupportedError, match="list of lists"):
        ALeRA(optimizer, first, gain=GAIN)  # type: ignore[arg-type]
    assert len(optimizer.param_groups) == 1  # refused before anything is split


@pytest.mark.parametrize(
    "wrong", [{"gain": -1.0}, {"gain": math.inf}, {"cumulation": 0.0}, {"cumulation": 1.0}]
)
def test_arguments_out_of_range(wrong: dict[str, float]) -> None:
    model, optimizer, _ = scene()
    with pytest.raises(UnsupportedError, match=next(iter(wrong))):
        ALeRA(optimizer, model, **{"gain": GAIN, **wrong})
