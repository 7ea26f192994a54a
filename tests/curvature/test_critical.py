"""The critical learning rate against quadratics, where it is ``-2 g'u / u'Hu``."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsearch.curvature import _cost as cost
from lrsearch.curvature import critical_rate, curvature_along
from lrsearch.exceptions import MeasurementError, UnsupportedError
from lrsearch.testing import quadratic


def problem() -> tuple[nn.Module, Any, Tensor, list[Tensor]]:
    model, loss_fn, batch = quadratic([8.0, 1.0], [1.0, 2.0])
    return model, loss_fn, batch, [-batch * model.w.detach()]


@pytest.mark.parametrize("start", [1e-3, 0.2, 0.25, 50.0])
@pytest.mark.parametrize("tolerance", [1 / 16, 1e-4])
def test_on_a_quadratic_it_brackets_the_closed_form(start: float, tolerance: float) -> None:
    model, loss_fn, batch, u = problem()
    exact = curvature_along(model, loss_fn, batch, direction=u).critical
    found = critical_rate(
        model, loss_fn, batch, direction=u, start=start, tolerance=tolerance, max_evaluations=60
    )
    assert found.lower <= exact <= found.upper
    assert found.upper <= found.lower * (1 + tolerance)
    assert found.value == pytest.approx(math.sqrt(found.lower * found.upper))
    assert found.value == pytest.approx(exact, rel=tolerance)
    assert found.converged
    assert found.reason == f"bracket within {tolerance:g}"


def test_evaluations_are_counted_and_few_from_a_good_start() -> None:
    model, loss_fn, batch, u = problem()
    calls = 0

    def counting(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return loss_fn(model, batch)

    exact = curvature_along(model, loss_fn, batch, direction=u).critical
    for factor in (0.6, 0.9, 1.1, 1.6):
        calls = 0
        found = critical_rate(model, counting, batch, direction=u, start=factor * exact)
        assert found.evaluations == calls <= 8
        assert found.cost == pytest.approx(cost.FORWARD * calls)
        assert found.converged


def test_the_search_stops_at_the_most_evaluations() -> None:
    model, loss_fn, batch, u = problem()
    few = critical_rate(model, loss_fn, batch, direction=u, start=0.2, max_evaluations=3)
    assert few.evaluations == 3
    assert not few.converged
    assert few.reason == "stopped after 3 evaluations, the most it may take"
    exact = critical_rate(model, loss_fn, batch, direction=u, start=0.2, max_evaluations=8)
    assert exact.converged
    last = exact.evaluations  # one that suffices exactly is not cut off
    again = critical_rate(model, loss_fn, batch, direction=u, start=0.2, max_evaluations=last)
    assert again == exact


def test_a_loss_that_only_falls_has_no_upper_end_and_one_that_rises_no_lower() -> None:
    model, loss_fn, batch = quadratic([-1.0], [1.0])
    u = [torch.ones(1, dtype=torch.float64)]
    falling = critical_rate(model, loss_fn, batch, direction=u, start=1.0, max_evaluations=9)
    assert (falling.lower, falling.upper) == (128.0, math.inf)
    assert falling.value == 128.0
    assert not falling.converged
    model, loss_fn, batch = quadratic([1.0], [1.0])
    rising = critical_rate(model, loss_fn, batch, direction=u, start=1.0, max_evaluations=9)
    assert (rising.lower, rising.upper) == (0.0, 2.0**-7)
    assert rising.value == 2.0**-7
    assert not rising.converged


def test_where_the_loss_is_not_finite_counts_as_too_far() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))

    def loss_fn(model: Any, batch: Any) -> Tensor:
        return model.w.sqrt().sum()  # nan beyond 0, so the critical rate along -1 is 1

    u = [torch.tensor([-1.0], dtype=torch.float64)]
    found = critical_rate(Root(), loss_fn, torch.ones(1), direction=u, start=0.1, tolerance=1e-3)
    assert found.value == pytest.approx(1.0, rel=1e-3)


def test_several_batches_are_one_mean() -> None:
    model, loss_fn, _, u = problem()
    halves = [torch.tensor([12.0, 0.5]).double(), torch.tensor([4.0, 1.5]).double()]
    whole = critical_rate(model, loss_fn, sum(halves) / 2, direction=u, start=0.1)
    parts = critical_rate(model, loss_fn, *halves, direction=u, start=0.1)
    assert parts.value == pytest.approx(whole.value)


@pytest.mark.parametrize(
    "options",
    [
        {"start": 0.0},
        {"start": -1.0},
        {"start": math.nan},
        {"start": math.inf},
        {"max_evaluations": 1},
        {"tolerance": -0.5},
        {"tolerance": math.nan},
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    model, loss_fn, batch, u = problem()
    with pytest.raises(UnsupportedError, match="must be") as caught:
        critical_rate(model, loss_fn, batch, direction=u, **{"start": 1.0, **options})
    assert repr(next(iter(options.values()))) in str(caught.value)


def test_a_loss_that_is_not_finite_at_the_weights_is_an_error() -> None:
    model, loss_fn, _, u = problem()
    bad = torch.tensor([math.inf, 1.0], dtype=torch.float64)
    with pytest.raises(MeasurementError, match="the loss is inf: measure where it is finite"):
        critical_rate(model, loss_fn, bad, direction=u, start=1.0)
