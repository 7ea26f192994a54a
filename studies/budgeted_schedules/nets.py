"""Three small models, each twice: a plain torch module, and a program of many members at once.

Every member has weights of its own: tensors are ``(M, ...)``, inputs ``(M, N, ...)``, logits
``(M, N', classes)``. A test trains one member both ways. Members start as the plain module does
from the same seed.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

Stats = list[Tensor]  # running means and variances of BatchNorm, (M * channels,) each


class Net(Protocol):
    """A model in both forms."""

    def plain(self) -> nn.Module: ...

    def split(self, module: Any) -> list[Tensor]:
        """The plain module's weights as one member's."""

    def stats(self, members: int) -> Stats: ...

    def logits(self, weights: list[Tensor], x: Tensor, stats: Stats, training: bool) -> Tensor: ...


class Perceptron:
    """196 - width - width - 10, ReLU."""

    def __init__(self, width: int = 48) -> None:
        self.width = width

    def plain(self) -> nn.Module:
        w = self.width
        layers = [nn.Linear(196, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 10)]
        return nn.Sequential(nn.Flatten(), *layers)

    def split(self, module: Any) -> list[Tensor]:
        linear = [module[i] for i in (1, 3, 5)]
        return [t for layer in linear for t in (layer.weight.T, layer.bias[None])]

    def stats(self, members: int) -> Stats:
        return []

    def logits(self, weights: list[Tensor], x: Tensor, stats: Stats, training: bool) -> Tensor:
        w1, b1, w2, b2, w3, b3 = weights
        z = torch.relu(torch.baddbmm(b1, x.flatten(2), w1))
        return torch.baddbmm(b3, torch.relu(torch.baddbmm(b2, z, w2)), w3)


class Convolutions:
    """Two 3 x 3 convolutions of stride 2, BatchNorm, ``channels`` and twice as many; 14 x 14."""

    def __init__(self, channels: int = 8) -> None:
        self.channels = channels

    def plain(self) -> nn.Module:
        c = self.channels
        return nn.Sequential(
            nn.Conv2d(1, c, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(c),
            nn.ReLU(),
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * c),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * c, 10),
        )

    def split(self, module: Any) -> list[Tensor]:
        found = []
        for i in (0, 3):
            found += [module[i].weight, module[i + 1].weight, module[i + 1].bias]
        return [*found, module[7].weight.T, module[7].bias[None]]

    def stats(self, members: int) -> Stats:
        sizes = [members * self.channels, members * 2 * self.channels]
        return [make(n) for n in sizes for make in (torch.zeros, torch.ones)]

    def logits(self, weights: list[Tensor], x: Tensor, stats: Stats, training: bool) -> Tensor:
        c1, g1, b1, c2, g2, b2, w, b = weights
        members, examples = x.shape[:2]
        z = x[:, :, 0].transpose(0, 1).contiguous()  # the members are channels
        for kernel, gain, bias, mean, var in (
            (c1, g1, b1, *stats[:2]),
            (c2, g2, b2, *stats[2:]),
        ):
            z = functional.conv2d(z, kernel.flatten(0, 1), stride=2, padding=1, groups=members)
            scale, shift = gain.flatten(), bias.flatten()
            z = torch.relu(functional.batch_norm(z, mean, var, scale, shift, training))
        return torch.baddbmm(b, z.view(examples, members, -1).transpose(0, 1), w)


class Transformer:
    """One pre-norm block, one head, learnt places; normalisations without weights."""

    def __init__(self, vocabulary: int, width: int = 24, context: int = 16) -> None:
        self.vocabulary, self.width, self.context = vocabulary, width, context

    def plain(self) -> nn.Module:
        return _PlainTransformer(self.vocabulary, self.width, self.context)

    def split(self, module: Any) -> list[Tensor]:
        m = module
        return [
            m.embed.weight, m.place.weight[None],
            m.query.weight.T, m.key.weight.T, m.value.weight.T, m.out.weight.T,
            m.up.weight.T, m.up.bias[None], m.down.weight.T, m.down.bias[None],
            m.head.weight.T, m.head.bias[None],
        ]  # fmt: skip

    def stats(self, members: int) -> Stats:
        return []

    def logits(self, weights: list[Tensor], x: Tensor, stats: Stats, training: bool) -> Tensor:
        embed, place, wq, wk, wv, wo, up, up_bias, down, down_bias, head, head_bias = weights
        members, n, t = x.shape
        d = self.width
        offset = (torch.arange(members) * self.vocabulary).view(members, 1, 1)
        z = functional.embedding(x + offset, embed.flatten(0, 1)) + place
        z = z.view(members, n * t, d)
        seen = functional.layer_norm(z, (d,))
        q, k, v = (torch.bmm(seen, w).view(members * n, t, d) for w in (wq, wk, wv))
        mask = torch.full((t, t), -1e9).triu(1)
        mixed = torch.softmax(torch.baddbmm(mask, q, k.transpose(1, 2), alpha=d**-0.5), -1)
        z = torch.baddbmm(z, torch.bmm(mixed, v).view(members, n * t, d), wo)
        inner = torch.relu(torch.baddbmm(up_bias, functional.layer_norm(z, (d,)), up))
        z = z + torch.baddbmm(down_bias, inner, down)
        return torch.baddbmm(head_bias, functional.layer_norm(z, (d,)), head)


class _PlainTransformer(nn.Module):
    def __init__(self, vocabulary: int, width: int, context: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.place = nn.Embedding(context, width)
        for name in ("query", "key", "value", "out"):
            setattr(self, name, nn.Linear(width, width, bias=False))
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(n, t, vocabulary)`` of the next characters."""
        z = self.embed(x) + self.place(torch.arange(x.shape[1]))
        seen = _norm(z)
        q, k, v = (getattr(self, name)(seen) for name in ("query", "key", "value"))
        z = z + self.out(functional.scaled_dot_product_attention(q, k, v, is_causal=True))
        z = z + self.down(torch.relu(self.up(_norm(z))))
        return self.head(_norm(z))


def _norm(z: Tensor) -> Tensor:
    return functional.layer_norm(z, z.shape[-1:])
