"""Many scale-invariant convolutional networks trained side by side, with a written-out gradient.

A layer is a 3 x 3 convolution (no bias), batch normalisation without affine parameters, ReLU; the
means over pixels of the last one enter a frozen matrix of norm 10. So outputs do not change when
all weights, or those of one layer, are scaled. A convolution is a product of patches (rows) with a
matrix. Weights are rows (n, d), one network each; all see the same batch. Normalisation is by the
batch in training; a network is measured with the statistics of its whole training set at exactly
the weights that are measured, which is the recalculation that averages and interpolations need.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

EPS = 1e-7
HEAD = 10.0
CHUNK = 1000  # examples measured at a time
Moments = list[tuple[Tensor, Tensor]]


def patches(x: Tensor, stride: int) -> Tensor:
    """3 x 3 neighbourhoods of (b, h, w, c), padded by zeros; (b, h', w', 9 c)."""
    h, w = (-(-s // stride) for s in x.shape[1:3])
    padded = functional.pad(x, (0, 0, 1, 1, 1, 1))
    places = [(i, j) for i in range(3) for j in range(3)]
    parts = [padded[:, i : i + stride * h : stride, j : j + stride * w : stride]
             for i, j in places]  # fmt: skip
    return torch.cat([p[:, :h, :w] for p in parts], dim=-1)


def unpatch(g: Tensor, height: int, width: int, stride: int) -> Tensor:
    """Back through `patches`: sums (b, h', w', 9 c) to (b, height, width, c)."""
    b, h, w, c = *g.shape[:3], g.shape[3] // 9
    out = g.new_zeros(b, height + 2, width + 2, c)
    for place, part in enumerate(g.split(c, dim=-1)):
        i, j = divmod(place, 3)
        out[:, i : i + stride * h : stride, j : j + stride * w : stride] += part
    return out[:, 1:-1, 1:-1]


@dataclass(frozen=True)
class Nets:
    """An architecture.

    Attributes:
        side: Of the square images, which have one channel.
        channels: Of each convolution.
        strides: Of each convolution.
        classes: How many.
    """

    side: int = 14
    channels: tuple[int, ...] = (16, 32, 32)
    strides: tuple[int, ...] = (2, 2, 2)
    classes: int = 10

    @property
    def sides(self) -> list[int]:
        """Of the input and after each convolution."""
        found = [self.side]
        for stride in self.strides:
            found.append(-(-found[-1] // stride))
        return found

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(9 * i, o) for i, o in zip((1, *self.channels), self.channels, strict=False)]

    def begin(self, seed: int) -> tuple[Tensor, Tensor]:
        """First weights (d,), He initialisation, and the last layer (channels, classes)."""
        g = torch.Generator().manual_seed(seed)
        parts = [torch.randn(s, generator=g) * (2 / s[0]) ** 0.5 for s in self.sizes]
        head = torch.randn(self.channels[-1], self.classes, generator=g)
        return torch.cat([p.flatten() for p in parts]), head * (HEAD / head.norm())

    def split(self, w: Tensor) -> list[Tensor]:
        """The matrices (n, 9 in, out) of weights (n, d), as views."""
        parts = w.split([a * b for a, b in self.sizes], dim=-1)
        return [p.view(len(w), *s) for p, s in zip(parts, self.sizes, strict=True)]

    def rows(self, a: Tensor, layer: int) -> Tensor:
        """Patches (n, b h' w', 9 c) of a layer's input (n, b h w, c)."""
        side = self.sides[layer]
        x = patches(a.view(-1, side, side, a.shape[-1]), self.strides[layer])
        return x.view(len(a), -1, x.shape[-1])

    def first_rows(self, images: Tensor) -> Tensor:
        """Patches (b, h' w', 9) of images (b, 1, side, side), made once for all networks."""
        x = patches(images.permute(0, 2, 3, 1), self.strides[0])
        return x.view(len(images), -1, 9)

    def forward(
        self, w: Tensor, head: Tensor, first: Tensor, moments: Moments | None = None
    ) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """Logits (n, b, classes) of weights (n, d) at `first_rows`; and of each layer its patches,
        output, normalised values, one over their deviation before, and mean."""
        p = first.view(1, -1, 9).expand(len(w), -1, -1)
        kept = []
        for layer, matrix in enumerate(self.split(w)):
            if layer:
                p = self.rows(kept[-1][1], layer)
            z = torch.bmm(p, matrix)
            if moments is None:
                mean = z.mean(dim=1, keepdim=True)
                z = z.sub_(mean)
                scale = z.square().mean(dim=1, keepdim=True).add_(EPS).rsqrt_()
            else:
                mean, scale = moments[layer]
                z = z.sub_(mean)
            z = z.mul_(scale)
            kept.append((p, z.relu(), z, scale, mean))
        top = kept[-1][1].view(len(w), len(first), -1, self.channels[-1]).mean(dim=2)
        return torch.matmul(top, head), kept

    def gradient(
        self, w: Tensor, head: Tensor, first: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean cross-entropy (n,), its gradient (n, d), and accuracy (n,) at a batch."""
        logits, kept = self.forward(w, head, first)
        log = logits.log_softmax(dim=-1)
        loss = -log[:, torch.arange(len(y)), y].mean(dim=-1)
        right = (logits.argmax(dim=-1) == y).to(w.dtype).mean(dim=-1)
        g = log.exp() - functional.one_hot(y, self.classes)
        g = torch.matmul(g / len(y), head.T)
        pixels = self.sides[-1] ** 2
        g = (g / pixels).unsqueeze(2).expand(-1, -1, pixels, -1).reshape(len(w), -1, g.shape[-1])
        out = torch.empty_like(w)
        matrices, targets = self.split(w), self.split(out)
        for layer in reversed(range(len(matrices))):
            p, a, z, scale, _ = kept[layer]
            g = g.mul_(a.sign_())
            along = (g * z).mean(dim=1, keepdim=True)
            g = g.sub_(g.mean(dim=1, keepdim=True)).addcmul_(z, along, value=-1.0).mul_(scale)
            targets[layer].copy_(torch.bmm(p.transpose(1, 2), g))
            if layer:
                back = torch.bmm(g, matrices[layer].transpose(1, 2))
                side, after = self.sides[layer], self.sides[layer + 1]
                back = back.view(-1, after, after, back.shape[-1])
                g = unpatch(back, side, side, self.strides[layer])
                g = g.reshape(len(w), -1, g.shape[-1])
        return loss, out, right

    def moments(self, w: Tensor, head: Tensor, first: Tensor) -> Moments:
        """Mean and one over the deviation of every normalisation, over a whole training set."""
        return [(mean, scale) for *_, scale, mean in self.forward(w, head, first)[1]]

    def score(
        self, w: Tensor, head: Tensor, train: Tensor, parts: list[tuple[Tensor, Tensor]]
    ) -> list[tuple[float, float]]:
        """Cross-entropy and accuracy on parts (patches, labels), of one network (d,).

        Normalised by its statistics over ``train``, which are made anew.
        """
        moments, found = self.moments(w.unsqueeze(0), head, train), []
        for first, y in parts:
            loss = right = 0.0
            for a, b in zip(first.split(CHUNK), y.split(CHUNK), strict=True):
                out = self.forward(w.unsqueeze(0), head, a, moments)[0][0]
                loss += float(functional.cross_entropy(out, b, reduction="sum"))
                right += float((out.argmax(dim=1) == b).sum())
            found.append((loss / len(y), right / len(y)))
        return found
