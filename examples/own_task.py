"""A task of your own: everything that `lrsearch sweep` needs, in twenty lines.

Run it: lrsearch sweep examples/own_task.py:task --budget 300 --trials 12
"""

import torch
from torch import nn

from lrsearch import Task
from lrsearch.training import tensor_stream


def data(seed: int, n: int):
    """Noisy samples of a curve; any tensors of yours."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 1, generator=generator) * 6 - 3
    return x, torch.sin(2 * x) + 0.1 * torch.randn(n, 1, generator=generator)


def evaluate(model: nn.Module) -> float:
    """Mean squared error on samples that are not trained on."""
    x, y = data(seed=1, n=512)
    with torch.no_grad():
        return nn.functional.mse_loss(model(x), y).item()


task = Task(
    name="curve",
    model=lambda: nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 1)),
    loss=lambda model, batch: nn.functional.mse_loss(model(batch[0]), batch[1]),
    stream=tensor_stream(*data(seed=0, n=1024), batch_size=32),
    evaluate=evaluate,
    optimizer=lambda model, rate: torch.optim.Adam(model.parameters(), lr=rate),
    metric="validation error",
    budget=500,
)
