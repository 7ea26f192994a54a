"""What all tuners have in common: one protocol, one state, the same words where it goes wrong."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer

from lrsearch.exceptions import CheckpointError, MeasurementError, UnsupportedError
from lrsearch.stability import Reading
from lrsearch.tuners import CDAT, CLARA, SALERA, ALeRA, LineSearch, Tuner

Build = Callable[[Optimizer], Tuner]

BUILDERS: dict[str, Build] = {
    "cdat": lambda optimizer: CDAT(optimizer, decay=0.9),
    "cdat-forward": lambda optimizer: CDAT(optimizer, decay=0.9, curvature="forward"),
    "line-search": lambda optimizer: LineSearch(optimizer),
}
every = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


def scene(seed: int = 0) -> tuple[nn.Module, Callable[[nn.Module, int], Tensor]]:
    """A small network with dropout and batch normalisation, and its loss at a step."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3)
    )
    x, y = torch.randn(64, 4), torch.randint(3, (64,))

    def loss(model: nn.Module, step: int) -> Tensor:
        rows = torch.randperm(64, generator=torch.Generator().manual_seed(step))[:16]
        return cross_entropy(model(x[rows]), y[rows])

    return model, loss


def groups(model: nn.Module) -> list[dict[str, Any]]:
    params = list(model.parameters())
    return [{"params": params[:2], "lr": 0.04}, {"params": params[2:], "lr": 0.01}]


@every
def test_a_step_is_read_and_counted(build: Build) -> None:
    model, loss = scene()
    tuner = build(Adam(groups(model)))
    assert (tuner.steps, tuner.cost, tuner.reading) == (0, 0.0, None)
    assert tuner.learning_rate == 0.04
    for step in range(3):
        before = [p.detach().clone() for p in model.parameters()]
        value = tuner.step(lambda step=step: loss(model, step))
        reading = tuner.reading
        assert isinstance(reading, Reading)
        assert not value.requires_grad
        assert value.shape == ()
        assert reading.step == tuner.steps == step + 1
        assert reading.learning_rate == tuner.learning_rate
        assert reading.loss == value.item()
        assert reading.finite
        assert reading.cost == tuner.cost
        moved = [p.detach() - b for p, b in zip(model.parameters(), before, strict=True)]
        assert reading.update_norm == pytest.approx(
            float(torch.cat([m.flatten() for m in moved]).norm())
        )
        grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        assert reading.gradient_norm == pytest.approx(float(torch.cat(grads).norm()))
        assert Reading.from_dict(reading.to_dict()) == reading
    assert tuner.cost >= 3 * tuner.cost_per_step - 1e-9 > 3


@every
def test_groups_keep_their_ratios(build: Build) -> None:
    model, loss = scene()
    optimizer = Adam(groups(model))
    tuner = build(optimizer)
    for step in range(4):
        tuner.step(lambda step=step: loss(model, step))
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == [tuner.learning_rate, tuner.learning_rate * 0.25]


@every
def test_resumes_bit_for_bit(build: Build) -> None:
    model, loss = scene()
    optimizer = Adam(groups(model))
    tuner = build(optimizer)
    saved = io.BytesIO()
    for step in range(8):
        if step == 4:
            whole = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "tuner": tuner.state_dict(),
                "rng": torch.get_rng_state(),
            }
            torch.save(whole, saved)
        tuner.step(lambda step=step: loss(model, step))
    saved.seek(0)
    state = torch.load(saved, weights_only=True)

    other, _ = scene(1)
    _, loss = scene()
    optimizer = Adam(groups(other))
    resumed = build(optimizer)
    other.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    resumed.load_state_dict(state["tuner"])
    torch.set_rng_state(state["rng"])
    for step in range(4, 8):
        resumed.step(lambda step=step: loss(other, step))
    assert resumed.state_dict() == tuner.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@every
def test_another_state_is_refused_and_changes_nothing(build: Build) -> None:
    model, loss = scene()
    tuner = build(SGD(groups(model)))
    tuner.step(lambda: loss(model, 0))
    good = tuner.state_dict()
    other = LineSearch if not isinstance(tuner, LineSearch) else CDAT
    wrong: list[tuple[Any, str]] = [
        (other(SGD(groups(model))).state_dict(), f"is of a {other.kind} tuner and not of"),
        ({}, "not the state of a tuner"),
        (None, "not the state of a tuner"),
        (good | {"settings": good["settings"] | {"sigma": 17.0}}, "build it with the same"),
        (good | {"ratios": [1.0]}, "1 parameter groups, here 2"),
        (good | {"own": {}}, "start over"),
        ({name: v for name, v in good.items() if name != "steps"}, "start over"),
    ]
    for state, message in wrong:
        with pytest.raises(CheckpointError, match=message):
            tuner.load_state_dict(state)
        assert tuner.state_dict() == good


@every
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_no_step_is_made_where_the_loss_is_not_finite(build: Build, bad: float) -> None:
    model, loss = scene()
    optimizer = Adam(groups(model))
    tuner = build(optimizer)
    tuner.step(lambda: loss(model, 0))
    rate = tuner.learning_rate
    before = copy.deepcopy((list(model.parameters()), optimizer.state_dict()))
    value = tuner.step(lambda: loss(model, 1) * bad)
    assert not value.isfinite()
    assert tuner.reading is not None
    assert not tuner.reading.finite
    assert tuner.reading.loss is None
    assert tuner.reading.note == "no step: loss not finite"
    assert tuner.steps == 2
    assert tuner.learning_rate == rate
    after = (list(model.parameters()), optimizer.state_dict())
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    tuner.step(lambda: loss(model, 2))
    assert tuner.reading.finite


@every
def test_no_step_is_made_where_the_gradient_is_not_finite(build: Build) -> None:
    w = nn.Parameter(torch.tensor([0.0, 1.0]))
    tuner = build(SGD([w], 0.1))
    tuner.step(lambda: w.abs().sqrt().sum())  # its slope at 0 is 0 * inf
    assert tuner.reading is not None
    assert not tuner.reading.finite
    assert tuner.reading.note == "no step: gradient not finite"
    assert w.tolist() == [0.0, 1.0]


@every
def test_a_closure_that_breaks_the_rules_is_told_how_to_keep_them(build: Build) -> None:
    w, other = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    tuner = build(SGD([w], 0.1))

    def backwarded() -> Tensor:
        loss = (w**2).sum()
        loss.backward()
        return loss

    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: 1.0, "returned a float and not a tensor"),
        (lambda: w**2, r"must be a scalar, got shape \(3,\)"),
        (lambda: (w**2).sum().detach(), "has no graph: return the loss itself"),
        (lambda: (other**2).sum(), "depends on none of the optimizer's parameters"),
        (backwarded, r"has called backward\(\) itself: leave that to the tuner"),
    ]
    for closure, message in wrong:
        with pytest.raises(MeasurementError, match=message):
            tuner.step(closure)
    assert (tuner.steps, w.tolist()) == (0, [1.0, 1.0, 1.0])
    with torch.no_grad():  # a validation loop around it, say
        tuner.step(lambda: (w**2).sum())
    assert tuner.steps == 1


@every
def test_groups_that_give_no_ratio_are_refused(build: Build) -> None:
    w, v = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    with pytest.raises(UnsupportedError, match=r"they are \[0\.0\]: give the first group"):
        build(SGD([w], 0.0))
    optimizer = SGD([w], 0.1)
    tuner = build(optimizer)
    optimizer.add_param_group({"params": [v]})
    with pytest.raises(UnsupportedError, match="build the tuner after all groups"):
        tuner.step(lambda: (w**2).sum() + (v**2).sum())


@every
def test_learning_rates_that_are_tensors_stay_the_same_objects(build: Build) -> None:
    w = nn.Parameter(torch.ones(2))
    rate = torch.tensor(0.1)
    optimizer = Adam([w], lr=rate)
    tuner = build(optimizer)
    tuner.step(lambda: (w**2).sum())
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(tuner.learning_rate)


@every
def test_frozen_and_unused_parameters_are_left_alone(build: Build) -> None:
    w, frozen = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), requires_grad=False)
    unused = nn.Parameter(torch.ones(2))
    tuner = build(SGD([frozen, w, unused], 0.1))
    tuner.step(lambda: (w**2 * frozen).sum())
    assert frozen.tolist() == unused.tolist() == [1.0, 1.0]
    assert w.tolist() != [1.0, 1.0]
    assert unused.grad is None


def test_several_ranks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would judge its own loss, and one that makes no step would leave the others waiting."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    w = nn.Parameter(torch.ones(2))
    builders = [*BUILDERS.values(), CLARA]
    builders += [lambda o, kind=kind: kind(o, [[w]], gain=1e-6) for kind in (ALeRA, SALERA)]
    for build in builders:
        optimizer = SGD([w], 0.1)
        with pytest.raises(UnsupportedError, match="each of the 2 ranks would choose"):
            build(optimizer)
        assert len(optimizer.param_groups) == 1
