"""Watch full-batch gradient descent climb to the edge of stability (Cohen et al. 2021).

    python examples/edge_of_stability.py [--rate 0.6] [--steps 800]

A tanh network on 500 digits with the squared error. The sharpness rises until learning rate *
sharpness = 2 and stays there, while the loss goes on falling. Every reading starts from the last.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from lrsearch.curvature import Eigenvalues, sharpness, threshold
from lrsearch.tasks import load_digits


def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    wanted = nn.functional.one_hot(batch[1], 10).float()
    return 0.5 * (model(batch[0].flatten(1)) - wanted).square().sum(1).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=0.6, help="learning rate (default 0.6)")
    parser.add_argument("--steps", type=int, default=800, help="optimizer steps (default 800)")
    options = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = load_digits().train
    batch = (data.images[:500], data.labels[:500])
    model = nn.Sequential(nn.Linear(64, 100), nn.Tanh(), nn.Linear(100, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=options.rate)
    edge = threshold(optimizer, full_batch=True)
    assert edge is not None

    top: Eigenvalues | None = None
    spent, products = 0.0, 0
    for step in range(options.steps + 1):
        loss = loss_fn(model, batch)
        if step % 20 == 0:
            top = sharpness(model, loss_fn, batch, optimizer=optimizer, start=top)
            spent, products = spent + top.cost, products + top.hvps
            rho = options.rate * top.value / edge
            print(
                f"step {step:4d}  loss {loss.item():.4f}  sharpness {top.value:.3f}  rho {rho:.3f}"
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"{products} Hessian-vector products, the cost of {spent:.0f} gradients")


if __name__ == "__main__":
    main()
