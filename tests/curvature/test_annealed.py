"""Looks: what the averaged weights give on validation data, when it is asked, and at what price."""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lrsearch.curvature import Watch
from lrsearch.curvature._annealed import DEAR
from lrsearch.stability import LOOKS, look_steps

BUDGET = 400
FORWARD = 0.4


def data(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=generator)
    return x, (x[:, :3] + 0.3 * x[:, 3:]).argmax(1)


BATCH, HELD_OUT = data(16, 1), data(48, 2)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 3)
    )


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def held_out(model: nn.Module) -> float:
    model.eval()
    with torch.no_grad():
        return float(loss_fn(model, HELD_OUT))


def trained(
    validation_loss: Callable[[nn.Module], float] | None,
    budget: int | None = BUDGET,
    *,
    steps: int = BUDGET // 2,
    loss_fn: Callable[[nn.Module, Any], Tensor] = loss_fn,
    after: Callable[[int, Watch], None] = lambda step, watch: None,
) -> Watch:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Watch(model, optimizer, loss_fn, budget=budget, validation_loss=validation_loss) as watch:
        for step in range(1, steps + 1):
            model.train()
            optimizer.zero_grad()
            loss = loss_fn(model, BATCH)
            loss.backward()
            optimizer.step()
            watch.step(loss.detach(), BATCH)
            after(step, watch)
    return watch


def looked(watch: Watch) -> dict[int, float]:
    found = {r.step: r.annealed_validation for r in watch.readings}
    return {step: loss for step, loss in found.items() if loss is not None}


def test_it_is_the_validation_loss_of_the_averaged_weights_at_the_looks() -> None:
    expected: dict[int, float] = {}

    def after(step: int, watch: Watch) -> None:
        if step in look_steps(BUDGET):
            with watch.averaged() as model:
                modes = [m.training for m in model.modules()]
                expected[step] = held_out(model)
                for module, mode in zip(model.modules(), modes, strict=True):
                    module.training = mode

    watch = trained(held_out, after=after)
    assert look_steps(BUDGET) == (20, 40, 80, 160) == tuple(round(x * BUDGET) for x in LOOKS)
    assert looked(watch) == pytest.approx(expected)
    assert list(expected) == [20, 40, 80, 160]


@pytest.mark.parametrize("budget", [None, 99])
def test_runs_that_are_short_or_of_no_known_length_have_none(budget: int | None) -> None:
    watch = trained(held_out, budget, steps=80)
    assert looked(watch) == {}
    assert watch.readings


def test_looks_need_steps_to_average_over() -> None:
    assert look_steps(100) == (20, 40)
    assert look_steps(160) == (16, 32, 64)


def test_a_run_is_the_same_with_them_also_where_they_draw_and_change_modes() -> None:
    def careless(model: nn.Module) -> float:
        torch.rand(3), np.random.rand(), random.random()
        for module in model.modules():
            module.train()
        return float(loss_fn(model, HELD_OUT))

    def state(watch: Watch) -> list[Any]:
        tensors = [*watch.model.state_dict().values(), torch.get_rng_state()]
        drawn = np.random.rand(), random.random()
        return [tensors, drawn, [m.training for m in watch.model.modules()]]

    found = []
    for validation_loss in (None, careless):
        random.seed(0), np.random.seed(0)
        found.append(copy.deepcopy(state(trained(validation_loss))))
    (plain, drawn, modes), (other, *rest) = found
    assert rest == [drawn, modes]
    assert all(map(torch.equal, plain, other))


def test_the_account_tells_what_was_shown() -> None:
    """Three batches' worth of entries a look, and the loss without a graph as often as asked."""
    asked = 0

    def counted(model: nn.Module, batch: Any) -> Tensor:
        nonlocal asked
        asked += not torch.is_grad_enabled()
        return loss_fn(model, batch)

    watch = trained(held_out, loss_fn=counted)
    assert len(looked(watch)) == 4
    assert watch.cost == pytest.approx(FORWARD * (asked + 3 * 4))


def test_as_many_probes_as_without() -> None:
    steps = [[r.step for r in trained(f, steps=BUDGET).readings] for f in (None, held_out)]
    assert len(steps[0]) == len(steps[1])
    assert set(look_steps(BUDGET)) <= set(steps[1])


def test_one_that_is_dear_is_asked_once_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    rounds = int(DEAR * BUDGET / FORWARD / 3) + 1

    def dear(model: nn.Module) -> float:
        return sum(held_out(model) for _ in range(rounds)) / rounds

    with caplog.at_level(logging.WARNING, logger="lrsearch"):
        watch = trained(dear)
    assert list(looked(watch)) == [20]
    (said,) = [r.getMessage() for r in caplog.records if "validation_loss" in r.getMessage()]
    assert "fewer batches" in said


def broken(model: nn.Module) -> float:
    raise KeyError("no such split")


@pytest.mark.parametrize(
    ("validation_loss", "words"),
    [
        (broken, "no such split"),
        (lambda model: -0.9, "-0.9"),
        (lambda model: 0.0, "positive"),
        (lambda model: float("nan"), "nan"),
        (lambda model: float("inf"), "inf"),
        (lambda model: "good", "good"),
    ],
)
def test_one_that_fails_costs_no_run(
    validation_loss: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="lrsearch"):
        watch = trained(validation_loss)
    assert looked(watch) == {}
    assert watch.steps == BUDGET // 2
    assert all(r.sharpness is not None for r in watch.readings)
    first = next(r for r in watch.readings if r.step == 20)
    assert "validation_loss" in (first.note or "")
    assert words in (first.note or "")
    assert sum("validation_loss" in r.getMessage() for r in caplog.records) == 1


def test_looks_go_on_after_a_resume() -> None:
    whole = trained(held_out)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept: dict[str, Any] = {}

    def after(step: int, watch: Watch) -> None:
        if step == 50:
            kept["watch"] = copy.deepcopy(watch.state_dict())
            kept["model"] = copy.deepcopy(watch.model.state_dict())
            kept["rng"] = torch.get_rng_state()

    trained(held_out, steps=50, after=after)
    model.load_state_dict(kept["model"])
    torch.set_rng_state(kept["rng"])
    with Watch(model, optimizer, loss_fn, budget=BUDGET, validation_loss=held_out) as watch:
        watch.load_state_dict(kept["watch"])
        for _ in range(50, BUDGET // 2):
            optimizer.zero_grad()
            loss = loss_fn(model, BATCH)
            loss.backward()
            optimizer.step()
            watch.step(loss.detach(), BATCH)
    assert looked(watch) == looked(whole)
