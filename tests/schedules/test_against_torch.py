"""The shapes against torch's own schedulers, step by step."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer
from torch.optim import lr_scheduler as theirs

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules import Schedule

T, PEAK = 60, 0.3


def sgd(rate: float = PEAK) -> SGD:
    return SGD([torch.nn.Parameter(torch.ones(1))], lr=rate, momentum=0.9)


def trace(
    make: Callable[[Optimizer], theirs.LRScheduler], optimizer: Optimizer, steps: int = T
) -> list[tuple[float, float]]:
    """Learning rate and momentum of every update."""
    scheduler = make(optimizer)
    used = []
    for _ in range(steps):
        (group,) = optimizer.param_groups
        momentum = group["betas"][0] if "betas" in group else group["momentum"]
        used.append((float(group["lr"]), float(momentum)))
        optimizer.step()
        scheduler.step()
    return used


CASES = [
    pytest.param(
        Schedule("polynomial", PEAK, T, {"power": 1.7}),
        lambda o: theirs.PolynomialLR(o, total_iters=T, power=1.7),
        id="polynomial",
    ),
    pytest.param(
        # A decay to r * peak that ends there is torch's gamma per step.
        Schedule("exponential", PEAK, T, {"ratio": 0.01}, end_value=0.01 * PEAK),
        lambda o: theirs.ExponentialLR(o, gamma=0.01 ** (1 / T)),
        id="exponential",
    ),
    pytest.param(
        Schedule("step", PEAK, T, {"drops": 2, "factor": 0.2}),
        lambda o: theirs.StepLR(o, step_size=T // 3, gamma=0.2),
        id="step equal",
    ),
    pytest.param(
        Schedule("step", PEAK, T, {"drops": 2, "factor": 0.1, "spacing": "halving"}),
        lambda o: theirs.MultiStepLR(o, milestones=[T // 2, T * 3 // 4], gamma=0.1),
        id="step halving",
    ),
    pytest.param(
        Schedule("inverse_sqrt", PEAK, T, {"timescale": 0.1}),
        lambda o: theirs.LambdaLR(o, lambda t: (1 + t / 6) ** -0.5),
        id="inverse_sqrt",
    ),
    pytest.param(
        Schedule("power", PEAK, T, {"cap": 0.1, "exponent": 0.51, "cooldown": 0.01}),
        lambda o: theirs.LambdaLR(o, lambda t: min(1.0, (t / 6) ** -0.51) if t else 1.0),
        id="power",
    ),
    pytest.param(
        Schedule("rex", PEAK, T),
        lambda o: theirs.LambdaLR(o, lambda t: (1 - t / T) / (1 / 2 + (1 - t / T) / 2)),
        id="rex",
    ),
    pytest.param(
        Schedule("cosine_restarts", PEAK, T, {"cycles": 4}, end_value=0.02),
        lambda o: theirs.CosineAnnealingWarmRestarts(o, T_0=T // 4, eta_min=0.02),
        id="cosine_restarts",
    ),
    pytest.param(
        Schedule("cosine_restarts", PEAK, T, {"cycles": 4, "growth": 2}, end_value=0.02),
        lambda o: theirs.CosineAnnealingWarmRestarts(o, T_0=T // 15, T_mult=2, eta_min=0.02),
        id="cosine_restarts growing",
    ),
    pytest.param(
        Schedule("cyclic", PEAK, T, {"cycles": 3, "low": 0.0}, end_value=0.02),
        lambda o: theirs.CyclicLR(o, 0.02, PEAK, step_size_up=10, cycle_momentum=False),
        id="cyclic triangular",
    ),
    pytest.param(
        Schedule("cyclic", PEAK, T, {"cycles": 3, "low": 0.0, "decay": 0.5, "rise": 0.25}, 0, 0.02),
        lambda o: theirs.CyclicLR(
            o, 0.02, PEAK, step_size_up=5, step_size_down=15, mode="triangular2",
            cycle_momentum=False,
        ),
        id="cyclic triangular2",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "make"), CASES)
def test_learning_rates_are_those_of_torch(schedule: Schedule, make: Callable[[Any], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch on its own deprecated step argument
        expected = [rate for rate, _ in trace(make, sgd())]
    assert schedule.values().tolist() == pytest.approx(expected, rel=1e-11)
    assert [rate for rate, _ in trace(schedule.torch, sgd())] == schedule.values().tolist()


def one_cycle(anneal: str, optimizer: Optimizer, rise: int = 20) -> list[tuple[float, float]]:
    # torch's last value belongs to its last step, ours to the one after: it gets T + 1 steps.
    scheduler = lambda o: theirs.OneCycleLR(  # noqa: E731
        o,
        max_lr=PEAK,
        total_steps=T + 1,
        pct_start=(rise + 1) / (T + 1),
        anneal_strategy="cos" if anneal == "cosine" else "linear",
        div_factor=25.0,
        final_div_factor=100.0,
    )
    return trace(scheduler, optimizer)


@pytest.mark.parametrize("anneal", ["cosine", "linear"])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_one_cycle_is_that_of_torch_with_momentum(anneal: str, kind: type[Optimizer]) -> None:
    def optimizer() -> Optimizer:
        extra = {"momentum": 0.9} if kind is SGD else {}
        return kind([torch.nn.Parameter(torch.ones(1))], lr=PEAK, **extra)  # type: ignore[call-arg]

    end = PEAK / 25 / 100
    start = (PEAK / 25 - end) / (PEAK - end)
    parameters = {"rise": 20 / T, "start": start, "anneal": anneal}
    schedule = Schedule("one_cycle", PEAK, T, parameters, end_value=end)
    used, expected = trace(schedule.torch, optimizer()), one_cycle(anneal, optimizer())
    for mine, wanted in zip(used, expected, strict=True):
        assert mine == pytest.approx(wanted, rel=1e-12)
    assert used[20] == (PEAK, 0.85)
    assert used[0][1] == 0.95 == schedule.momentum(T) == schedule.momentum(10**9)


def test_one_cycle_may_leave_momentum_alone() -> None:
    schedule = Schedule("one_cycle", PEAK, T, {"momentum": "kept"})
    assert {momentum for _, momentum in trace(schedule.torch, sgd())} == {0.9}
    assert schedule.momentum(0) is None
    schedule.torch(SGD([torch.nn.Parameter(torch.ones(1))], lr=PEAK))
    plain = SGD([torch.nn.Parameter(torch.ones(1))], lr=PEAK)
    with pytest.raises(InvalidScheduleError, match=r"group 0 of SGD has none; .* momentum='kept'"):
        Schedule("one_cycle", PEAK, T).torch(plain)
    assert plain.param_groups[0]["lr"] == PEAK
    assert "initial_lr" not in plain.param_groups[0]


def test_capturable_betas_are_filled_in_place() -> None:
    beta = torch.tensor(0.5)
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = Adam([parameter], lr=torch.tensor(0.1), betas=(beta, torch.tensor(0.9)))
    Schedule("one_cycle", PEAK, T).torch(optimizer)
    assert optimizer.param_groups[0]["betas"][0] is beta
    assert beta.item() == pytest.approx(0.95)
