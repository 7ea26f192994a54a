"""A run with the watch is bit for bit the run without it, in every loop that people write.

Each scenario is a training loop that yields its model and optimizer after every step. It runs
twice, with `Watch` and with a stand-in that does nothing, and everything that the rest of the run
could depend on is compared after each step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.optim.lr_scheduler import ExponentialLR

from lrsearch.curvature import Watch

STEPS = 14
Scene = Iterator[tuple[nn.Module, torch.optim.Optimizer]]
Watching = Callable[..., AbstractContextManager[Any]]
Same = Callable[[Callable[[Watching], Scene]], list[Any]]


def measured(readings: list[Any]) -> list[Any]:
    return [r for r in readings if r.sharpness is not None and r.annealed_loss is not None]


def data(steps: int = STEPS, features: int = 6) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(11)
    weights = torch.randn(features, 3, generator=generator)
    batches = []
    for _ in range(steps):
        x = torch.randn(16, features, generator=generator)
        batches.append((x, (x @ weights).argmax(1)))
    return batches


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    x, y = batch
    return cross_entropy(model(x), y)


def network(*, norm: bool = True, dropout: bool = True) -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 12),
        nn.BatchNorm1d(12) if norm else nn.Identity(),
        nn.ReLU(),
        nn.Dropout(0.4 if dropout else 0.0),
        nn.Linear(12, 3),
    )


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=1e-2, fused=True),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True),
    "adamw-loop": lambda p: torch.optim.AdamW(p, lr=1e-2, foreach=False),
    "nadam": lambda p: torch.optim.NAdam(p, lr=1e-2),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-2, momentum=0.5, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-1),
    "tensor-rate": lambda p: torch.optim.Adam(p, lr=torch.tensor(1e-2)),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_with_batch_norm_and_dropout_under_any_optimizer(kind: str, assert_same: Same) -> None:
    def scene(watching: Watching) -> Scene:
        model = network()
        optimizer = OPTIMIZERS[kind](model.parameters())
        with watching(model, optimizer, loss_fn) as watch:
            for batch in data():
                optimizer.zero_grad()
                loss = loss_fn(model, batch)
                loss.backward()
                optimizer.step()
                watch.step(loss, batch)
                yield model, optimizer

    assert len(measured(assert_same(scene))) >= 3


@pytest.mark.parametrize("order", ["zero first", "zero last", "schedule before watch", "keep"])
def test_whatever_the_order_of_zero_grad_and_scheduler(order: str, assert_same: Same) -> None:
    rates: list[float] = []

    def scene(watching: Watching) -> Scene:
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        scheduler = ExponentialLR(optimizer, 0.9)
        rates.clear()
        with watching(model, optimizer, loss_fn) as watch:
            for batch in data():
                if order == "zero first":
                    optimizer.zero_grad()
                loss = loss_fn(model, batch)
                loss.backward()
                rates.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                if order != "keep":  # gradients pile up, as in some loops by mistake
                    optimizer.zero_grad(set_to_none=order != "zero last")
                if order == "schedule before watch":
                    scheduler.step()
                watch.step(loss, batch)
                if order != "schedule before watch":
                    scheduler.step()
                yield model, optimizer

    readings = assert_same(scene)
    assert len(measured(readings)) >= 2
    assert any(r.top_sharpness is not None for r in readings)
    assert [r.learning_rate for r in readings] == [rates[r.step - 1] for r in readings]


def test_with_groups_frozen_parameters_and_an_unused_one(assert_same: Same) -> None:
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network()
            self.unused = nn.Linear(2, 2)
            self.body[0].weight.requires_grad_(False)
            self.body[1].eval()

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    def scene(watching: Watching) -> Scene:
        model = Partly()
        optimizer = torch.optim.AdamW(
            [
                {"params": model.body[4].parameters(), "lr": 1e-2},
                {"params": [*model.body[1].parameters(), *model.unused.parameters()], "lr": 1e-3},
                {"params": model.body[0].parameters(), "lr": 0.0, "weight_decay": 0.1},
            ]
        )
        with watching(model, optimizer, loss_fn) as watch:
            for batch in data():
                optimizer.zero_grad()
                loss = loss_fn(model, batch)
                loss.backward()
                optimizer.step()
                watch.step(loss, batch)
                yield model, optimizer

    assert len(measured(assert_same(scene))) >= 3


@pytest.mark.parametrize("clip", ["norm", "value"])
def test_with_clipping_and_accumulation(clip: str, assert_same: Same) -> None:
    def scene(watching: Watching) -> Scene:
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        with watching(model, optimizer, loss_fn) as watch:
            for index, batch in enumerate(data(3 * STEPS)):
                loss = loss_fn(model, batch) / 3
                loss.backward()
                if index % 3 == 2:
                    if clip == "norm":
                        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
                    else:
                        nn.utils.clip_grad_value_(model.parameters(), 0.01)
                    optimizer.step()
                    optimizer.zero_grad()
                watch.step(loss, batch)  # after every micro-batch
                yield model, optimizer

    assert len(measured(assert_same(scene))) >= 3


@pytest.mark.parametrize("where", ["in the loss", "around the step", "around the loop", "both"])
def test_under_bfloat16_autocast(where: str, assert_same: Same) -> None:
    def cast() -> AbstractContextManager[Any]:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    inner = cast if where in ("in the loss", "both") else nullcontext
    middle = cast if where == "around the step" else nullcontext
    outer = cast if where in ("around the loop", "both") else nullcontext

    def cast_loss(model: nn.Module, batch: Any) -> Tensor:
        with inner():
            return loss_fn(model, batch)

    def scene(watching: Watching) -> Scene:
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        with outer(), watching(model, optimizer, cast_loss) as watch:
            for batch in data():
                with middle():
                    optimizer.zero_grad()
                    loss = cast_loss(model, batch)
                    loss.backward()
                    optimizer.step()
                    watch.step(loss, batch)
                    yield model, optimizer

    assert len(measured(assert_same(scene))) >= 2


def test_with_a_gradient_scaler(assert_same: Same) -> None:
    def scene(watching: Watching) -> Scene:
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        with watching(model, optimizer, loss_fn) as watch:
            for index, batch in enumerate(data(2 * STEPS)):
                optimizer.zero_grad()
                loss = loss_fn(model, batch)
                scaled = scaler.scale(loss)
                (scaled * (float("inf") if index % 2 else 1.0)).backward()
                scaler.step(optimizer)
                scaler.update()
                watch.step(loss, batch)
                yield model, optimizer

    readings = assert_same(scene)
    assert len(measured(readings)) >= 3
    assert STEPS / 2 < readings[-1].step <= STEPS  # those that the scaler skipped are no steps
    assert all(r.gradient_norm < 100 for r in measured(readings))  # unscaled


class Odd(nn.Module):
    """Layers that change their buffers in the forward pass in unusual ways."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 12))
        self.instance = nn.InstanceNorm1d(3, track_running_stats=True)
        self.cumulative = nn.BatchNorm1d(12, momentum=None)
        self.last = nn.Linear(12, 3)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.register_buffer("queue", torch.zeros(4, 6))
        self.register_buffer("later", None)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen = self.seen + x.mean()  # replaced, not changed in place
        self.later = x[:2].clone()
        self.queue[int(self.calls) % 4] = x[0]
        x = self.cumulative(self.first(x))
        x = self.instance(x.view(len(x), 3, 4)).flatten(1)
        return self.last(torch.relu(x)) + self.queue.mean() + self.seen


def test_with_buffers_that_every_forward_pass_changes(assert_same: Same) -> None:
    def scene(watching: Watching) -> Scene:
        model = Odd()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watching(model, optimizer, loss_fn) as watch:
            for batch in data():
                optimizer.zero_grad()
                loss = loss_fn(model, batch)
                loss.backward()
                optimizer.step()
                watch.step(loss, batch)
                yield model, optimizer

    assert len(measured(assert_same(scene))) >= 2


def test_with_a_graph_that_outlives_the_step(assert_same: Same) -> None:
    """Two optimizers, one model: the second backward uses a graph from before the first step."""

    def scene(watching: Watching) -> Scene:
        model = network(norm=False)
        optimizer = torch.optim.SGD(model[4].parameters(), lr=0.1)
        other = torch.optim.SGD(model[0].parameters(), lr=0.1)
        with watching(model, optimizer, loss_fn) as watch:
            for batch in data():
                optimizer.zero_grad()
                other.zero_grad()
                loss = loss_fn(model, batch)
                loss.backward(retain_graph=True)
                early = (model[0](batch[0]) ** 2).mean()  # saves the weight of model[0]
                penalty = (model[0].weight ** 2).mean()
                optimizer.step()
                watch.step(loss, batch)
                (early + penalty).backward()
                other.step()
                yield model, optimizer

    assert len(measured(assert_same(scene))) >= 3


def test_with_a_closure_and_parameters_that_come_and_go(assert_same: Same) -> None:
    """`optimizer.step(closure)`: the gradients before the step are not those of the step."""

    class Switch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList([nn.Linear(6, 3), nn.Linear(6, 3)])
            self.turn = 0

        def forward(self, x: Tensor) -> Tensor:
            return self.experts[self.turn % 2](x)

    def scene(watching: Watching) -> Scene:
        model = Switch()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watching(model, optimizer, loss_fn) as watch:
            for index, batch in enumerate(data(2 * STEPS)):
                model.turn = index // 3

                def closure(batch: Any = batch) -> Tensor:
                    optimizer.zero_grad()
                    loss = loss_fn(model, batch)
                    loss.backward()
                    return loss

                watch.step(optimizer.step(closure), batch)
                yield model, optimizer

    assert len([r for r in assert_same(scene) if r.sharpness is not None]) >= 3


def test_with_lbfgs(assert_same: Same) -> None:
    def scene(watching: Watching) -> Scene:
        model = network(norm=False, dropout=False)
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)
        with watching(model, optimizer, loss_fn) as watch:
            for batch in data():

                def closure(batch: Any = batch) -> Tensor:
                    optimizer.zero_grad()
                    loss = loss_fn(model, batch)
                    loss.backward()
                    return loss

                watch.step(optimizer.step(closure), batch)
                yield model, optimizer

    readings = assert_same(scene)
    assert measured(readings)
    assert all(r.threshold is None and r.rho is None for r in readings)
    assert "no stability threshold" in measured(readings)[0].note


@pytest.mark.parametrize("all_sparse", [False, True])
def test_with_sparse_gradients(all_sparse: bool, assert_same: Same) -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(10, 3, sparse=True)
            self.last = nn.Linear(3, 3)
            self.last.requires_grad_(not all_sparse)

        def forward(self, words: Tensor) -> Tensor:
            return self.last(self.table(words).mean(1))

    def scene(watching: Watching) -> Scene:
        model = Words()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        generator = torch.Generator().manual_seed(0)
        with watching(model, optimizer, loss_fn) as watch:
            for _ in range(STEPS):
                words = torch.randint(10, (8, 4), generator=generator)
                batch = (words, words[:, 0] % 3)
                optimizer.zero_grad()
                loss = loss_fn(model, batch)
                loss.backward()
                optimizer.step()
                watch.step(loss, batch)
                yield model, optimizer

    readings = assert_same(scene)
    assert bool(measured(readings)) is not all_sparse  # dense parameters are all it reads


def test_with_attention_without_double_backward(assert_same: Same) -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.Linear(6, 24)
            self.outside = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.inside(x).view(len(x), 1, 3, 8).unbind(2)
            dropped = 0.2 if self.training else 0.0
            return self.outside(scaled_dot_product_attention(q, k, v, dropout_p=dropped)[:, 0])

    def scene(watching: Watching) -> Scene:
        model = Attention()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        with watching(model, optimizer, loss_fn) as watch:
            for batch in data():
                optimizer.zero_grad()
                loss = loss_fn(model, batch)
                loss.backward()
                optimizer.step()
                watch.step(loss, batch)
                yield model, optimizer

    readings = assert_same(scene)
    assert len(measured(readings)) >= 3
    assert any(r.top_sharpness is not None for r in readings)  # another kernel, for the probe only


def compiled_scene(backend: str, what: str, compiled: list[int]) -> Callable[[Watching], Scene]:
    from torch._dynamo.utils import counters

    def scene(watching: Watching) -> Scene:
        torch.compiler.reset()
        counters.clear()
        model = network()
        whole = what == "the loss"
        fast = model if whole else torch.compile(model, backend=backend)
        fast_loss = torch.compile(loss_fn, backend=backend) if whole else loss_fn
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watching(fast, optimizer, fast_loss) as watch:
            for batch in data():
                optimizer.zero_grad()
                loss = fast_loss(fast, batch)
                loss.backward()
                optimizer.step()
                watch.step(loss, batch)
                yield model, optimizer
        compiled.append(counters["stats"]["unique_graphs"])

    return scene


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own, while it compiles
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "backend",
    [
        "eager",
        "aot_eager",
        # inductor calls the C++ compiler, which takes from seconds to a minute
        pytest.param("inductor", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("what", ["the model", "the loss"])
def test_what_is_compiled_is_not_compiled_again(backend: str, what: str, assert_same: Same) -> None:
    compiled: list[int] = []
    start = time.perf_counter()
    readings = assert_same(compiled_scene(backend, what, compiled))
    assert len(measured(readings)) >= 3
    assert any(r.top_sharpness is not None for r in readings)
    assert compiled[0] == compiled[1] > 0, time.perf_counter() - start


def test_a_probe_that_fails_leaves_no_trace_either(everything: Any) -> None:
    """The user's loss raises at each of the probe's five losses in turn."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    calls = bad = 0

    def fragile(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += not torch.is_grad_enabled()
        if calls == bad:
            raise RuntimeError("out of memory")
        return loss_fn(model, batch)

    seen = 0
    while bad < 5:
        bad, calls = bad + 1, 0
        with Watch(model, optimizer, fragile, share=1.0) as watch:
            watch.average.load([p.detach() + 1 for p in watch.average.tensors], 1)
            for batch in data():
                optimizer.zero_grad()
                loss = fragile(model, batch)
                loss.backward()
                optimizer.step()
                before = everything(model, optimizer)
                reading = watch.step(loss, batch)
                if reading is not None and reading.note is not None:
                    assert "out of memory" in reading.note
                    seen += 1
                    assert everything(model, optimizer) == before
                    break
    assert seen == 5


def test_the_comparison_would_notice(assert_same: Same) -> None:
    """A watch that draws one random number, or moves one weight by one bit, is caught."""

    def scene(watching: Watching) -> Scene:
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watching(model, optimizer, loss_fn) as watch:
            for batch in data():
                optimizer.zero_grad()
                loss = loss_fn(model, batch)
                loss.backward()
                optimizer.step()
                if isinstance(watch, Watch) and watch.steps == 3:
                    spoil(model)
                yield model, optimizer

    def draw(model: nn.Module) -> None:
        torch.rand(1)

    def flip(model: nn.Module) -> None:
        bias = model[4].bias.data
        bias[0] = torch.nextafter(bias[0], torch.tensor(torch.inf))

    def count(model: nn.Module) -> None:
        model[1].num_batches_tracked.data += 1

    def mode(model: nn.Module) -> None:
        model[3].training = False

    spoilers = [
        (draw, "generators"),
        (flip, "parameters"),
        (count, "buffers"),
        (mode, "modes"),
    ]
    while spoilers:
        spoil, what = spoilers.pop()
        with pytest.raises(AssertionError, match=f"{what} differ after step 3"):
            assert_same(scene)
