"""On a CUDA device: the numbers of the CPU, and no waiting for the device between probes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsearch.curvature import Hessian, Watch, batch_sharpness, critical_rate, sharpness

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
METHODS = ["double-backward", "forward-over-reverse", "finite-difference", "gauss-newton"]


def scene(device: str) -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GELU(),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(144, 5),
    )  # fmt: skip
    batch = (torch.randn(64, 64), torch.randint(5, (64,)))
    return model.to(device), tuple(t.to(device) for t in batch)


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


@pytest.mark.parametrize("method", METHODS)
def test_products_are_those_of_the_cpu(method: str) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        model, batch = scene(device)
        with Hessian(model, loss_fn, batch, method=method) as hessian:
            v = torch.linspace(-1, 1, hessian.size, device=device)
            product = hessian @ v
            assert product.device.type == device
            found[device] = product.cpu()
    assert torch.allclose(found["cuda"], found["cpu"], rtol=2e-2, atol=2e-3)


def test_measurements_are_those_of_the_cpu() -> None:
    found = {}
    for device in ("cpu", "cuda"):
        model, batch = scene(device)
        u = [-torch.ones_like(p) for p in model.parameters()]
        found[device] = (
            sharpness(model, loss_fn, batch, tolerance=1e-5, max_hvps=50).value,
            batch_sharpness(model, loss_fn, [batch]).ratio_of_means,
            critical_rate(model, loss_fn, batch, direction=u, start=0.01).value,
        )
    assert found["cuda"] == pytest.approx(found["cpu"], rel=2e-2)


def test_nothing_waits_for_the_device_between_probes() -> None:
    model, batch = scene("cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with Watch(model, optimizer, loss_fn, budget=4_000) as watch:
        for _ in range(1, 4_000):
            due = watch._cadence.next == watch.steps + 1
            optimizer.zero_grad()
            loss = loss_fn(model, batch)
            loss.backward()
            torch.cuda.set_sync_debug_mode("default" if due else "error")
            try:
                optimizer.step()
                watch.step(loss, batch)
            finally:
                torch.cuda.set_sync_debug_mode("default")
    assert len(watch.readings) >= 10
    assert any(r.top_sharpness is not None for r in watch.readings)


def test_the_eigenvector_waits_in_the_memory_of_the_host() -> None:
    model, batch = scene("cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with Watch(model, optimizer, loss_fn, budget=200, share=1.0) as watch:
        for _ in range(200):
            optimizer.zero_grad()
            loss = loss_fn(model, batch)
            loss.backward()
            optimizer.step()
            watch.step(loss, batch)
    assert watch._top.vector is not None
    assert watch._top.vector.device.type == "cpu"
    assert sum(r.top_carried is not None for r in watch.readings) >= 3
