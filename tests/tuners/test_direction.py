"""What an optimizer proposes is what it does, and nobody notices the asking."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import (
    ASGD,
    LBFGS,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
)
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from lrsearch.exceptions import UnsupportedError
from lrsearch.tuners import proposed

CASES: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (SGD, {}),
    (SGD, {"momentum": 0.9}),
    (SGD, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (SGD, {"momentum": 0.9, "nesterov": True, "foreach": True}),
    (SGD, {"momentum": 0.9, "fused": True, "weight_decay": 0.1}),
    (Adam, {}),
    (Adam, {"weight_decay": 0.1, "amsgrad": True}),
    (Adam, {"foreach": True}),
    (Adam, {"fused": True, "weight_decay": 0.1}),
    (Adam, {"lr": torch.tensor(0.3, dtype=torch.float64)}),
    (AdamW, {"weight_decay": 0.1}),
    (AdamW, {"fused": True, "weight_decay": 0.1}),
    (RMSprop, {"momentum": 0.9, "centered": True}),
    (RMSprop, {"foreach": True, "weight_decay": 0.1}),
    (Adagrad, {"lr_decay": 0.1, "weight_decay": 0.1}),
    (Adagrad, {"fused": True}),
    (NAdam, {"weight_decay": 0.1}),
    (NAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (RAdam, {"weight_decay": 0.1}),
    (Adadelta, {"weight_decay": 0.1}),
    (Adamax, {"weight_decay": 0.1}),
]


def case_id(value: object) -> str:
    if isinstance(value, type):
        return value.__name__
    return "-".join(value) if isinstance(value, dict) else str(value)


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (3,), (2, 2), (5,)]
    return [nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64)) for s in shapes]


@pytest.mark.parametrize(("kind", "options"), CASES, ids=case_id)
def test_the_step_is_the_rate_times_what_was_proposed(
    kind: type[Optimizer], options: dict[str, Any]
) -> None:
    params = parameters()
    options = {"lr": 0.3} | options
    half = options["lr"] * 0.5
    optimizer = kind([{"params": params[:2]}, {"params": params[2:], "lr": half}], **options)
    used = params[:3]  # the last one has no gradient
    generator = torch.Generator().manual_seed(1)
    fired: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: fired.append("own"))
    handles = [
        register_optimizer_step_pre_hook(lambda *_: fired.append("all, before")),
        register_optimizer_step_post_hook(lambda *_: fired.append("all, after")),
    ]
    try:
        for _ in range(7):
            for p in used:
                p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            fired.clear()
            state = copy.deepcopy(optimizer.state_dict())
            before = [(p.detach().clone(), p.grad) for p in used]
            gradients = [p.grad.clone() for p in used]
            versions = [p._version for p in used]
            u = proposed(optimizer)
            assert fired == []
            assert [p._version for p in used] == versions
            for p, (w, owner), g in zip(used, before, gradients, strict=True):
                assert torch.equal(p, w)
                assert p.grad is owner
                assert torch.equal(p.grad, g)
            torch.testing.assert_close(optimizer.state_dict(), state, rtol=0, atol=0)

            optimizer.step()
            assert len(u) == len(used)
            for p, (w, _), d in zip(used, before, u, strict=True):
                group = optimizer.param_groups[0 if any(p is q for q in params[:2]) else 1]
                decoupled = kind is AdamW or group.get("decoupled_weight_decay")
                decay = group["weight_decay"] if decoupled else 0.0
                expected = w * (1 - float(group["lr"]) * decay) + 0.3 * d
                torch.testing.assert_close(p.detach(), expected, rtol=1e-12, atol=1e-12)
    finally:
        for handle in handles:
            handle.remove()


def test_what_a_scheduler_has_put_on_the_step_is_not_called() -> None:
    w = nn.Parameter(torch.ones(3))
    optimizer = SGD([w], 0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    w.grad = torch.ones(3)
    proposed(optimizer)
    assert not getattr(optimizer, "_opt_called", False)
    optimizer.step()
    scheduler.step()


def test_ratios_may_be_given_where_the_rates_are_zero() -> None:
    w, v = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = SGD([{"params": [w], "lr": 0.0}, {"params": [v], "lr": 0.0}], 0.1)
    w.grad, v.grad = torch.ones(2), torch.ones(2)
    first, second = proposed(optimizer, [1.0, 0.25])
    assert first.tolist() == [-1.0, -1.0]
    assert second.tolist() == [-0.25, -0.25]
    with pytest.raises(UnsupportedError, match="give the first group a positive one"):
        proposed(optimizer)


def test_a_small_gradient_is_not_lost_in_the_weights() -> None:
    w = nn.Parameter(torch.full((3,), 1000.0))
    optimizer = SGD([w], 0.1, momentum=0.9)
    w.grad = torch.full((3,), 1e-6)
    assert proposed(optimizer)[0].tolist() == [-w.grad[0].item()] * 3


def test_an_optimizer_of_the_users_own_moves_a_copy_of_the_weights() -> None:
    class Shrinking(Optimizer):
        def __init__(self, params: list[nn.Parameter], lr: float) -> None:
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in group["params"]:
                    count = self.state[p].setdefault("count", torch.zeros(()))
                    count += 1
                    p.sub_(group["lr"] * count * p * p.grad.sign())

    w = nn.Parameter(torch.tensor([2.0, -4.0]))
    optimizer = Shrinking([w], 0.5)
    w.grad = torch.ones(2)
    assert proposed(optimizer)[0].tolist() == [-2.0, 4.0]
    optimizer.step()
    assert w.tolist() == [1.0, -2.0]
    assert proposed(optimizer)[0].tolist() == [-2.0, 4.0]
    assert optimizer.state[w]["count"] == 1


@pytest.mark.parametrize("kind", [ASGD, Adafactor, LBFGS, Rprop])
def test_steps_that_are_not_proportional_to_the_rate_are_refused(kind: type[Optimizer]) -> None:
    with pytest.raises(UnsupportedError, match=f"a step of {kind.__name__} is not its learning"):
        proposed(kind([nn.Parameter(torch.ones(2))]))  # type: ignore[call-arg]


def test_what_cannot_be_told_is_refused_with_the_way_out() -> None:
    w = nn.Parameter(torch.ones(2))
    w.grad = torch.ones(2)
    with pytest.raises(UnsupportedError, match="return the negative from the closure"):
        proposed(SGD([w], 0.1, maximize=True))

    class Own(SGD):
        def __init__(self, params: list[nn.Parameter], **options: Any) -> None:
            super().__init__(params, 0.1, **options)
            self.secret = 1.0

        def step(self, closure: None = None) -> None:  # type: ignore[override]
            self.param_groups[0]["params"][0].data.sub_(self.secret)

    with pytest.raises(UnsupportedError, match="give it weight_decay=0"):
        proposed(Own([w], weight_decay=0.1))
    with pytest.raises(UnsupportedError, match="use an optimizer that can be pickled"):
        proposed(Own([w]))
    table = nn.Embedding(3, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(UnsupportedError, match="sparse=False"):
        proposed(SGD(table.parameters(), 0.1))
