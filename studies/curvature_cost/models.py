"""Models and runs of this study: three architectures on the embedded digits, SGD and AdamW.

Needs torch, numpy and the package. `scale` widens the models for a GPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lrsearch.tasks import load_digits

Batch = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Multi-head self-attention through the fused kernel."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        shape = (n, length, 3, self.heads, width // self.heads)
        q, k, v = self.mix(x).view(shape).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(n, length, width))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.attention = nn.LayerNorm(width), Attention(width, 4)
        self.second = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.first(x))
        return x + self.feed(self.second(x))


class Transformer(nn.Module):
    """The rows of an image as a sequence."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(0.02 * torch.randn(8, width))
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.view(-1, 8, 8)) + self.position
        return self.head(self.norm(self.blocks(x)).mean(1))


def mlp(scale: int = 1) -> nn.Module:
    """64-256-256-10, ReLU: about 85,000 parameters at scale 1."""
    width = 256 * scale
    return nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


def cnn(scale: int = 1) -> nn.Module:
    """Three 3x3 convolutions with batch normalisation, ReLU."""
    a, b = 16 * scale, 32 * scale
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, a, 3, padding=1), nn.BatchNorm2d(a), nn.ReLU(),
        nn.Conv2d(a, b, 3, padding=1, stride=2), nn.BatchNorm2d(b), nn.ReLU(),
        nn.Conv2d(b, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * b, 10),
    )  # fmt: skip


def transformer(scale: int = 1) -> nn.Module:
    """Two pre-norm blocks, four heads, fused attention."""
    return Transformer(64 * scale)


MODELS = {"mlp": mlp, "cnn": cnn, "transformer": transformer}
# Rates at which these train well; what is measured is the cost of measuring, not the training.
RATES = {("mlp", "sgd"): 0.1, ("mlp", "adamw"): 1e-3, ("cnn", "sgd"): 0.1, ("cnn", "adamw"): 2e-3,
         ("transformer", "sgd"): 0.1, ("transformer", "adamw"): 1e-3}  # fmt: skip


def loss_fn(model: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1])


@dataclass
class Run:
    """A run that stands at its start; `steps` trains it."""

    name: str
    model: nn.Module
    optimizer: torch.optim.Optimizer
    images: Tensor
    labels: Tensor
    generator: torch.Generator
    batch_size: int

    def probe(self, size: int) -> Batch:
        """The first examples, always the same."""
        return self.images[:size], self.labels[:size]

    def step(self) -> tuple[Tensor, Batch]:
        """One training step on a random batch; its loss and batch."""
        picked = torch.randint(len(self.labels), (self.batch_size,), generator=self.generator)
        picked = picked.to(self.labels.device)
        batch = self.images[picked], self.labels[picked]
        self.optimizer.zero_grad()
        loss = loss_fn(self.model, batch)
        loss.backward()
        self.optimizer.step()
        return loss.detach(), batch

    def steps(self, count: int) -> Iterator[int]:
        """Train; yields the number of steps done, first 0."""
        yield 0
        for done in range(1, count + 1):
            self.step()
            yield done


def build(
    kind: str,
    optimizer: str,
    *,
    device: str = "cpu",
    seed: int = 0,
    scale: int = 1,
    batch_size: int = 64,
) -> Run:
    torch.manual_seed(seed)
    model = MODELS[kind](scale).to(device)
    rate = RATES[kind, optimizer]
    make = torch.optim.SGD if optimizer == "sgd" else torch.optim.AdamW
    data = load_digits().train
    return Run(
        f"{kind}-{optimizer}",
        model,
        make(model.parameters(), lr=rate),
        data.images.flatten(1).to(device),
        data.labels.to(device),
        torch.Generator().manual_seed(seed),
        batch_size,
    )
