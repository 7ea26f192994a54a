"""Every second-order measurement leaves the run bit for bit as it was, also when it fails."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn.functional import cross_entropy

from lrsearch.curvature import (
    Hessian,
    batch_sharpness,
    critical_rate,
    curvature_along,
    probe_methods,
    sharpness,
)
from lrsearch.exceptions import MeasurementError

Everything = Callable[[nn.Module, optim.Optimizer], dict[str, Any]]


class Net(nn.Module):
    """Convolution, batch and instance normalisation, dropout, a recurrent layer, spectral norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3)
        self.norm = nn.BatchNorm1d(4)
        self.instance = nn.InstanceNorm1d(4, affine=True, track_running_stats=True)
        self.drop = nn.Dropout(0.4)
        self.gru = nn.GRU(4, 3, num_layers=2, dropout=0.3, batch_first=True)
        self.last = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))
        self.frozen = nn.BatchNorm1d(3)
        self.frozen.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(torch.tanh(self.instance(self.norm(self.conv(x)))))
        return self.frozen(self.last(self.gru(x.transpose(1, 2))[0][:, -1]))


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def batches(count: int = 3) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(6, 2, 6, generator=generator), torch.arange(6) % 3) for _ in range(count)]


def scene() -> tuple[nn.Module, optim.Optimizer]:
    """In the middle of a run: gradients, state, statistics, and modes of every kind."""
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    model = Net()
    model.conv.bias.requires_grad_(False)
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    for batch in batches():
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
    return model, optimizer


def u(model: nn.Module) -> list[Tensor]:
    return [-1e-2 * p.detach() for p in model.parameters() if p.requires_grad]


def products(method: str) -> Callable[..., None]:
    def measure(model: nn.Module, loss: Any, optimizer: optim.Optimizer) -> None:
        for given in (batches(1), batches(2)):
            with Hessian(model, loss, *given, optimizer=optimizer, method=method) as hessian:
                hessian.gradient()
                hessian @ hessian.random()
                hessian @ hessian.random(1)

    return measure


MEASURES: dict[str, Callable[[nn.Module, Any, optim.Optimizer], object]] = {
    **{
        method: products(method)
        for method in (
            "double-backward",
            "forward-over-reverse",
            "finite-difference",
            "gauss-newton",
        )
    },
    "sharpness": lambda m, f, o: sharpness(m, f, *batches(2), optimizer=o, k=2, ends="both"),
    "batch sharpness": lambda m, f, o: batch_sharpness(m, f, batches(), optimizer=o),
    "curvature": lambda m, f, o: curvature_along(m, f, *batches(1), direction=u(m)),
    "forward": lambda m, f, o: curvature_along(m, f, *batches(2), direction=u(m), method="forward"),
    "critical rate": lambda m, f, o: critical_rate(m, f, *batches(2), direction=u(m), start=1.0),
    "probe": lambda m, f, o: probe_methods(m, f, *batches(1)),
}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("held", [False, True])
def test_nothing_is_left_behind(name: str, held: bool, everything: Everything) -> None:
    model, optimizer = scene()
    graph = loss_fn(model, batches(1)[0]) if held else None  # a graph that the run still needs
    before = everything(model, optimizer)
    hooks = len(model._forward_hooks)
    try:
        MEASURES[name](model, loss_fn, optimizer)
    except MeasurementError:
        assert name == "forward-over-reverse"  # instance normalisation writes its statistics
    after = everything(model, optimizer)
    for what in before:
        assert after[what] == before[what], what
    assert all(w is p for w, p in zip(model.gru._flat_weights, model.gru.parameters(), strict=True))
    assert len(model._forward_hooks) == hooks
    if graph is not None:
        graph.backward()


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("when", ["before", "after"])
def test_nor_when_it_fails_in_the_middle(
    name: str, error: type[BaseException], when: str, everything: Everything
) -> None:
    """At each call of the loss in turn, before or after the forward pass, having drawn numbers."""
    model, optimizer = scene()
    before = everything(model, optimizer)
    calls, bad, failed = 0, 1, True

    def fragile(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        loss = loss_fn(model, batch) if when == "after" or calls != bad else torch.ones(())
        if calls == bad:
            torch.rand(2), np.random.rand(2), random.random()
            raise error("stop")
        return loss

    while failed and bad <= 4:
        calls, failed = 0, False
        try:
            MEASURES[name](model, fragile, optimizer)
        except (MeasurementError, error):
            failed = True
        except BaseException as other:  # only an interrupt may come through as it is
            raise AssertionError(f"{name} let through {other!r}") from other
        after = everything(model, optimizer)
        for what in before:
            assert after[what] == before[what], (what, bad)
        bad += 1
    assert bad > 2


@pytest.mark.parametrize("name", [n for n in MEASURES if n != "forward-over-reverse"])
def test_errors_of_the_loss_become_measurement_errors_and_interrupts_do_not(name: str) -> None:
    model, optimizer = scene()

    def raising(error: BaseException) -> Callable[..., Tensor]:
        def loss(model: nn.Module, batch: Any) -> Tensor:
            raise error

        return loss

    with pytest.raises(MeasurementError, match="out of memory"):
        MEASURES[name](model, raising(RuntimeError("out of memory")), optimizer)
    with pytest.raises(KeyboardInterrupt):
        MEASURES[name](model, raising(KeyboardInterrupt()), optimizer)


@pytest.mark.parametrize("name", MEASURES)
def test_a_loss_that_draws_random_numbers_is_refused_and_they_are_put_back(
    name: str, everything: Everything
) -> None:
    model, optimizer = scene()
    before = everything(model, optimizer)

    def noisy(model: nn.Module, batch: Any) -> Tensor:
        return loss_fn(model, (batch[0] + 1e-9 * torch.randn_like(batch[0]), batch[1]))

    with pytest.raises(MeasurementError):
        MEASURES[name](model, noisy, optimizer)
    assert everything(model, optimizer) == before


def test_a_metric_that_fails_leaves_the_modes_alone(
    everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = scene()
    before = everything(model, optimizer)

    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("no metric")

    monkeypatch.setattr("lrsearch.curvature._hessian.inverse_root", failing)
    hessian = Hessian(model, loss_fn, *batches(1), optimizer=optimizer)
    with pytest.raises(RuntimeError, match="no metric"):
        hessian.__enter__()
    assert everything(model, optimizer) == before
