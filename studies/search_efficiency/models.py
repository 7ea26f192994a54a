"""The recorded models: small enough for hundreds of runs on two cores."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def perceptron(width: int, *, pooled: bool = False) -> nn.Module:
    """784 - width - width - 10, ReLU; ``pooled`` sees the means of 2 x 2 pixels, 196 inputs."""
    seen: list[nn.Module] = [nn.AvgPool2d(2)] if pooled else []
    return nn.Sequential(
        *seen,
        nn.Flatten(),
        nn.Linear(196 if pooled else 784, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


def convolutions(width: int, norm: str) -> nn.Module:
    """Two convolutions (3 x 3, ``width`` and twice as many channels), each normalised and pooled.

    They see images of 14 x 14, for the mean of 2 x 2 pixels costs a quarter and hundreds of runs
    are recorded. ``norm`` is "batch" or "group" (four groups).
    """

    def normalised(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(4, channels)

    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(1, width, 3, padding=1),
        normalised(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        normalised(2 * width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * 9, 10),
    )


class Transformer(nn.Module):
    """A character transformer: pre-norm blocks, causal attention, learnt positions, tied to none.

    Args:
        vocabulary: Number of characters.
        width: Of the residual stream.
        blocks: How many.
        heads: Of each attention.
        context: Characters at most.
    """

    def __init__(
        self, vocabulary: int, width: int = 64, blocks: int = 2, heads: int = 4, context: int = 32
    ) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Embedding(vocabulary, width)
        self.place = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "before": nn.LayerNorm(width),
                    "mix": nn.Linear(width, 3 * width),
                    "out": nn.Linear(width, width),
                    "between": nn.LayerNorm(width),
                    "up": nn.Linear(width, 4 * width),
                    "down": nn.Linear(4 * width, width),
                }
            )
            for _ in range(blocks)
        )
        self.last = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, codes: Tensor) -> Tensor:
        """Logits (n, t, vocabulary) of the next characters after ``codes`` (n, t)."""
        n, t = codes.shape
        x = self.embed(codes) + self.place(torch.arange(t, device=codes.device))
        for block in self.blocks:
            parts = block["mix"](block["before"](x)).view(n, t, 3, self.heads, -1)
            q, k, v = parts.permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + block["out"](mixed.transpose(1, 2).reshape(n, t, -1))
            x = x + block["down"](functional.gelu(block["up"](block["between"](x))))
        return self.head(self.last(x))
