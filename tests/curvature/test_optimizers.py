"""What is known of each optimizer, against what torch's own optimizer does.

On a quadratic the second moment is frozen (a memory without end, filled beforehand), so the real
optimizer is a linear recursion: it must shrink just below the predicted rate and grow just above.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from lrsearch.curvature import (
    Hessian,
    Rule,
    direction,
    inverse_root,
    register_optimizer,
    threshold,
    usual_rate,
)
from lrsearch.curvature import _optimizers as known
from lrsearch.exceptions import UnsupportedError

ENDLESS = 1.0 - 1e-13  # a memory that the steps of a test do not change
LATE = 1e15  # steps done already: no bias is left to correct
BETAS = {"betas": (0.9, ENDLESS), "eps": 1e-8}

SECOND = torch.tensor([[4.0, 0.01], [1.0, 25.0]], dtype=torch.float64)


class OwnAdam(optim.Adam):
    pass


def fill(optimizer: optim.Optimizer) -> None:
    """State as after a very long run, with second moments `SECOND`."""
    for index, p in enumerate(p for g in optimizer.param_groups for p in g["params"]):
        v = SECOND[index].clone()
        state = optimizer.state[p]
        if isinstance(optimizer, optim.Adagrad):
            state["sum"], state["step"] = v * 1e12, torch.tensor(LATE, dtype=torch.float64)
        elif isinstance(optimizer, optim.RMSprop):
            state["step"], state["square_avg"] = torch.tensor(LATE), v
            if optimizer.param_groups[0]["momentum"]:
                state["momentum_buffer"] = torch.zeros_like(p)
            if optimizer.param_groups[0]["centered"]:
                state["grad_avg"] = v.sqrt() * torch.tensor([0.6, 0.8], dtype=torch.float64)
        elif not isinstance(optimizer, optim.SGD):
            state["step"] = torch.tensor(LATE, dtype=torch.float64)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), v
            if optimizer.param_groups[0].get("amsgrad"):
                state["max_exp_avg_sq"] = v.flip(0).contiguous() + v
            if isinstance(optimizer, optim.NAdam):
                state["mu_product"] = torch.tensor(0.0, dtype=torch.float64)


CASES: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=1.0),
    "momentum": lambda p: optim.SGD(p, lr=1.0, momentum=0.9),
    "dampened": lambda p: optim.SGD(p, lr=1.0, momentum=0.8, dampening=0.3),
    "nesterov": lambda p: optim.SGD(p, lr=1.0, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: optim.RMSprop(p, lr=1.0, alpha=ENDLESS),
    "rmsprop-momentum": lambda p: optim.RMSprop(p, lr=1.0, alpha=ENDLESS, momentum=0.7),
    "rmsprop-centered": lambda p: optim.RMSprop(p, lr=1.0, alpha=ENDLESS, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=1.0),
    "adam": lambda p: optim.Adam(p, lr=1.0, **BETAS),
    "adam-large-eps": lambda p: optim.Adam(p, lr=1.0, betas=(0.9, ENDLESS), eps=1.0),
    "amsgrad": lambda p: optim.Adam(p, lr=1.0, amsgrad=True, **BETAS),
    "adamw": lambda p: optim.AdamW(p, lr=1.0, weight_decay=0.0, **BETAS),
    "nadam": lambda p: optim.NAdam(p, lr=1.0, **BETAS),
    "nadam-constant": lambda p: optim.NAdam(p, lr=1.0, momentum_decay=0.0, **BETAS),
    "radam": lambda p: optim.RAdam(p, lr=1.0, **BETAS),
    "own": lambda p: OwnAdam(p, lr=1.0, **BETAS),
}


class Bowl(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([1.0, -1.0], dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor([0.5, 2.0], dtype=torch.float64))

    def forward(self, h: Tensor) -> Tensor:
        w = torch.cat([self.a, self.b])
        return 0.5 * w @ h @ w


def bowl() -> tuple[Bowl, Tensor]:
    """A full matrix, so that the metric does not come out of the eigenvalues."""
    m = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Bowl(), m @ m.T + torch.eye(4, dtype=torch.float64)


def largest(model: nn.Module, h: Tensor, optimizer: optim.Optimizer) -> float:
    roots = inverse_root(optimizer, list(model.parameters()))
    root = torch.ones(4).double() if roots is None else torch.cat(roots)
    return float(torch.linalg.eigvalsh(root[:, None] * h * root)[-1])


def length_after(
    build: Callable[[Any], optim.Optimizer], factor: float, groups: Callable[[Bowl], Any]
) -> float:
    model, h = bowl()
    optimizer = build(groups(model))
    fill(optimizer)
    limit = threshold(optimizer, full_batch=True)
    assert limit is not None
    first = optimizer.param_groups[0]["lr"]
    rate = factor * limit / largest(model, h, optimizer)
    for group in optimizer.param_groups:
        group["lr"] *= rate / first
    size = math.inf
    for _ in range(1500):
        optimizer.zero_grad()
        model(h).backward()
        optimizer.step()
        size = float(torch.cat([model.a, model.b]).detach().norm())
        if not 1e-2 < size < 1e3:
            break
    return size


def one_group(model: Bowl) -> Any:
    return model.parameters()


def two_groups(model: Bowl) -> Any:
    return [{"params": [model.a]}, {"params": [model.b], "lr": 0.2}]


@pytest.mark.parametrize("groups", [one_group, two_groups])
@pytest.mark.parametrize("kind", CASES)
def test_the_real_optimizer_shrinks_just_below_and_grows_just_above(
    kind: str, groups: Callable[[Bowl], Any]
) -> None:
    assert length_after(CASES[kind], 0.97, groups) < 1e-2
    assert length_after(CASES[kind], 1.03, groups) > 1e3


@pytest.mark.parametrize("kind", ["adam", "adamw", "rmsprop", "adagrad", "sgd", "nadam", "radam"])
def test_the_largest_rate_is_that_of_the_hessian_operator(kind: str) -> None:
    model, h = bowl()
    optimizer = CASES[kind](model.parameters())
    fill(optimizer)
    with Hessian(model, lambda m, b: m(b), h, optimizer=optimizer) as hessian:
        columns = [hessian @ e for e in torch.eye(4, dtype=torch.float64)]
    found = torch.linalg.eigvalsh(torch.stack(columns))[-1]
    assert float(found) == pytest.approx(largest(model, h, optimizer), rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 4e-3, 0.05])
@pytest.mark.parametrize("t", [0, 1, 7, 300])
def test_nadam_s_momenta_are_those_of_its_next_step(decay: float, t: int) -> None:
    """Two probes of one step: a pure gradient and a pure momentum tell both weights apart."""
    w = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = optim.NAdam([w], lr=1.0, momentum_decay=decay, betas=(0.9, 0.5), eps=1e-8)
    for _ in range(t):
        w.grad = torch.ones_like(w)
        optimizer.step()
    rule = known.rule_of(optimizer)
    assert rule is not None
    assert rule.share is not None
    group = optimizer.param_groups[0]
    share, correction = rule.share(group, optimizer.state[w]), None
    w.grad = torch.ones_like(w)
    optimizer.step()  # step t + 1, whose momentum weight is mu_{t + 2}
    state = optimizer.state[w]
    state["exp_avg"].zero_()
    correction, ahead = rule.correction(group, state), rule.share(group, state)
    mu = 0.9 * (1 - 0.5 * 0.96 ** ((t + 1) * decay))
    assert share == pytest.approx(mu, rel=1e-12)
    assert ahead == pytest.approx(0.9 * (1 - 0.5 * 0.96 ** ((t + 2) * decay)), rel=1e-12)
    product = math.prod(0.9 * (1 - 0.5 * 0.96 ** (i * decay)) for i in range(1, t + 2))
    assert correction == pytest.approx(1 - product * ahead, rel=1e-6)


def test_nadam_s_threshold_moves_from_half_way_to_nesterov_s() -> None:
    limits = []
    for step in (0.0, 100.0, 1e4, LATE):
        w = nn.Parameter(torch.zeros(2))
        frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
        optimizer = optim.NAdam([frozen, w], betas=(0.9, 0.999))  # the frozen one has no state
        if step:
            optimizer.state[w]["step"] = torch.tensor(step)
        limits.append(threshold(optimizer, full_batch=True))
    assert limits == sorted(limits)
    assert limits[0] == pytest.approx(2 * 1.9 / (1.9 - 1.8 * 0.45), rel=1e-3)
    assert limits[-1] == pytest.approx(2 * 1.9 / ((1 - 0.9) * (1 + 2 * 0.9)), rel=1e-6)


@pytest.mark.parametrize(
    ("build", "limit"),
    [
        (lambda p: optim.SGD(p, lr=1), 2.0),
        (lambda p: optim.SGD(p, lr=1, momentum=0.9), 3.8),
        (lambda p: optim.SGD(p, lr=1, momentum=0.9, nesterov=True), 3.8 / 2.8),
        (lambda p: optim.SGD(p, lr=1, momentum=0.9, dampening=0.9), 38.0),
        (lambda p: optim.Adam(p), 38.0),
        (lambda p: optim.AdamW(p, betas=(0.5, 0.9)), 6.0),
        (lambda p: optim.RAdam(p), 38.0),
        (lambda p: optim.RMSprop(p), 2.0),
        (lambda p: optim.RMSprop(p, momentum=0.5), 3.0),
        (lambda p: optim.Adagrad(p), 2.0),
        (lambda p: optim.Rprop(p), None),
        (lambda p: optim.Adam(p, maximize=True), None),
    ],
)
def test_full_batch_thresholds(build: Callable[[Any], optim.Optimizer], limit: float) -> None:
    found = threshold(build([nn.Parameter(torch.ones(1))]), full_batch=True)
    assert found == (None if limit is None else pytest.approx(limit))


class Halved(optim.Optimizer):
    """Steps by half the gradient over a scale that it keeps for all coordinates together."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state.setdefault("rows", torch.full(p.shape[:1], 4.0, dtype=p.dtype))
                state["last"] = p.grad.clone()
                p.add_(p.grad / state["rows"].unsqueeze(-1), alpha=-group["lr"])


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> dict[Any, Rule]:
    own = dict(known._RULES)
    monkeypatch.setattr(known, "_RULES", own)
    return own


def test_an_optimizer_of_one_s_own_is_known_once_it_is_registered(rules: dict[Any, Rule]) -> None:
    w = nn.Parameter(torch.ones(2, 3).double())
    optimizer = Halved([w])
    w.grad = torch.tensor([[1.0, 0.0, 2.0], [0.0, 4.0, 0.0]]).double()
    assert threshold(optimizer) is None
    assert usual_rate(optimizer) is None
    assert inverse_root(optimizer, [w]) is None
    assert direction(optimizer)[0].tolist() == w.grad.tolist()

    def scale(group: Any, state: Any) -> Tensor | None:
        return state["rows"].unsqueeze(-1).expand(2, 3) if "rows" in state else None

    register_optimizer(Halved, Rule(scale=scale, usual=lambda group: 0.5))
    assert inverse_root(optimizer, [w]) is None  # no state yet
    assert dict(optimizer.state) == {}
    optimizer.step()
    assert threshold(optimizer) == threshold(optimizer, full_batch=True) == 2.0
    assert usual_rate(optimizer) == 0.5
    assert direction(optimizer)[0].tolist() == (w.grad / 4).tolist()
    (root,) = inverse_root(optimizer, [w]) or []
    assert root[0].tolist() == [0.5, 0.0, 0.5]  # where it has seen no gradient it does not move
    assert root[1].tolist() == [0.0, 0.5, 0.0]
    assert known.rule_of(type("Sub", (Halved,), {})([w])) is rules[Halved]


def test_a_scale_that_no_state_holds_is_believed_and_makes_none_up(rules: dict[Any, Rule]) -> None:
    w = nn.Parameter(torch.ones(2).double())
    constant = Rule(scale=lambda group, state: torch.full((2,), 4.0).double(), momentum=lambda g: 0)
    register_optimizer(Halved, constant)
    optimizer = Halved([w])
    (root,) = inverse_root(optimizer, [w]) or []
    assert root.tolist() == [0.5, 0.5]
    assert dict(optimizer.state) == {}


def test_only_a_class_and_a_rule_can_be_registered(rules: dict[Any, Rule]) -> None:
    w = nn.Parameter(torch.ones(2))
    for kind, rule in ((Halved([w]), Rule()), (nn.Linear, Rule()), (Halved, {"momentum": 0.9})):
        with pytest.raises(UnsupportedError, match="takes an optimizer class and a Rule"):
            register_optimizer(kind, rule)  # type: ignore[arg-type]
    assert Halved not in rules


def test_the_nearest_known_class_counts() -> None:
    w = [nn.Parameter(torch.ones(2))]
    assert known.rule_of(OwnAdam(w)) is known._RULES[optim.Adam]
    assert known.rule_of(optim.NAdam(w)) is known._RULES[optim.NAdam]
    assert known.rule_of(optim.LBFGS(w)) is None
