"""A clipped or scaled gradient does not bend what the probes read."""

from __future__ import annotations

import pytest
from torch.optim import SGD

from lrsearch.curvature import Watch
from lrsearch.stability import Reading
from lrsearch.testing import quadratic


def readings(scale: float) -> list[Reading]:
    """Gradients times ``scale`` and rate over it: the same steps."""
    model, loss_fn, batch = quadratic([1.0, 4.0], [3.0, 2.0])
    optimizer = SGD(model.parameters(), lr=0.1 / scale)
    with Watch(model, optimizer, loss_fn, budget=24) as watch:
        for _ in range(24):
            optimizer.zero_grad()
            loss = loss_fn(model, batch)
            loss.backward()
            for p in model.parameters():
                p.grad *= scale
            optimizer.step()
            watch.step(loss, batch)
    return watch.readings


@pytest.mark.parametrize("scale", [0.01, 0.3, 30.0])
def test_the_same_steps_read_alike(scale: float) -> None:
    plain, scaled = readings(1.0), readings(scale)
    assert len(plain) == len(scaled) >= 5
    for one, other in zip(plain, scaled, strict=True):
        # Along the direction of length c |g| the curvature is c times that along g.
        assert other.rho == pytest.approx(one.rho, rel=1e-6)
        assert other.decrease_ratio == pytest.approx(one.decrease_ratio, rel=1e-6)


def test_decrease_on_a_bowl_is_known() -> None:
    for reading in readings(1.0):
        # L(w - eta g) = L - eta g'g + eta^2 g'Hg / 2
        expected = 1.0 - reading.learning_rate * reading.sharpness / 2.0
        assert reading.decrease_ratio == pytest.approx(expected, rel=1e-6)


def test_the_second_look_is_paid_for() -> None:
    assert readings(0.01)[-1].cost > readings(1.0)[-1].cost
