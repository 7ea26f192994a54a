"""The oracles themselves, against closed forms worked out on paper."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsearch.testing import dense_hessian, quadratic


def test_a_quadratic_has_its_eigenvalues_on_the_diagonal() -> None:
    model, loss_fn, batch = quadratic([3.0, 0.5, -2.0], [1.0, 2.0, 3.0])
    assert loss_fn(model, batch).item() == 0.5 * (3 * 1 + 0.5 * 4 - 2 * 9)
    assert torch.equal(dense_hessian(model, loss_fn, batch), batch.diag())


def test_least_squares_is_the_gram_matrix() -> None:
    """Weights first, then the bias: ``H = 2/n [X 1]'[X 1]`` for mean squared error."""
    torch.manual_seed(0)
    model = nn.Linear(4, 1).double()
    x, y = torch.randn(9, 4).double(), torch.randn(9, 1).double()

    def loss_fn(model: nn.Module, batch: Any) -> Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    extended = torch.cat([x, torch.ones(9, 1).double()], dim=1)
    expected = 2 / 9 * extended.T @ extended
    assert torch.allclose(dense_hessian(model, loss_fn, (x, y)), expected, rtol=1e-12, atol=1e-14)


def test_logistic_regression_is_the_weighted_gram_matrix() -> None:
    torch.manual_seed(1)
    model = nn.Linear(3, 1, bias=False).double()
    x, y = torch.randn(8, 3).double(), torch.tensor([0.0, 1.0] * 4).double()

    def loss_fn(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(model(batch[0])[:, 0], batch[1])

    p = model(x)[:, 0].sigmoid().detach()
    expected = x.T @ ((p * (1 - p))[:, None] * x) / 8
    assert torch.allclose(dense_hessian(model, loss_fn, (x, y)), expected, rtol=1e-10, atol=1e-14)


def test_off_diagonal_blocks_and_frozen_parameters() -> None:
    """``L = a^3 b`` has the Hessian ``[[6ab, 3a^2], [3a^2, 0]]``."""

    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.tensor(2.0))
            self.frozen = nn.Parameter(torch.tensor(5.0), requires_grad=False)
            self.b = nn.Parameter(torch.tensor(3.0))

        def forward(self, scale: float) -> Tensor:
            return scale * self.a**3 * self.b

    found = dense_hessian(Product(), lambda model, scale: model(scale), 1.0)
    assert found.tolist() == [[36.0, 12.0], [12.0, 0.0]]


def test_a_linear_parameter_has_zeros() -> None:
    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.curved = nn.Parameter(torch.tensor([1.0, 2.0]))
            self.straight = nn.Parameter(torch.tensor([4.0]))

        def forward(self, _: Any) -> Tensor:
            return (self.curved**2).sum() + 3 * self.straight.sum() ** 1

    found = dense_hessian(Linear(), lambda model, batch: model(batch), None)
    assert found.tolist() == [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize(("factor", "converges"), [(0.99, True), (1.01, False)])
def test_gradient_descent_on_a_quadratic_turns_at_two_over_the_largest_eigenvalue(
    factor: float, converges: bool
) -> None:
    model, loss_fn, batch = quadratic([4.0, 1.0], [1.0, 1.0])
    optimizer = torch.optim.SGD(model.parameters(), lr=factor * 2 / 4.0)
    start = loss_fn(model, batch).item()
    for _ in range(500):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
    assert (loss_fn(model, batch).item() < start) is converges
