"""Everything that a run could depend on, and a comparison of a run with and without the watch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lrsearch.curvature import Watch

Scene = Iterator[tuple[nn.Module, torch.optim.Optimizer]]
Watching = Callable[..., AbstractContextManager[Any]]


def bits(value: Any) -> Any:
    """Anything as something that compares equal if and only if every bit does."""
    if isinstance(value, Tensor):
        if value.is_sparse:
            return "sparse", bits(value.coalesce().indices()), bits(value.coalesce().values())
        raw = value.detach().clone().contiguous().reshape(-1)
        return str(value.dtype), tuple(value.shape), raw.view(torch.uint8).numpy().tobytes()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    return repr(value) if isinstance(value, float) else value


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """All state that a later step could depend on."""
    return {
        "parameters": bits(dict(model.named_parameters())),
        "versions": [p._version for p in model.parameters()],
        "buffers": bits(dict(model.named_buffers())),
        "gradients": {n: None if p.grad is None else bits(p.grad) for n, p in _named(model)},
        "requires_grad": {n: p.requires_grad for n, p in _named(model)},
        "optimizer": bits(optimizer.state_dict()),
        "modes": {n: m.training for n, m in model.named_modules()},
        "attributes": {
            n: {k: v for k, v in vars(m).items() if isinstance(v, bool | int | float | str)}
            for n, m in model.named_modules()
        },
        "generators": bits([torch.get_rng_state(), np.random.get_state(), random.getstate()]),
        "grad mode": torch.is_grad_enabled(),
        "autocast": (
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
            torch.is_autocast_cache_enabled(),
        ),
    }


def _named(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(model.named_parameters())


class Blind:
    """Stands where the watch would stand."""

    def step(self, loss: Any, batch: Any = None) -> None:
        pass


def follow(scene: Callable[[Watching], Scene], *, watched: bool) -> tuple[list[Any], list[Any]]:
    readings: list[Any] = []

    @contextmanager
    def watching(*arguments: Any, **options: Any) -> Iterator[Any]:
        if not watched:
            yield Blind()
            return
        with Watch(*arguments, share=1.0, **options) as watch:
            yield watch
        readings.extend(watch.readings)

    torch.manual_seed(3)
    np.random.seed(4)
    random.seed(5)
    return [everything(*at) for at in scene(watching)], readings


def assert_same(scene: Callable[[Watching], Scene]) -> list[Any]:
    """Run a scene twice and compare; the readings of the watched run."""
    watched, readings = follow(scene, watched=True)
    alone, _ = follow(scene, watched=False)
    assert len(watched) == len(alone) >= 10
    for step, (one, other) in enumerate(zip(watched, alone, strict=True), 1):
        for what in one:
            assert one[what] == other[what], f"{what} differ after step {step}"
    first, last = alone[0], alone[-1]
    assert first["parameters"] != last["parameters"]  # it did train
    return readings


@pytest.fixture(name="everything")
def _everything() -> Callable[[nn.Module, torch.optim.Optimizer], dict[str, Any]]:
    return everything


@pytest.fixture(name="assert_same")
def _assert_same() -> Callable[[Callable[[Watching], Scene]], list[Any]]:
    return assert_same
