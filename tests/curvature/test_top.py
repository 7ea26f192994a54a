"""Eigenvalue readings along a run, against the Hessian as a matrix."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsearch.curvature import Watch, inverse_root, threshold
from lrsearch.curvature._cost import DOUBLE_BACKWARD, GRAPH
from lrsearch.curvature._top import COLD, REFRESH, WARM, TopReader
from lrsearch.exceptions import MeasurementError
from lrsearch.testing import dense_hessian, quadratic


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def scene(kind: str) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    x = torch.randn(48, 5)
    batch = (x, (x[:, 0] + x[:, 1] ** 2).round().long().clamp(0, 2))
    make = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5),
        "adam": lambda p: torch.optim.Adam(p, lr=3e-3),
    }[kind]
    return model, make(model.parameters()), batch


def train(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()


def dense_top(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
    hessian = dense_hessian(model, loss_fn, batch)
    roots = inverse_root(optimizer, list(model.parameters()))
    if roots is not None:
        root = torch.cat([r.flatten() for r in roots])
        hessian = root[:, None] * hessian * root
    return float(torch.linalg.eigvalsh(hessian)[-1])


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_follows_the_top_of_the_spectrum_at_two_or_three_products(kind: str) -> None:
    model, optimizer, batch = scene(kind)
    reader = TopReader()
    train(model, optimizer, batch, 20)
    worst = []
    for _ in range(12):
        fields, cost = reader.read(model, loss_fn, batch, optimizer)
        truth = dense_top(model, optimizer, batch)
        assert fields["top_sharpness"] <= truth * (1 + 1e-4)  # Ritz values stay inside
        worst.append(1 - fields["top_sharpness"] / truth)
        products = (cost - GRAPH) / DOUBLE_BACKWARD
        assert products <= (COLD if len(worst) == 1 else WARM) + 1e-6
        if "top_carried" in fields:
            assert fields["top_carried"] <= fields["top_sharpness"] + 1e-9
        assert fields["top_threshold"] == threshold(optimizer, full_batch=True)
        train(model, optimizer, batch, 5)
    assert sorted(worst)[len(worst) // 2] < 0.02
    assert max(worst) < 0.2


def test_the_carried_quotient_is_the_old_vector_on_the_new_batch() -> None:
    model, optimizer, batch = scene("sgd")
    other = (batch[0].flip(1), batch[1])
    reader = TopReader()
    reader.read(model, loss_fn, batch, optimizer)
    assert reader.vector is not None
    v = reader.vector.float()
    fields, _ = reader.read(model, loss_fn, other, optimizer)
    hessian = dense_hessian(model, loss_fn, other)
    assert fields["top_carried"] == pytest.approx(float(v @ hessian @ v / (v @ v)), rel=1e-4)


def test_an_old_vector_without_the_top_finds_it_at_the_refresh() -> None:
    """Two directions never mix on a bowl: without a random part the smaller one stays for ever."""
    model, bowl_loss, batch = quadratic([1.0, 5.0, 0.1, 0.2], [1.0, 1.0, 1.0, 1.0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    reader = TopReader()
    reader.vector, reader.count = torch.tensor([1.0, 0, 0, 0], dtype=torch.bfloat16), 1
    found = []
    for _ in range(REFRESH + 2):
        fields, _ = reader.read(model, bowl_loss, batch, optimizer)
        found.append(fields["top_sharpness"])
    assert found[0] == pytest.approx(1.0)
    assert found[REFRESH - 1] > 4.5
    assert found[-1] == pytest.approx(5.0, rel=0.02)


def test_keeps_half_a_copy_of_the_parameters_and_goes_on_from_a_stored_one() -> None:
    model, optimizer, batch = scene("adam")
    train(model, optimizer, batch, 3)
    reader = TopReader()
    reader.read(model, loss_fn, batch, optimizer)
    assert reader.vector is not None
    assert reader.vector.dtype == torch.bfloat16
    assert reader.vector.device.type == "cpu"
    resumed = TopReader()
    resumed.load_state_dict(copy.deepcopy(reader.state_dict()))
    again = resumed.read(model, loss_fn, batch, optimizer)
    assert again == reader.read(model, loss_fn, batch, optimizer)


def test_a_vector_of_another_model_is_left_alone() -> None:
    model, optimizer, batch = scene("sgd")
    reader = TopReader()
    reader.vector, reader.count = torch.ones(7, dtype=torch.bfloat16), 3
    fields, _ = reader.read(model, loss_fn, batch, optimizer)
    assert "top_carried" not in fields
    assert fields["top_sharpness"] == pytest.approx(dense_top(model, optimizer, batch), rel=0.05)


def test_what_works_is_kept() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x.tanh()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * (1 - ctx.saved_tensors[0].tanh() ** 2)

    model, optimizer, batch = scene("sgd")
    smooth = dense_top(model, optimizer, batch)

    def rough_loss(model: nn.Module, batch: Any) -> Tensor:
        hidden = Once.apply(model[0](batch[0]))
        return nn.functional.cross_entropy(model[2](hidden), batch[1])

    reader = TopReader()
    fields, _ = reader.read(model, rough_loss, batch, optimizer)
    assert reader.method == "finite-difference"
    assert fields["top_sharpness"] == pytest.approx(smooth, rel=0.05)


def test_a_watch_reads_it_where_its_share_affords_it() -> None:
    def readings(budget: int, **options: Any) -> list[Any]:
        model, optimizer, batch = scene("sgd")
        with Watch(model, optimizer, loss_fn, budget=budget, **options) as watch:
            for _ in range(budget):
                optimizer.zero_grad()
                loss = loss_fn(model, batch)
                loss.backward()
                optimizer.step()
                watch.step(loss, batch)
        assert watch.overhead <= 0.02 + 12 * 2.0 / budget
        return [r for r in watch.readings if r.top_sharpness is not None]

    found = readings(3_600)
    assert len(found) >= 5
    for reading in found:
        assert reading.top_sharpness is not None
        assert reading.sharpness is not None
        assert reading.sharpness <= 1.05 * reading.top_sharpness  # no direction exceeds the top
        assert reading.top_residual is not None
        assert reading.top_residual < 0.5
    assert found[0].rho_top == pytest.approx(
        0.1 * found[0].top_sharpness / threshold(scene("sgd")[1], full_batch=True), rel=1e-6
    )
    assert readings(1_000) == []
    assert readings(3_600, eigenvalues=False) == []


def test_an_eigenvalue_that_cannot_be_read_leaves_the_rest_of_the_reading() -> None:
    model, optimizer, batch = scene("sgd")
    calls = {"with graph": 0, "without": 0}

    def moody(model: nn.Module, batch: Any) -> Tensor:
        calls["with graph" if torch.is_grad_enabled() else "without"] += 1
        if torch.is_grad_enabled() and watching:
            raise MemoryError("no room for a graph")
        return loss_fn(model, batch)

    watching = False
    with Watch(model, optimizer, moody, budget=200, share=1.0) as watch:
        for _ in range(200):
            optimizer.zero_grad()
            watching = False
            loss = moody(model, batch)
            loss.backward()
            optimizer.step()
            watching = True
            watch.step(loss, batch)
    assert len(watch.readings) > 20
    assert all(r.sharpness is not None and r.top_sharpness is None for r in watch.readings)
    assert sum("no room for a graph" in (r.note or "") for r in watch.readings) >= 3
    assert calls["with graph"] - 200 == 3  # it is not tried for ever
    with pytest.raises(MeasurementError, match="no room"):
        TopReader().read(model, moody, batch, optimizer)
