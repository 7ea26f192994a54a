"""Hessian-vector products against matrices that are worked out entry by entry."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from lrsearch.curvature import Hessian, inverse_root, quiet
from lrsearch.curvature import _cost as cost
from lrsearch.exceptions import MeasurementError, UnsupportedError
from lrsearch.testing import dense_hessian, quadratic

EXACT = ["double-backward", "forward-over-reverse"]
TRUE = [*EXACT, "finite-difference"]
ALL = [*TRUE, "gauss-newton"]
# Relative error of a product. Exact methods differ from the matrix by rounding; central differences
# by 1e-4 in single precision, where rounding and the third derivative meet.
CLOSE = {
    ("exact", torch.float32): 3e-5,
    ("exact", torch.float64): 1e-12,
    ("finite-difference", torch.float32): 3e-3,
    ("finite-difference", torch.float64): 1e-7,
}


def data(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=generator)
    return x, torch.randint(3, shape[:1], generator=generator)


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside, self.outside = nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.inside(x).unflatten(-1, (3, 1, 4)).transpose(1, 3).unbind(2)
        return self.outside(scaled_dot_product_attention(q, k, v).mean((1, 2)))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.body = kind(4, 3, num_layers=2, dropout=0.3, batch_first=True)
        self.last = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x)[0][:, -1])


class Tied(nn.Module):
    """One weight used twice, one frozen, one that is not used at all."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.last, self.unused = nn.Linear(4, 3), nn.Linear(2, 1)
        self.last.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.second(torch.tanh(self.first(x)))))


def mlp(width: int = 5) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.Tanh(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(18, 3),
    )


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (12, 4)),
    "cnn": (cnn, (12, 1, 5, 5)),
    "attention": (Attention, (12, 5, 4)),
    "tied": (Tied, (12, 4)),
    "lstm": (lambda: Recurrent(nn.LSTM), (12, 3, 4)),
    "gru": (lambda: Recurrent(nn.GRU), (12, 3, 4)),
    "transformer": (
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(4, 2, 4, batch_first=True), nn.Flatten(), nn.Linear(12, 3)
        ),
        (12, 3, 4),
    ),
}


def case(kind: str, dtype: torch.dtype) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    build, shape = CASES[kind]
    torch.manual_seed(1)
    x, y = data(*shape)
    return build().to(dtype), (x.to(dtype), y)


def dense(model: nn.Module, batch: Any, loss_fn: Callable[..., Tensor] = loss_fn) -> Tensor:
    """The matrix in double precision, an unused parameter's rows zero."""

    def with_all(model: nn.Module, batch: Any) -> Tensor:
        return loss_fn(model, batch) + 0 * sum(p.sum() for p in model.parameters())

    dtype = next(model.parameters()).dtype
    wide = [t.double() if t.is_floating_point() else t for t in batch]
    with quiet(model.double(), graph=True):
        found = dense_hessian(model, with_all, wide)
    model.to(dtype)
    return found


def dense_gauss_newton(model: nn.Module, batch: Any) -> Tensor:
    """``J' H_L J`` of the mean cross-entropy, where ``H_L = (diag(p) - pp') / n`` on paper."""
    params = [p for p in model.parameters() if p.requires_grad]
    with quiet(model, graph=True):
        outputs = model(batch[0])
        rows = [
            torch.cat(
                [
                    g.flatten()
                    for g in torch.autograd.grad(
                        z, params, retain_graph=True, materialize_grads=True
                    )
                ]
            )
            for z in outputs.flatten()
        ]
    jacobian = torch.stack(rows).view(*outputs.shape, -1)
    p = outputs.detach().softmax(1)
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    return torch.einsum("nci,ncd,ndj->ij", jacobian, inner, jacobian) / len(p)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.to(expected) - expected).norm() / expected.norm())


def vectors(n: int) -> Tensor:
    return torch.randn(2, n, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", TRUE)
@pytest.mark.parametrize("kind", CASES)
def test_products_are_those_of_the_matrix(kind: str, method: str, dtype: torch.dtype) -> None:
    if (kind, method) == ("lstm", "forward-over-reverse"):
        pytest.skip("torch has no forward derivative of the LSTM")
    model, batch = case(kind, dtype)
    matrix = dense(model, batch)
    with Hessian(model, loss_fn, batch, method=method) as hessian:
        assert hessian.size == len(matrix)
        assert hessian.dtype == dtype
        for v in vectors(hessian.size).to(dtype):
            bound = CLOSE["exact" if method in EXACT else method, dtype]
            assert error(hessian @ v, matrix @ v.double()) < bound
        assert hessian.products == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", CASES)
def test_gauss_newton_products_are_those_of_its_matrix(kind: str, dtype: torch.dtype) -> None:
    model, batch = case(kind, dtype)
    matrix = dense_gauss_newton(model.double(), (batch[0].double(), batch[1]))
    model.to(dtype)
    eigenvalues = torch.linalg.eigvalsh(matrix)
    assert eigenvalues[0] > -1e-12 * eigenvalues[-1]
    with Hessian(model, loss_fn, batch, method="gauss-newton") as hessian:
        for v in vectors(hessian.size).to(dtype):
            assert error(hessian @ v, matrix @ v.double()) < CLOSE["exact", dtype]


@pytest.mark.parametrize("method", ALL)
def test_on_least_squares_all_methods_are_the_gram_matrix(method: str) -> None:
    """A linear model: the loss is quadratic and its Gauss-Newton part is all there is."""
    model = nn.Linear(4, 1).double()
    x, y = data(9, 4)[0].double(), data(9, 1, seed=1)[0].double()
    extended = torch.cat([x, torch.ones(9, 1).double()], dim=1)

    def squares(model: nn.Module, batch: Any) -> Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    with Hessian(model, squares, (x, y), method=method) as hessian:
        for v in vectors(5):
            bound = CLOSE["exact" if method in EXACT else "finite-difference", torch.float64]
            assert error(hessian @ v, 2 / 9 * extended.T @ (extended @ v)) < bound


@pytest.mark.parametrize("method", ALL)
def test_micro_batches_mean_the_one_batch_that_they_make_up(method: str) -> None:
    model, (x, y) = mlp().double(), data(12, 4)
    x = x.double()
    parts = [(x[i : i + 4], y[i : i + 4]) for i in (0, 4, 8)]
    with Hessian(model, loss_fn, (x, y), method=method) as hessian:
        v = hessian.random(5)
        expected, (loss, gradient) = hessian @ v, hessian.gradient()
    with Hessian(model, loss_fn, *parts, method=method) as hessian:
        assert error(hessian @ v, expected) < (1e-7 if method == "finite-difference" else 1e-12)
        mean, found = hessian.gradient()
        assert mean == pytest.approx(loss, rel=1e-12)
        assert error(found, gradient) < 1e-12


@pytest.mark.parametrize("method", ["double-backward", "finite-difference", "gauss-newton"])
def test_only_one_micro_batch_has_its_graph_at_a_time(method: str) -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    def counting(model: nn.Module, batch: Any) -> Tensor:
        nonlocal most
        hidden = model[1](model[0](batch[0]))
        alive.append(weakref.ref(hidden))
        logits = model[2](hidden)
        most = max(most, sum(ref() is not None for ref in alive))
        return cross_entropy(logits, batch[1])

    class Whole(nn.Sequential):
        pass

    def whole(model: nn.Module, batch: Any) -> Tensor:
        nonlocal most
        logits = model(batch[0])
        alive.append(weakref.ref(logits))
        most = max(most, sum(ref() is not None for ref in alive))
        return cross_entropy(logits, batch[1])

    gc.disable()  # what is freed is freed by counting references, not by a collector that may run
    try:
        measured = whole if method == "gauss-newton" else counting
        batches = [data(8, 4, seed=seed) for seed in range(4)]
        with Hessian(mlp(), measured, *batches, method=method) as hessian:
            for seed in range(3):
                hessian @ hessian.random(seed)
            hessian.gradient()
        assert most == 1
        assert len(alive) >= 16
        alive.clear()
        with Hessian(mlp(), measured, batches[0], method=method) as hessian:
            hessian @ hessian.random()
        assert not any(ref() is not None for ref in alive)  # none outlives the block
    finally:
        gc.enable()


def test_fused_attention_has_no_second_derivative_outside_the_block() -> None:
    model, batch = case("attention", torch.float32)
    model.eval()
    with pytest.raises((RuntimeError, NotImplementedError), match=r"derivative|not implemented"):
        dense_hessian(model, loss_fn, batch)
    with Hessian(model, loss_fn, batch) as hessian:
        hessian @ hessian.random()
    assert hessian.method == "double-backward"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own, while it compiles
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("method", ALL)
def test_a_compiled_model_has_the_same_products(method: str, backend: str) -> None:
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    model, batch = case("mlp", torch.float32)
    fast = torch.compile(model, backend=backend)
    loss_fn(fast, batch).backward()  # it is compiled, as in a run
    graphs = counters["stats"]["unique_graphs"]
    matrix = dense_gauss_newton(model, batch) if method == "gauss-newton" else dense(model, batch)
    with Hessian(fast, loss_fn, batch, method=method) as hessian:
        v = hessian.random()
        bound = CLOSE["finite-difference" if method not in EXACT else "exact", torch.float32]
        assert error(hessian @ v, matrix.to(v) @ v) < bound
    loss_fn(fast, batch).backward()
    assert counters["stats"]["unique_graphs"] == graphs  # and not again


@pytest.mark.parametrize("where", ["in the loss", "around"])
@pytest.mark.parametrize("method", ALL)
def test_under_bfloat16_autocast(method: str, where: str) -> None:
    """Eight bits of mantissa leave 1 % to exact methods; differences are judged by v'Hv."""
    torch.manual_seed(2)
    model, batch = mlp(32), data(64, 4)
    matrix = dense_gauss_newton(model, batch) if method == "gauss-newton" else dense(model, batch)
    top = torch.linalg.eigh(matrix.double())[1][:, -1].float()

    def cast_loss(model: nn.Module, batch: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=where == "in the loss"):
            return loss_fn(model, batch)

    def plain(model: nn.Module, batch: Any) -> Tensor:
        return loss_fn(model, batch)

    with torch.autocast("cpu", torch.bfloat16, enabled=where == "around"):
        with Hessian(
            model, cast_loss if where == "in the loss" else plain, batch, method=method
        ) as hessian:
            found = hessian @ top
    expected = matrix.to(top) @ top
    if method == "finite-difference":
        assert float(top @ found) == pytest.approx(float(top @ expected), rel=0.1)
    else:
        assert error(found, expected) < 0.02


def test_half_precision_gradients_are_taken_further_apart() -> None:
    """At the step for single precision the rounding of bfloat16 would be most of the difference."""
    from lrsearch.curvature import _differences as differences

    torch.manual_seed(2)
    model, batch = mlp(32), data(64, 4)
    v = dense(model, batch).float() @ torch.randn(model[0].weight.numel() + 32 + 32 * 3 + 3)

    def cast_loss(model: nn.Module, batch: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return loss_fn(model, batch)

    for loss, step in ((cast_loss, differences.HALF), (loss_fn, differences.SINGLE)):
        before, seen = torch.cat([p.detach().flatten() for p in model.parameters()]), []

        def watching(
            model: nn.Module,
            batch: Any,
            before: Tensor = before,
            seen: list[float] = seen,
            loss: Callable[..., Tensor] = loss,
        ) -> Tensor:
            now = torch.cat([p.detach().flatten() for p in model.parameters()])
            seen.append(float((now - before).norm() / (1 + before.norm())))
            return loss(model, batch)

        with Hessian(model, watching, batch, method="finite-difference") as hessian:
            hessian @ v
        assert seen == [0.0, pytest.approx(step, rel=0.01), pytest.approx(step, rel=0.01)]


class Words(nn.Module):
    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(6, 3, sparse=sparse)
        self.last = nn.Linear(3, 3)

    def forward(self, words: Tensor) -> Tensor:
        return self.last(torch.tanh(self.table(words)).mean(1))


@pytest.mark.parametrize("method", ["auto", "double-backward", "finite-difference", "gauss-newton"])
def test_sparse_gradients_count_as_dense_ones(method: str) -> None:
    words = torch.randint(6, (8, 4), generator=torch.Generator().manual_seed(3))
    batch, found = (words, words[:, 0] % 3), []
    for sparse in (False, True):
        torch.manual_seed(4)
        with Hessian(Words(sparse).double(), loss_fn, batch, method=method) as hessian:
            found.append(torch.cat([hessian.gradient()[1], hessian @ hessian.random()]))
    assert error(found[1], found[0]) < 1e-9


class Sine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.sin(x)


class OnceSine(Sine):
    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * torch.cos(ctx.saved_tensors[0])


class KernelSine(Sine):
    """Its backward pass is computed where autograd does not look, and says nothing of it."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return torch.from_numpy(g.detach().numpy() * np.cos(ctx.saved_tensors[0].detach().numpy()))


class SilentSine(Sine):
    """An error without a message, from the second derivative."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise NotImplementedError
        return g * torch.cos(ctx.saved_tensors[0])


class GoodSine(Sine):
    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * torch.cos(ctx.saved_tensors[0])


def sines(function: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Any], Tensor]:
    class Body(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return cross_entropy(model[2](function(model[0](batch[0]))), batch[1])

    return loss


@pytest.mark.parametrize(
    ("function", "method"),
    [
        (OnceSine, "finite-difference"),
        (KernelSine, "finite-difference"),
        (SilentSine, "finite-difference"),
        (GoodSine, "double-backward"),
    ],
)
@pytest.mark.parametrize("gradient_first", [False, True])
def test_a_function_without_second_derivative_is_found_out(
    function: type[Sine], method: str, gradient_first: bool
) -> None:
    """`autograd.grad` takes the first two for constants, and is 60 % wrong without a word."""
    model, batch = case("mlp", torch.float64)
    expected = dense(model, batch, sines(torch.sin))
    with Hessian(model, sines(function.apply), batch) as hessian:
        if gradient_first:
            hessian.gradient()
        for v in vectors(hessian.size):
            assert error(hessian @ v, expected @ v) < 1e-6
    assert hessian.method == method


@pytest.mark.parametrize("function", [OnceSine, SilentSine])
@pytest.mark.parametrize("method", EXACT)
def test_a_method_that_was_asked_for_says_why_it_fails(method: str, function: type[Sine]) -> None:
    model, batch = case("mlp", torch.float64)
    for ask in (lambda h: h @ h.random(), lambda h: (h.gradient(), h @ h.random())):
        with Hessian(model, sines(function.apply), batch, method=method) as hessian:
            with pytest.raises(MeasurementError, match=method) as caught:
                ask(hessian)
    assert 'pass method="finite-difference"' in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gauss_newton_refuses_it_too() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner[2](OnceSine.apply(self.inner[0](x)))

    with Hessian(Net(), loss_fn, data(12, 4), method="gauss-newton") as hessian:
        with pytest.raises(MeasurementError, match="once_differentiable"):
            hessian @ hessian.random()


def test_weight_normalisation_is_not_believed() -> None:
    """torch 2.13 takes the norms for constants in its second derivative: a quarter is missing."""
    torch.manual_seed(0)
    model = mlp().double()
    nn.utils.parametrizations.weight_norm(model[0])
    x, y = data(12, 4)
    with Hessian(model, loss_fn, (x.double(), y)) as hessian:
        v = hessian.gradient()[1]
        u = hessian.random()
        assert float(u @ (hessian @ v)) == pytest.approx(float(v @ (hessian @ u)), rel=1e-6)
    assert hessian.method == "finite-difference"


def test_the_metric_of_an_optimizer_stands_on_both_sides() -> None:
    model, batch = case("mlp", torch.float64)
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
    root = torch.cat([r.flatten() for r in inverse_root(optimizer, list(model.parameters()))])
    matrix = root[:, None] * dense(model, batch) * root
    with Hessian(model, loss_fn, batch, optimizer=optimizer) as hessian:
        v = hessian.random()
        assert error(hessian @ v, matrix @ v) < 1e-12
        optimizer.zero_grad()
        loss, gradient = hessian.gradient()
        pieces = hessian.parameters(v)
        assert [p.shape for p in pieces] == [p.shape for p in model.parameters()]
        assert torch.equal(torch.cat([p.flatten() for p in pieces]), root * v)
    plain = loss_fn(model, batch)
    assert loss == pytest.approx(plain.item(), rel=1e-12)
    slopes = torch.autograd.grad(plain, list(model.parameters()))
    assert error(gradient, root * torch.cat([g.flatten() for g in slopes])) < 1e-12


def test_only_the_optimizer_s_parameters_are_rows() -> None:
    model, batch = case("mlp", torch.float64)
    optimizer = optim.SGD(reversed(list(model[2].parameters())), lr=0.1)  # bias first
    matrix = dense(model, batch)
    order = [*range(len(matrix) - 3, len(matrix)), *range(len(matrix) - 18, len(matrix) - 3)]
    matrix = matrix[order][:, order]
    for method in TRUE:
        with Hessian(model, loss_fn, batch, optimizer=optimizer, method=method) as hessian:
            v = hessian.random()
            assert error(hessian @ v, matrix @ v) < 1e-7


def test_parameters_that_the_module_does_not_hold_are_differentiated_all_the_same() -> None:
    model, batch = case("mlp", torch.float64)
    outside = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
    optimizer = optim.SGD([*model.parameters(), outside], lr=0.1)

    def scaled(model: nn.Module, batch: Any) -> Tensor:
        return loss_fn(model, batch) * outside**2

    with Hessian(model, scaled, batch, optimizer=optimizer) as hessian:
        v = torch.zeros(hessian.size, dtype=torch.float64)
        v[-1] = 1.0
        assert float((hessian @ v)[-1]) == pytest.approx(2 * loss_fn(model, batch).item())
    with Hessian(
        model, scaled, batch, optimizer=optimizer, method="forward-over-reverse"
    ) as hessian:
        with pytest.raises(MeasurementError, match="1 parameters of the optimizer"):
            hessian @ v


@pytest.mark.parametrize("batches", [1, 3])
@pytest.mark.parametrize("method", ALL)
def test_costs_are_counted_by_what_was_called(method: str, batches: int) -> None:
    """Calls of the loss per batch tell passes; the price of each kind is measured elsewhere."""
    calls = 0

    def counting(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return loss_fn(model, batch)

    several = batches > 1
    model = mlp()
    with Hessian(
        model, counting, *[data(8, 4, seed=i) for i in range(batches)], method=method
    ) as hessian:
        for seed in range(4):
            hessian @ hessian.random(seed)
        products, product_calls = hessian.products, calls
        product_cost = hessian.cost
        hessian.gradient()
    assert products == 4
    expected: dict[str, tuple[float, int]] = {
        "double-backward": (
            4 * cost.DOUBLE_BACKWARD + cost.GRAPH * (4 if several else 1),
            4 * batches if several else 1,
        ),
        "forward-over-reverse": (4 * cost.FORWARD_OVER_REVERSE, 4 * batches),
        "finite-difference": (4 * cost.FINITE_DIFFERENCE + cost.FORWARD, 8 * batches + 1),
        "gauss-newton": (
            4 * cost.GAUSS_NEWTON + cost.GAUSS_NEWTON_GRAPHS * (4 if several else 1),
            4 * batches if several else 1,
        ),
    }
    assert (pytest.approx(product_cost), product_calls) == expected[method]
    held = method == "double-backward" and not several
    assert hessian.cost == pytest.approx(product_cost + (0 if held else 1))
    assert calls - product_calls == (0 if held else batches)


def test_the_gradient_s_graph_is_the_product_s() -> None:
    calls = 0

    def counting(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return loss_fn(model, batch)

    with Hessian(mlp(), counting, data(8, 4)) as hessian:
        assert hessian.gradient()[0] == hessian.gradient()[0]
        assert hessian.cost == cost.GRAPH
        hessian @ hessian.random()
        assert hessian.cost == pytest.approx(cost.GRAPH + cost.DOUBLE_BACKWARD)
    assert calls == 1


def test_what_was_tried_in_vain_is_counted() -> None:
    model, batch = case("mlp", torch.float64)
    with Hessian(model, sines(SilentSine.apply), batch) as hessian:
        hessian @ hessian.random()
    assert hessian.cost >= cost.FINITE_DIFFERENCE + cost.DOUBLE_BACKWARD + cost.GRAPH


def test_what_failed_once_is_not_tried_again() -> None:
    model, batch = case("mlp", torch.float64)
    calls, once = 0, sines(OnceSine.apply)

    def counting(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return once(model, batch)

    with Hessian(model, counting, batch) as hessian:
        hessian.gradient()
        assert calls == 2  # with a graph, in vain, and without
        hessian @ hessian.random()
        assert calls == 2 + 1 + 3  # forward over reverse, in vain, and differences
        hessian @ hessian.random()
        assert calls == 2 + 1 + 3 + 2


def test_a_hessian_is_for_its_block_only() -> None:
    model, loss, batch = quadratic([3.0, 1.0], [1.0, 1.0])
    hessian = Hessian(model, loss, batch)
    v = torch.ones(2, dtype=torch.float64)
    uses: list[Callable[[], object]] = [
        lambda: hessian @ v,
        hessian.gradient,
        lambda: hessian.parameters(v),
    ]
    for use in uses:
        with pytest.raises(MeasurementError, match="write `with Hessian"):
            use()
    with hessian:
        assert (hessian @ v).tolist() == [3.0, 1.0]
    for use in uses:
        with pytest.raises(MeasurementError, match="write `with Hessian"):
            use()


def test_a_random_vector_is_a_unit_one_and_draws_from_no_generator_but_its_own() -> None:
    model, loss, batch = quadratic([1.0] * 50, [1.0] * 50)
    state = torch.get_rng_state()
    hessian = Hessian(model, loss, batch)
    assert float(hessian.random().norm()) == pytest.approx(1.0, rel=1e-12)
    assert torch.equal(hessian.random(3), hessian.random(3))
    assert abs(float(hessian.random(3) @ hessian.random(4))) < 0.5
    assert torch.equal(torch.get_rng_state(), state)


def test_an_unknown_method_is_refused_with_those_that_there_are() -> None:
    model, loss, batch = quadratic([1.0], [1.0])
    with pytest.raises(UnsupportedError, match="'power'") as caught:
        Hessian(model, loss, batch, method="power")
    assert all(name in str(caught.value) for name in ["auto", *ALL])


def test_a_loss_that_is_linear_in_a_parameter_has_zero_rows_there() -> None:
    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(2, dtype=torch.float64))
            self.b = nn.Parameter(torch.ones(1, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.w**3).sum(1) + self.b

    def mean(model: nn.Module, batch: Any) -> Tensor:
        return model(batch).mean()

    x = torch.tensor([[1.0, 2.0], [3.0, 0.0]], dtype=torch.float64)
    v = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    for method in TRUE:
        with Hessian(Line(), mean, x, method=method) as hessian:
            assert (hessian @ v).tolist() == pytest.approx([12.0, 6.0, 0.0], abs=1e-6)
    with Hessian(Line(), mean, x, method="gauss-newton") as hessian:
        assert (hessian @ v).tolist() == [0.0, 0.0, 0.0]  # linear in the outputs
    flat = nn.Linear(2, 1).double()
    with Hessian(flat, mean, x) as hessian:
        assert (hessian @ v).tolist() == [0.0, 0.0, 0.0]


def test_a_zero_vector_has_a_zero_product_however_long_the_weights() -> None:
    model, loss, batch = quadratic([3.0, 1.0], [1e8, 1.0])
    for method in TRUE:
        with Hessian(model, loss, batch, method=method) as hessian:
            assert (hessian @ torch.zeros(2, dtype=torch.float64)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "model", ["returns the loss", "is not called", "outputs are not used"], ids=str
)
def test_gauss_newton_needs_outputs(model: str) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    def loss(module: nn.Module, batch: Any) -> Tensor:
        if model == "outputs are not used":
            module(batch[0])
        return cross_entropy(module.inner(batch[0]), batch[1])

    if model == "returns the loss":
        whole, whole_loss, scale = quadratic([3.0, 1.0], [1.0, 1.0])
        hessian = Hessian(whole, whole_loss, scale, method="gauss-newton")
    else:
        hessian = Hessian(Own(), loss, data(8, 4), method="gauss-newton")
    with hessian:
        with pytest.raises(MeasurementError, match="outputs"):
            hessian @ hessian.random()
