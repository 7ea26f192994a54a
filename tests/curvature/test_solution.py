"""What kind of solution: against closed forms, and without a trace in the model."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from lrsearch.curvature import sharpness, solution_kind
from lrsearch.exceptions import MeasurementError, UnsupportedError
from lrsearch.testing import dense_hessian

X = torch.linspace(-1, 1, 24).reshape(12, 2)
Y = (X[:, 0] > 0).long()


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 2)
    )


class Bowl(nn.Module):
    """``L(w) = sum_i h_i w_i^2 / 2``, one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([3.0, -4.0]))

    def forward(self, h: Tensor) -> Tensor:
        return 0.5 * (h * self.w**2).sum()


def test_the_rise_on_a_bowl_is_that_of_its_trace() -> None:
    """``E L(w + s |w| u) - L(w) = s^2 |w|^2 tr(H) / (2 n)``, for any quadratic."""
    h = torch.tensor([2.0, 0.5])
    found = solution_kind(Bowl(), lambda m, b: m(b), h, perturbation=0.1, draws=4000)
    expected = 0.1**2 * 25 * 2.5 / 4
    assert found.rise == pytest.approx(expected, abs=4 * found.rise_error)
    assert found.rise_error < 0.25 * expected
    assert found.sharpness == pytest.approx(2.0, rel=1e-3)
    assert found.loss == pytest.approx(0.5 * (2 * 9 + 0.5 * 16))
    assert (found.sparsity, found.dead, found.layers) == (None, None, {})
    assert found.reason == "no activation modules"


def test_the_rise_is_the_same_where_layers_are_rescaled() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 5, bias=False), nn.ReLU(), nn.Linear(5, 2, bias=False))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight *= 8.0
        other[2].weight /= 8.0
    one, two = (solution_kind(m, loss, (X, Y), max_hvps=0) for m in (model, other))
    assert two.rise == pytest.approx(one.rise, rel=1e-4)
    assert one.sharpness is None


def test_sharpness_is_the_dense_hessians() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    batch = (X.double(), Y)
    found = solution_kind(model, loss, batch, max_hvps=60)
    top = float(torch.linalg.eigvalsh(dense_hessian(model, loss, batch))[-1])
    assert found.sharpness == pytest.approx(top, rel=0.02)


def test_sparsity_and_dead_units_by_hand() -> None:
    """Of four units one is always on, one never, two on half of the examples."""
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.0], [0.0], [1.0], [-1.0]]))
        model[0].bias.copy_(torch.tensor([1.0, -1.0, 0.0, 0.0]))
    x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    found = solution_kind(model, lambda m, b: mse_loss(m(b), torch.zeros(len(b), 1)), x[:2], x[2:])
    assert found.sparsity == 0.5
    assert found.dead == 0.25
    assert found.layers == {"1": 0.5}


def test_units_of_images_are_channels() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.GELU(), nn.Flatten(), nn.Linear(12, 2))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.copy_(torch.tensor([0.0, 0.0, -60.0]))  # GELU is zero far below
    images = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0)) + 0.5
    found = solution_kind(model, loss, (images, torch.zeros(5, dtype=torch.long)))
    assert found.dead == pytest.approx(1 / 3)


def test_a_module_used_twice_has_other_units_each_time() -> None:
    """Widths 3 and 2, one unit dead in each; the second batch must not hide the first."""

    class Shared(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(1, 3), nn.Linear(3, width)
            self.act = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.two(self.act(self.one(x))))

    def squares(model: nn.Module, batch: Tensor) -> Tensor:
        return model(batch).square().mean()

    x = torch.tensor([[1.0], [2.0]])
    for width in (2, 3):
        model = Shared(width)
        with torch.no_grad():
            model.one.weight.copy_(torch.tensor([[1.0], [-1.0], [0.0]]))
            model.one.bias.copy_(torch.tensor([0.0, 0.0, -1.0]))
            model.two.weight.zero_()
            model.two.bias.copy_(torch.tensor([-1.0, 1.0, 1.0][:width]))
        found = solution_kind(model, squares, x, -x, max_hvps=0)
        assert found.dead == pytest.approx(2 / (3 + width))  # unit 1 is alive in the other batch


def test_the_units_of_two_views_are_the_same() -> None:
    """A loss that calls the model twice: a unit is dead where neither view needs it."""
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model[0].bias.zero_()
    x = torch.tensor([[1.0], [2.0]])
    found = solution_kind(
        model, lambda m, b: (m(b) - m(-b)).square().mean() + m(b).sum(), x, max_hvps=0
    )
    assert found.dead == 0.0


def test_a_compiled_model_is_watched_and_recompiles_nothing() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))
    plain = solution_kind(model, loss, (X, Y))
    compiled = torch.compile(model, backend="eager")
    compiled(X)
    with torch.compiler.set_stance("fail_on_recompile"):
        compiled(X)
    assert solution_kind(compiled, loss, (X, Y)) == plain
    with torch.compiler.set_stance("fail_on_recompile"):
        compiled(X)
    torch.compiler.reset()


def test_frozen_and_whole_number_inputs() -> None:
    """A frozen tensor is not perturbed; tokens are no trouble."""
    torch.manual_seed(4)
    model = nn.Sequential(nn.Embedding(7, 4), nn.GELU(), nn.Flatten(), nn.Linear(12, 2))
    tokens = torch.arange(24).reshape(8, 3) % 7
    labels = torch.arange(8) % 2
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    seen = []

    def watching(m: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        seen.append(torch.equal(m[0].weight, before))
        return loss(m, batch)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = solution_kind(model, watching, (tokens, labels))
        assert torch.is_autocast_cache_enabled()
    assert all(seen)
    assert found.rise_error > 0


def test_a_sharpness_that_has_not_converged_says_so() -> None:
    found = solution_kind(network(), loss, (X, Y), max_hvps=1)
    assert found.sharpness is not None
    assert found.reason.startswith("sharpness: ")


def test_it_leaves_no_trace() -> None:
    model = network().train()
    before, drawn = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    first = solution_kind(model, loss, (X, Y), (X.flip(0), Y.flip(0)))
    assert solution_kind(model, loss, (X, Y), (X.flip(0), Y.flip(0))) == first
    assert solution_kind(model, loss, (X, Y), (X.flip(0), Y.flip(0)), seed=1).rise != first.rise
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert all(m.training for m in model.modules())
    assert not any(m._forward_hooks for m in model.modules())


def test_a_failing_loss_leaves_no_trace_either() -> None:
    model, calls = network(), []
    before = copy.deepcopy(model.state_dict())

    def failing(m: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        calls.append(1)
        if len(calls) == 4:
            raise OSError("gone")
        return loss(m, batch)

    with pytest.raises(MeasurementError, match="gone"):
        solution_kind(model, failing, (X, Y))
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


def test_a_sharpness_that_cannot_be_had_is_told() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g: Tensor) -> Tensor:
            return g

    model = nn.Linear(2, 2)
    with pytest.raises(MeasurementError, match="there is none"):
        solution_kind(model, lambda m, b: loss(m, b) * math.nan, (X, Y))
    kind = solution_kind(model, lambda m, b: Once.apply(loss(m, b)), (X, Y))
    # Either another method gives it, or its absence is told; never a number out of nothing.
    exact = sharpness(model, loss, (X, Y)).value
    assert kind.sharpness == pytest.approx(exact, rel=0.05) or "no sharpness" in kind.reason


def test_a_broken_perturbation_is_infinite_and_json_safe() -> None:
    def cliff(model: nn.Module, h: Tensor) -> Tensor:
        value = model(h)
        return torch.where(value > 12.99, value, torch.full_like(value, math.inf))

    found = solution_kind(Bowl(), cliff, torch.tensor([2.0, 0.5]), max_hvps=0)
    assert found.rise == math.inf
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["rise"] is None


@pytest.mark.parametrize("wrong", [{"perturbation": 0.0}, {"draws": 1}, {"max_hvps": -1}])
def test_numbers_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(UnsupportedError, match="solution_kind needs"):
        solution_kind(Bowl(), lambda m, b: m(b), torch.ones(2), **wrong)
