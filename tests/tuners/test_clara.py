"""CLARA: the rate of each step, against the formulas written out and the paper's checks."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor, nn

from lrsearch.exceptions import CheckpointError, UnsupportedError
from lrsearch.tuners import CLARA, path_mean, path_spread

MU = 0.2 / 1.8
D = 1e-3


def scene(
    make: Callable[..., torch.optim.Optimizer], **options: Any
) -> tuple[nn.Module, torch.optim.Optimizer, Callable[[], Tensor]]:
    """A small net in double precision, its optimizer, and a closure that walks through batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, y = torch.randn(64, 6).double(), torch.randint(3, (64,))
    draw = torch.Generator().manual_seed(1)

    def closure() -> Tensor:
        rows = torch.randint(64, (16,), generator=draw)
        return nn.functional.cross_entropy(model(x[rows]), y[rows])

    return model, make(model.parameters(), **options), closure


def of_gradients(
    gradients: list[Tensor], *, adam: bool = False, **options: Any
) -> tuple[CLARA, nn.Parameter, Callable[[], Tensor]]:
    """A tuner whose parameter has the next of the given gradients in each step."""
    w = nn.Parameter(torch.zeros_like(gradients[0]))
    make = torch.optim.Adam if adam else torch.optim.SGD
    queue = iter(gradients)
    return CLARA(make([w], lr=1.0), **options), w, lambda: (w * next(queue)).sum()


def exponents(tuner: CLARA, closure: Callable[[], Tensor], steps: int) -> list[float]:
    """Logarithms of what the rate is multiplied by in each step."""
    found = []
    for _ in range(steps):
        tuner.step(closure)
        found.append(math.log(tuner.next_rate / tuner.learning_rate))
    return found


# The formulas, written out.


def literal_sgd(model: nn.Module, closure: Callable[[], Tensor], lr: float, steps: int, **k: Any):
    c, d, decay, b = 0.2, k.get("d", D), k.get("weight_decay", 0.0), k.get("momentum", 0.0)
    mu = path_mean(c, momentum=b) if k.get("corrected") is None else k["corrected"]
    params, paths, v, rates = list(model.parameters()), {}, {}, []
    for _ in range(steps):
        grads = torch.autograd.grad(closure(), params)
        length = 0.0
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(params, grads, strict=True)):
                s = v[i] = b * v.get(i, 0.0) + g + decay * p
                unit = s / max(s.norm().item(), 1e-12)
                p -= lr * (unit if k.get("unit_steps") else s)
                paths[i] = 0.8 * paths.get(i, 0.0) + 0.2 * unit
                length += paths[i].square().sum().item()
        rates.append(lr)
        lr *= math.exp(d * (length / (len(params) * mu) - 1))
    return rates


def literal_adam(model: nn.Module, closure: Callable[[], Tensor], lr: float, steps: int, **k: Any):
    b1, b2 = 0.9, 0.999
    params = list(model.parameters())
    m, v, paths = ([torch.zeros_like(p) for p in params] for _ in range(3))
    expected = sum(path_mean(0.2, momentum=k["momentum"], dimension=p.numel()) for p in params)
    rates = []
    for t in range(1, steps + 1):
        grads = torch.autograd.grad(closure(), params)
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(params, grads, strict=True)):
                m[i] = b1 * m[i] + (1 - b1) * g
                v[i] = b2 * v[i] + (1 - b2) * g**2
                s = m[i] / (1 - b1**t) / ((v[i] / (1 - b2**t)).sqrt() + 1e-8)
                p *= 1 - lr * k.get("decoupled", 0.0)
                unit = s / s.norm()
                p -= lr * (unit if k.get("unit_steps") else s)
                paths[i] = 0.8 * paths[i] + 0.2 * unit
        rates.append(lr)
        lr *= math.exp(k["d"] * (sum(q.square().sum().item() for q in paths) / expected - 1))
    return rates


@pytest.mark.parametrize(
    "options",
    [{}, {"weight_decay": 0.1}, {"momentum": 0.8, "weight_decay": 0.01}],
    ids=["plain", "decay", "momentum"],
)
@pytest.mark.parametrize("unit_steps", [False, True])
def test_sgd_agrees_with_the_formulas_written_out(
    options: dict[str, float], unit_steps: bool
) -> None:
    model, optimizer, closure = scene(torch.optim.SGD, lr=0.1, **options)
    tuner = CLARA(optimizer, damping=0.02, unit_steps=unit_steps, reference="sgd", published=True)
    rates = []
    for _ in range(50):
        tuner.step(closure)
        rates.append(tuner.learning_rate)
    other, _, closure = scene(torch.optim.SGD, lr=0.1)
    literal = literal_sgd(
        other, closure, 0.1, 50, d=0.02, unit_steps=unit_steps, corrected=MU, **options
    )
    assert rates == pytest.approx(literal, rel=1e-9)
    assert max(rates) / min(rates) > 1.05
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("unit_steps", [False, True])
@pytest.mark.parametrize("reference", ["corrected", "sgd"])
@pytest.mark.parametrize("decoupled", [0.0, 0.1])
def test_adam_agrees_with_the_formulas_written_out(
    reference: Any, unit_steps: bool, decoupled: float
) -> None:
    make = torch.optim.AdamW if decoupled else torch.optim.Adam
    model, optimizer, closure = scene(make, lr=0.02, weight_decay=decoupled)
    tuner = CLARA(optimizer, damping=0.02, unit_steps=unit_steps, reference=reference)
    rates = []
    for _ in range(50):
        tuner.step(closure)
        rates.append(tuner.learning_rate)
    other, _, closure = scene(make, lr=0.02)
    momentum = 0.9 if reference == "corrected" else 0.0
    literal = literal_adam(
        other,
        closure,
        0.02,
        50,
        d=0.02,
        momentum=momentum,
        decoupled=decoupled,
        unit_steps=unit_steps,
    )
    assert rates == pytest.approx(literal, rel=1e-9)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-8, atol=1e-10)


# The steps that are told in advance are those that torch makes.

VARIANTS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {}),
    "sgd, decay": (torch.optim.SGD, {"weight_decay": 0.1, "maximize": True}),
    "heavy ball": (torch.optim.SGD, {"momentum": 0.9}),
    "average": (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.9}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "nesterov, foreach": (
        torch.optim.SGD,
        {"momentum": 0.9, "nesterov": True, "foreach": True},
    ),
    "adam": (torch.optim.Adam, {}),
    "adam, decay": (torch.optim.Adam, {"weight_decay": 0.1}),
    "amsgrad": (torch.optim.Adam, {"amsgrad": True, "betas": (0.5, 0.9)}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.0, "foreach": True}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_unit_steps_are_along_the_steps_of_torch(name: str) -> None:
    """Each parameter's move, after the plain optimizer's history, is parallel and of length eta."""
    make, options = VARIANTS[name]
    model, optimizer, closure = scene(make, lr=0.01, **options)
    for _ in range(4):
        optimizer.zero_grad()
        closure().backward()
        optimizer.step()
    plain, twin, other_closure = scene(make, lr=0.01, **options)
    plain.load_state_dict(model.state_dict())
    twin.load_state_dict(deepcopy(optimizer.state_dict()))
    for _ in range(4):
        other_closure()  # the same batches from here on
    before = [p.detach().clone() for p in model.parameters()]
    tuner = CLARA(optimizer, unit_steps=True)
    tuner.step(closure)
    twin.zero_grad()
    other_closure().backward()
    twin.step()
    moves = [(p - b).detach() for p, b in zip(model.parameters(), before, strict=True)]
    for move, p, b in zip(moves, plain.parameters(), before, strict=True):
        step = (p - b).detach()
        torch.testing.assert_close(move, 0.01 * step / step.norm(), rtol=1e-6, atol=1e-12)
    assert tuner.reading is not None
    assert tuner.reading.update_norm == pytest.approx(0.01 * len(moves) ** 0.5, rel=1e-6)
    other = optimizer.state_dict()["state"]
    for index, state in twin.state_dict()["state"].items():
        for key, value in state.items():
            assert value is None or torch.equal(value, other[index][key])


@pytest.mark.parametrize("name", VARIANTS)
def test_plain_steps_are_those_of_torch(name: str) -> None:
    make, options = VARIANTS[name]
    model, optimizer, closure = scene(make, lr=0.01, **options)
    plain, twin, other_closure = scene(make, lr=0.01, **options)
    tuner = CLARA(optimizer, damping=0.1)
    for _ in range(5):
        tuner.step(closure)
        for group in twin.param_groups:
            group["lr"] = tuner.learning_rate
        twin.zero_grad()
        other_closure().backward()
        twin.step()
    assert tuner.next_rate != 0.01
    for p, q in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(p, q)


# The paper's checks.


def test_a_constant_direction_raises_the_rate() -> None:
    """Check 3, first half; a bound on the factor of a step."""
    tuner, _, closure = of_gradients([torch.ones(3, dtype=torch.float64)] * 120)
    found = exponents(tuner, closure, 120)
    assert tuner.relative_length == pytest.approx(9.0, rel=1e-9)
    assert math.exp(found[-1]) == pytest.approx(1.0080321, abs=1e-7)
    assert max(found) <= D * (1 / MU - 1) * (1 + 1e-9)


def test_an_alternating_direction_lowers_the_rate() -> None:
    """Check 3, second half; a bound on the factor of a step."""
    u = torch.ones(3, dtype=torch.float64)
    tuner, _, closure = of_gradients([u, -u] * 60)
    found = exponents(tuner, closure, 120)
    assert tuner.relative_length is not None
    assert tuner.relative_length * MU == pytest.approx((0.2 / 1.8) ** 2, rel=1e-9)
    assert found[-1] == pytest.approx(-0.888889e-3, abs=1e-9)
    assert min(found) >= -D


@pytest.mark.parametrize("layout", ["tensor", "global"])
def test_the_first_step_lowers_the_rate(layout: Any) -> None:
    """Check 4."""
    tuner, w, closure = of_gradients([torch.ones(3, dtype=torch.float64)], layout=layout)
    assert exponents(tuner, closure, 1) == [pytest.approx(-0.64 * D, rel=1e-9)]
    assert w.tolist() == [-1.0] * 3  # at the optimizer's rate: the change comes after the step
    assert tuner.relative_length is not None
    assert tuner.relative_length * MU == pytest.approx(0.04, rel=1e-12)


@pytest.mark.parametrize("adam", [False, True])
def test_many_tensors_agree_as_one_does(adam: bool) -> None:
    """Check 5."""
    found = []
    for number in (1, 5):
        params = [nn.Parameter(torch.zeros(4, dtype=torch.float64)) for _ in range(number)]
        optimizer = torch.optim.Adam(params) if adam else torch.optim.SGD(params, lr=1.0)
        tuner = CLARA(optimizer)
        for _ in range(10):
            tuner.step(lambda params=params: torch.stack([p.sum() for p in params]).sum())
        found.append(tuner.relative_length)
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_noise_moves_the_rate_nowhere_unless_adam_is_taken_for_sgd() -> None:
    """Check 6, the formulas: 1e5 steps."""
    g = np.random.default_rng(0).standard_normal((100_000, 60))
    s = {"sgd": g, "adam": lfilter([0.1], [1.0, -0.9], g, axis=0)}  # its second moment is constant
    drift = {}
    for name, steps in s.items():
        unit = steps / np.linalg.norm(steps, axis=1, keepdims=True)
        path = lfilter([0.2], [1.0, -0.8], unit, axis=0)
        drift[name] = (path**2).sum(axis=1).mean()
    assert drift["sgd"] / MU - 1 == pytest.approx(0.0, abs=0.01)
    corrected = path_mean(0.2, momentum=0.9, dimension=60)
    assert drift["adam"] / corrected - 1 == pytest.approx(0.0, abs=0.01)
    assert drift["adam"] / MU - 1 == pytest.approx(5.14, rel=0.01)


@pytest.mark.parametrize(
    ("adam", "reference", "drift"),
    [(False, "corrected", 0.0), (True, "corrected", 0.0), (True, "sgd", 5.14)],
)
def test_noise_moves_the_rate_of_the_tuner_as_the_formulas_say(
    adam: bool, reference: Any, drift: float
) -> None:
    """Check 6, the class: fewer steps of many dimensions, after the path has grown."""
    torch.manual_seed(0)
    gradients = [torch.randn(2000) for _ in range(1200)]
    tuner, _, closure = of_gradients(gradients, adam=adam, reference=reference)
    found = exponents(tuner, closure, 1200)[200:]
    assert sum(found) / len(found) / D == pytest.approx(drift, abs=0.02)


def quadratic(rate: float, steps: int, **options: Any) -> tuple[list[float], int]:
    """Rates times the curvature on a parabola, until |w| < 1e-250; steps made."""
    w = nn.Parameter(torch.ones(1, dtype=torch.float64))
    tuner = CLARA(torch.optim.SGD([w], lr=rate / 3.0), **options)
    rates = []
    while abs(w.item()) >= 1e-250 and len(rates) < steps:
        tuner.step(lambda: 1.5 * w.square().sum())
        rates.append(3.0 * tuner.learning_rate)
    return rates, len(rates)


@pytest.mark.parametrize("layout", ["tensor", "global"])
def test_on_a_parabola_the_rate_settles_at_the_newton_step(layout: Any) -> None:
    """Check 8."""
    rates, steps = quadratic(1e-4, 2000, layout=layout)
    assert steps == pytest.approx(1225, abs=1)
    assert max(rates) == pytest.approx(1.0204, abs=1e-4)
    assert rates[-1] == pytest.approx(1.003, abs=1e-3)
    rates, steps = quadratic(1.5, 2000, layout=layout)
    assert steps == pytest.approx(394, abs=1)
    assert rates[-1] == pytest.approx(1.057, abs=2e-3)


def test_unit_steps_on_a_parabola_shrink_with_the_rate() -> None:
    """Check 8, the unit-step variant: the distance left is of the order of the rate."""
    w = nn.Parameter(torch.ones(1, dtype=torch.float64))
    tuner = CLARA(torch.optim.SGD([w], lr=1e-4), unit_steps=True)
    rates, left = [], []
    for _ in range(1600):
        tuner.step(lambda: 0.5 * w.square().sum())
        rates.append(tuner.learning_rate)
        left.append(abs(w.item()))
    assert max(rates) == pytest.approx(0.0082, abs=1e-4)
    assert rates[-1] < 0.5 * max(rates)
    assert all(x <= rate for x, rate in zip(left[600:], rates[600:], strict=True))


def test_the_published_least_length_lets_the_rate_of_a_converged_run_fall() -> None:
    rates, _ = quadratic(1.0 - 1e-4, 40, published=True)
    ours, _ = quadratic(1.0 - 1e-4, 40)
    assert rates[:3] == ours[:3]
    assert rates[-1] < ours[-1]


# Options.


@pytest.mark.parametrize("published", [False, True])
def test_the_damping_of_none_is_two_sigma_of_all_parameters(published: bool) -> None:
    gradient = torch.ones(50, dtype=torch.float64)
    tuner, _, closure = of_gradients([gradient], damping=None, published=published)
    sigma = path_spread(0.2, 50, published=published)
    assert exponents(tuner, closure, 1) == [pytest.approx(-0.64 * 2 * sigma, rel=1e-9)]


def test_a_global_layout_weighs_tensors_by_their_gradients() -> None:
    """A large steady tensor outweighs a small one that alternates; by tensors both count alike."""
    found = {}
    for layout in ("tensor", "global"):
        a, b = (nn.Parameter(torch.zeros(2, dtype=torch.float64)) for _ in range(2))
        tuner = CLARA(torch.optim.SGD([a, b], lr=1e-3), layout=layout)  # type: ignore[arg-type]
        for t in range(100):
            tuner.step(lambda a=a, b=b, t=t: 100 * a.sum() + (-1) ** t * b.sum())
        found[layout] = tuner.relative_length
    assert found["global"] == pytest.approx(9.0, rel=1e-3)
    assert found["tensor"] == pytest.approx((9.0 + MU) / 2, rel=1e-3)


def test_groups_keep_their_ratios() -> None:
    model, _, closure = scene(torch.optim.SGD, lr=1.0)
    first, last = model[0], model[2]
    optimizer = torch.optim.SGD(
        [{"params": first.parameters()}, {"params": last.parameters(), "lr": 0.05}], lr=0.1
    )
    tuner = CLARA(optimizer, damping=0.1)
    for _ in range(5):
        tuner.step(closure)
    a, b = (group["lr"] for group in optimizer.param_groups)
    assert a == tuner.learning_rate != 0.1
    assert b == pytest.approx(0.5 * a, rel=1e-12)


def test_what_is_frozen_or_unused_does_not_count() -> None:
    _, optimizer, closure = scene(torch.optim.SGD, lr=0.1)
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(3))]})
    tuner = CLARA(optimizer)
    _, other, other_closure = scene(torch.optim.SGD, lr=0.1)
    twin = CLARA(other)
    for _ in range(5):
        tuner.step(closure)
        twin.step(other_closure)
    assert tuner.next_rate == twin.next_rate


def test_a_step_costs_one_gradient() -> None:
    _, optimizer, closure = scene(torch.optim.Adam, lr=0.1)
    tuner = CLARA(optimizer)
    for _ in range(3):
        tuner.step(closure)
    assert (tuner.steps, tuner.cost) == (3, 3.0)
    assert tuner.reading is not None
    assert tuner.reading.cost == 3.0


def test_a_loss_that_is_not_finite_changes_nothing() -> None:
    model, optimizer, closure = scene(torch.optim.Adam, lr=0.1)
    tuner = CLARA(optimizer)
    tuner.step(closure)
    before, own = model.state_dict(), tuner.state_dict()["own"]
    before = {name: value.clone() for name, value in before.items()}
    tuner.step(lambda: closure() * math.inf)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert tuner.next_rate == own["next_rate"]
    assert all(torch.equal(p, own["paths"][i]) for i, p in tuner._paths.items())


def test_half_precision_weights_have_a_path_in_single_precision() -> None:
    w = nn.Parameter(torch.ones(300, dtype=torch.bfloat16))
    tuner = CLARA(torch.optim.SGD([w], lr=1e-3))
    for _ in range(60):
        tuner.step(lambda: w.sum())
    assert tuner.relative_length == pytest.approx(9.0, rel=1e-4)


@pytest.mark.parametrize("name", ["nesterov", "amsgrad"])
@pytest.mark.parametrize("unit_steps", [False, True])
def test_it_resumes_bit_for_bit(name: str, unit_steps: bool) -> None:
    make, options = VARIANTS[name]
    model, optimizer, closure = scene(make, lr=0.05, **options)
    tuner = CLARA(optimizer, damping=None, unit_steps=unit_steps)
    for _ in range(6):
        tuner.step(closure)
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict(), tuner.state_dict()], file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    again, other, other_closure = scene(make, lr=0.7, **options)
    resumed = CLARA(other, damping=None, unit_steps=unit_steps)
    for state, target in zip(saved, (again, other, resumed), strict=True):
        target.load_state_dict(state)
    assert (resumed.relative_length, resumed.next_rate) == (tuner.relative_length, tuner.next_rate)
    for _ in range(6):
        other_closure()
    for _ in range(6):
        assert torch.equal(tuner.step(closure), resumed.step(other_closure))
        assert tuner.next_rate == resumed.next_rate
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_state_of_other_arguments_or_another_model_is_refused() -> None:
    _, optimizer, closure = scene(torch.optim.SGD, lr=0.1)
    tuner = CLARA(optimizer)
    tuner.step(closure)
    with pytest.raises(CheckpointError, match="same arguments"):
        CLARA(optimizer, cumulation=0.1).load_state_dict(tuner.state_dict())
    other = torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1)
    with pytest.raises(CheckpointError, match="start over"):
        CLARA(other).load_state_dict(tuner.state_dict())


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"cumulation": 0.0}, "cumulation"),
        ({"cumulation": 1.5}, "cumulation"),
        ({"damping": -1.0}, "damping"),
        ({"damping": math.nan}, "damping"),
        ({"layout": "layer"}, "layout"),
        ({"reference": "adam"}, "reference"),
    ],
)
def test_arguments_out_of_range(wrong: dict[str, Any], match: str) -> None:
    _, optimizer, _ = scene(torch.optim.SGD, lr=0.1)
    with pytest.raises(UnsupportedError, match=match):
        CLARA(optimizer, **wrong)


def test_an_optimizer_without_a_reference_is_refused() -> None:
    optimizer = torch.optim.RMSprop([nn.Parameter(torch.ones(2))])
    with pytest.raises(UnsupportedError, match="SGD, Adam or AdamW"):
        CLARA(optimizer)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("unit_steps", [False, True])
def test_a_gradient_of_exactly_zero_moves_nothing_to_nan(
    dtype: torch.dtype, unit_steps: bool
) -> None:
    """A perfect fit in single precision: a direction of nothing is nothing."""
    w = nn.Parameter(torch.tensor([1.0, 2.0], dtype=dtype))
    tuner = CLARA(torch.optim.SGD([w], 0.1), unit_steps=unit_steps)
    for scale in (1.0, 0.0, 0.0, 1.0):
        tuner.step(lambda scale=scale: (scale * w).sum())
    assert w.isfinite().all()
    assert 0 < tuner.next_rate < 0.1
