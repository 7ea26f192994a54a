"""The gradient in the optimizer's metric, recomputed from gradients alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from lrsearch.curvature import direction, inverse_root, threshold, usual_rate

EPS = 1e-3  # large enough to be seen
STEPS = 7


def mean_of_squares(gradients: list[Tensor], beta: float) -> Tensor:
    v = torch.zeros_like(gradients[0])
    for g in gradients:
        v = beta * v + (1 - beta) * g**2
    return v


def adam(gradients: list[Tensor], beta: float = 0.9) -> Tensor:
    return (mean_of_squares(gradients, beta) / (1 - beta ** len(gradients))).sqrt() + EPS


def amsgrad(gradients: list[Tensor]) -> Tensor:
    """Largest uncorrected second moment, corrected at the end: as torch does it."""
    largest = torch.stack(
        [mean_of_squares(gradients[: i + 1], 0.9) for i in range(len(gradients))]
    ).amax(0)
    return (largest / (1 - 0.9 ** len(gradients))).sqrt() + EPS


def radam(gradients: list[Tensor], beta: float = 0.9) -> Tensor:
    """Liu et al. 2020, eq. 6 and 7; no adaptive rate while the variance is out of control."""
    t, longest = len(gradients), 2 / (1 - beta) - 1
    length = longest - 2 * t * beta**t / (1 - beta**t)
    if length <= 5:
        return torch.ones_like(gradients[0])
    rectified = ((length - 4) * (length - 2) * longest) / ((longest - 4) * (longest - 2) * length)
    # torch adds eps before it corrects the bias
    root = mean_of_squares(gradients, beta).sqrt() + EPS
    return root / math.sqrt(1 - beta**t) / math.sqrt(rectified)


def rmsprop(gradients: list[Tensor]) -> Tensor:
    return mean_of_squares(gradients, 0.8).sqrt() + EPS


def centered(gradients: list[Tensor]) -> Tensor:
    mean = torch.zeros_like(gradients[0])
    for g in gradients:
        mean = 0.8 * mean + 0.2 * g
    return (mean_of_squares(gradients, 0.8) - mean**2).sqrt() + EPS


def adagrad(gradients: list[Tensor]) -> Tensor:
    return (0.25 + torch.stack(gradients).square().sum(0)).sqrt() + EPS


def identity(gradients: list[Tensor]) -> Tensor:
    return torch.ones_like(gradients[0])


BETAS = {"betas": (0.5, 0.9), "eps": EPS}
CASES: dict[str, tuple[Callable[[Any], optim.Optimizer], Callable[[list[Tensor]], Tensor]]] = {
    "sgd": (lambda p: optim.SGD(p, lr=0.1), identity),
    "momentum": (lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True), identity),
    "adam": (lambda p: optim.Adam(p, lr=0.1, **BETAS), adam),
    "adam-tensor-rate": (lambda p: optim.Adam(p, lr=torch.tensor(0.1), **BETAS), adam),
    "amsgrad": (lambda p: optim.Adam(p, lr=0.1, amsgrad=True, **BETAS), amsgrad),
    "adamw": (lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.3, **BETAS), adam),
    "nadam": (lambda p: optim.NAdam(p, lr=0.1, **BETAS), adam),
    "radam": (lambda p: optim.RAdam(p, lr=0.1, **BETAS), radam),
    "rmsprop": (lambda p: optim.RMSprop(p, lr=0.1, alpha=0.8, eps=EPS), rmsprop),
    "rmsprop-centered": (
        lambda p: optim.RMSprop(p, lr=0.1, alpha=0.8, eps=EPS, centered=True),
        centered,
    ),
    "adagrad": (
        lambda p: optim.Adagrad(p, lr=0.1, eps=EPS, initial_accumulator_value=0.25),
        adagrad,
    ),
    "adagrad-decay": (
        lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.5, eps=EPS, initial_accumulator_value=0.25),
        lambda gradients: adagrad(gradients) * (1 + 0.5 * (len(gradients) - 1)),
    ),
    "unknown": (lambda p: optim.Rprop(p, lr=0.1), identity),
}


@pytest.mark.parametrize("kind", CASES)
def test_direction_is_the_gradient_over_the_preconditioner(kind: str) -> None:
    build, reference = CASES[kind]
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(4, 3).double()), nn.Parameter(torch.randn(5).double())]
    optimizer = build(params)
    histories: list[list[Tensor]] = [[], []]
    for _ in range(STEPS):
        for p, history in zip(params, histories, strict=True):
            p.grad = torch.randn_like(p) * torch.linspace(0.01, 10, p.numel()).view_as(p).double()
            history.append(p.grad.clone())
        optimizer.step()
        for d, history in zip(direction(optimizer), histories, strict=True):
            expected = history[-1] / reference(history)
            assert torch.allclose(d, expected, rtol=1e-9, atol=0), kind


PLAIN: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "amsgrad": lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.0),
    "nadam": lambda p: optim.NAdam(p, lr=0.1, momentum_decay=0.0),
    "radam": lambda p: optim.RAdam(p, lr=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.1),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "adagrad-decay": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.3),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_the_step_itself_confirms_the_preconditioner(kind: str) -> None:
    """With a constant gradient and nothing else, the update is the rate times the direction."""
    w = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer = PLAIN[kind]([w])
    for step in range(1, 401):
        before = w.detach().clone()
        w.grad = torch.tensor([1e-4, -1.0, 3.0, 50.0], dtype=torch.float64)
        optimizer.step()
        # nadam divides its early momentum by other numbers than an average of ones would need
        if step in ((400,) if kind == "nadam" else (1, 2, 5, 6, 20, 400)):
            (d,) = direction(optimizer)
            assert torch.allclose(before - w.detach(), 0.1 * d, rtol=1e-9, atol=1e-15), step


@pytest.mark.parametrize("kind", CASES)
def test_before_the_first_step_the_metric_is_the_identity(kind: str) -> None:
    """Adagrad has its state from the beginning: that must not count as a step."""
    w = nn.Parameter(torch.ones(3).double())
    optimizer = CASES[kind][0]([w])
    w.grad = torch.tensor([1.0, 2.0, 3.0]).double()
    assert direction(optimizer)[0].tolist() == [1.0, 2.0, 3.0]
    assert inverse_root(optimizer, [w]) is None
    assert bool(optimizer.state) == kind.startswith("adagrad")  # and none is made up


@pytest.mark.parametrize("full_batch", [False, True])
@pytest.mark.parametrize("kind", ["adam", "nadam", "radam", "rmsprop", "adagrad", "sgd"])
def test_inverse_root_is_the_inverse_root(kind: str, full_batch: bool) -> None:
    build, reference = CASES[kind]
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(4, 3).double()), nn.Parameter(torch.randn(5).double())]
    rates = [{"params": params[:1]}, {"params": params[1:], "lr": 0.03}]
    optimizer = build(rates)
    histories: list[list[Tensor]] = [[], []]
    products = []
    for t in range(1, STEPS + 1):
        for p, history in zip(params, histories, strict=True):
            p.grad = torch.randn_like(p)
            history.append(p.grad.clone())
        optimizer.step()
        early = {"adam": 1 - 0.5**t, "radam": 1 - 0.5**t}.get(kind, 1.0)
        if kind == "nadam":  # Dozat's product of momenta, up to the coming one
            products.append(0.5 * (1 - 0.5 * 0.96 ** (t * 4e-3)))
            early = 1 - math.prod(products) * 0.5 * (1 - 0.5 * 0.96 ** ((t + 1) * 4e-3))
        roots = inverse_root(optimizer, params, full_batch=full_batch)
        assert roots is not None
        for root, history, ratio in zip(roots, histories, (1.0, 0.3), strict=True):
            scale = reference(history) * (early if full_batch else 1.0) / ratio
            assert torch.allclose(root, scale**-0.5, rtol=1e-6, atol=0)


def test_the_metric_covers_the_parameters_that_are_asked_for_in_their_order() -> None:
    a, b, c = (nn.Parameter(torch.ones(n).double()) for n in (2, 3, 4))
    optimizer = optim.RMSprop([a, b], lr=0.1, alpha=0.0, eps=0.0)
    a.grad, b.grad = torch.full((2,), 4.0).double(), torch.full((3,), 9.0).double()
    optimizer.step()
    roots = inverse_root(optimizer, [b, c, a])
    assert roots is not None
    assert [r.tolist() for r in roots] == [
        pytest.approx([1 / 3] * 3),
        [1.0] * 4,  # not the optimizer's
        [0.5, 0.5],
    ]
    assert inverse_root(optimizer, [c]) is None


def test_a_rate_of_zero_takes_a_group_out() -> None:
    a, b = (nn.Parameter(torch.ones(2).double()) for _ in range(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.0}], lr=0.1)
    roots = inverse_root(optimizer, [a, b])
    assert roots is not None
    assert [r.tolist() for r in roots] == [[1.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    "kind", ["adam", "amsgrad", "nadam", "radam", "rmsprop", "rmsprop-centered"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dead_coordinates_are_taken_out_and_nearly_dead_ones_are_bounded(
    kind: str, dtype: torch.dtype
) -> None:
    """What rounding leaves of a gradient is no reason for a P of rounding size."""
    w = nn.Parameter(torch.ones(4, dtype=dtype))
    dead = nn.Parameter(torch.ones(3, dtype=dtype))
    optimizer = CASES[kind][0]([w, dead])
    for group in optimizer.param_groups:
        group["eps"] = 1e-12
    for sign in (1, -1) * 10:
        w.grad = sign * torch.tensor([0.0, 1e-9, 1.0, 2.0], dtype=dtype)
        dead.grad = torch.zeros(3, dtype=dtype)
        optimizer.step()
    roots = inverse_root(optimizer, [w, dead])
    assert roots is not None
    assert roots[0].dtype == dtype
    assert roots[0][0] == 0.0
    assert roots[1].tolist() == [0.0] * 3
    inverse = roots[0] ** 2
    scale = float((1 / inverse[2:]).square().sum().div(4).sqrt())  # over all four, two are zero
    assert float(inverse[1]) == pytest.approx(1e4 / scale, rel=0.05)


def test_a_coordinate_that_has_an_accumulator_is_not_dead() -> None:
    w = nn.Parameter(torch.ones(2).double())
    optimizer = optim.Adagrad([w], lr=0.1, initial_accumulator_value=0.25, eps=0.0)
    w.grad = torch.tensor([0.0, 1.0]).double()
    optimizer.step()
    roots = inverse_root(optimizer, [w])
    assert roots is not None
    assert (roots[0] ** -2).tolist() == pytest.approx([0.5, math.sqrt(1.25)])


@pytest.mark.parametrize("kind", [k for k in CASES if k != "unknown"])
def test_dead_and_reviving_units_stay_bounded(kind: str) -> None:
    """No gradient so far gives nothing; a first gradient is bounded by what v holds of it."""
    build, _ = CASES[kind]
    w = nn.Parameter(torch.ones(3).double())
    optimizer = build([w])
    for _ in range(5):
        w.grad = torch.tensor([0.0, 1.0, 0.0]).double()
        optimizer.step()
    (d,) = direction(optimizer)
    assert d.isfinite().all()
    assert d[0] == 0.0 == d[2]
    w.grad = torch.tensor([0.0, 1.0, 1e6]).double()
    optimizer.step()
    (d,) = direction(optimizer)
    assert d.isfinite().all()
    rectified = kind == "radam"  # not yet, after so few steps: they go along the gradient itself
    if kind not in ("sgd", "momentum") and not rectified:
        assert abs(d[2]) <= 1 / math.sqrt(1 - 0.9) + 1e-9  # beta 0.9 is the longest memory here


def test_parameters_without_a_gradient_are_left_out_and_no_state_is_made_up() -> None:
    params = [nn.Parameter(torch.ones(2)) for _ in range(3)]
    optimizer = optim.SGD(params, lr=0.1)
    params[1].grad = torch.full((2,), 3.0)
    params[2].grad = torch.eye(2).to_sparse()[0]
    assert [d.tolist() for d in direction(optimizer)] == [[3.0, 3.0]]
    assert dict(optimizer.state) == {}


def test_groups_keep_the_ratio_of_their_rates() -> None:
    a, b, c = (nn.Parameter(torch.ones(2)) for _ in range(3))
    optimizer = optim.SGD(
        [{"params": a}, {"params": b, "lr": 0.05}, {"params": c, "lr": 0.0}], lr=0.2
    )
    for p in (a, b, c):
        p.grad = torch.tensor([4.0, -8.0])
    assert [d.tolist() for d in direction(optimizer)] == [[4.0, -8.0], [1.0, -2.0], [0.0, 0.0]]
    assert [p.grad.tolist() for p in (a, b, c)] == [[4.0, -8.0]] * 3  # new tensors
    direction(optimizer)[0].zero_()
    assert a.grad.tolist() == [4.0, -8.0]
    optimizer.param_groups[0]["lr"] = 0.0  # a warm-up from zero: no ratio to be had
    assert [d.tolist() for d in direction(optimizer)] == [[4.0, -8.0]] * 3


def w() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(1))]


@pytest.mark.parametrize(
    ("optimizer", "constant"),
    [
        (lambda: optim.SGD(w(), lr=1), 2.0),
        (lambda: optim.SGD(w(), lr=1, momentum=0.9), 0.2),
        (lambda: optim.SGD(w(), lr=1, momentum=0.9, nesterov=True), 0.2),
        (lambda: optim.SGD(w(), lr=1, momentum=0.9, dampening=0.9), 2.0),
        (lambda: optim.SGD(w(), lr=1, momentum=0.5, dampening=0.2), 1.25),
        (lambda: optim.SGD(w(), lr=1, dampening=0.5), 2.0),  # torch ignores it without momentum
        (lambda: optim.SGD(w(), lr=1, momentum=0.9, dampening=1.0), None),  # never moves again
        (lambda: optim.SGD(w(), lr=1, momentum=1.0), None),
        (lambda: optim.SGD(w(), lr=1, maximize=True), None),
        (lambda: optim.Adam(w(), betas=(0.9, 0.999)), 2.0),
        (lambda: optim.Adam(w(), maximize=True), None),
        (lambda: optim.AdamW(w(), betas=(0.0, 0.9)), 2.0),
        (lambda: optim.NAdam(w()), 2.0),
        (lambda: optim.RAdam(w()), 2.0),
        (lambda: optim.RMSprop(w()), 2.0),
        (lambda: optim.RMSprop(w(), momentum=0.75), 0.5),
        (lambda: optim.Adagrad(w()), 2.0),
        (lambda: optim.Rprop(w()), None),
        (lambda: optim.LBFGS(w()), None),
        (lambda: optim.Adamax(w()), None),
    ],
)
def test_threshold(optimizer: Callable[[], optim.Optimizer], constant: float | None) -> None:
    assert threshold(optimizer()) == (None if constant is None else pytest.approx(constant))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_momentum_under_noise_moves_as_far_as_its_threshold_says(momentum: float) -> None:
    """Independent gradients add up to a step of ``rate / (1 - momentum)``: 2 over the threshold."""
    p = w()
    optimizer = optim.SGD(p, lr=1.0, momentum=momentum)
    p[0].grad = torch.ones(1)
    for _ in range(300):
        before = p[0].item()
        optimizer.step()
    assert before - p[0].item() == pytest.approx(2.0 / threshold(optimizer), rel=1e-3)


class OwnAdam(optim.AdamW):
    pass


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        (lambda: optim.SGD(w(), lr=7), 0.1),
        (lambda: optim.SGD(w(), lr=7, momentum=0.9), 0.02),
        (lambda: optim.Adam(w(), lr=7), 1e-3),
        (lambda: OwnAdam(w(), lr=7), 1e-3),
        (lambda: optim.NAdam(w(), lr=7), 2e-3),
        (lambda: optim.RMSprop(w(), lr=7), 1e-3),
        (lambda: optim.Adagrad(w(), lr=7), 1e-2),
        (lambda: optim.Rprop(w(), lr=7), None),
    ],
)
def test_usual_rate(optimizer: Callable[[], optim.Optimizer], rate: float | None) -> None:
    assert usual_rate(optimizer()) == rate


def test_a_variance_that_rounding_has_made_negative_is_none() -> None:
    """Under a constant gradient the centred second moment is zero, give or take a rounding."""
    p = nn.Parameter(torch.ones(2))
    optimizer = optim.RMSprop([p], lr=0.1, centered=True, eps=EPS)
    p.grad = torch.ones(2)
    optimizer.step()
    optimizer.state[p]["square_avg"] = torch.tensor([1.0, 1.0])
    optimizer.state[p]["grad_avg"] = torch.tensor([1.0 + 1e-6, 0.0])
    assert direction(optimizer)[0].tolist() == pytest.approx([1 / EPS, 1 / (1 + EPS)])
