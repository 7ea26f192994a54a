"""Many small scale-invariant perceptrons trained side by side, with a written-out gradient.

A network is ``v . relu(norm(relu(norm(x A)) B))`` with A and B (32, 32) trained, `norm` layer
normalisation without affine parameters, v frozen with norm 10. Weights are rows (n, 2048).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from geometry import step_
from torch import Tensor

WIDTH = 32
EPS = 1e-7
HEAD = 10.0


@dataclass
class Ensemble:
    """``n = seeds * copies`` networks, those of one seed in a row; they share v and data.

    Attributes:
        w: Trained weights (n, 2048).
        v: Frozen last layers (n, 32).
        x: Training inputs (seeds, examples, 32).
        y: Training labels (seeds, examples).
    """

    w: Tensor
    v: Tensor
    x: Tensor
    y: Tensor

    @property
    def copies(self) -> int:
        return len(self.w) // len(self.x)

    def spread(self, part: Tensor) -> Tensor:
        """What belongs to a seed, once for each of its networks: (seeds, ...) -> (n, ...)."""
        return part.repeat_interleave(self.copies, dim=0)


def begin(seeds: list[int], copies: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """First weights on the unit sphere (n, 2048) and last layers (n, 32); copies are equal."""
    w, v = [], []
    for seed in seeds:
        generator = torch.Generator().manual_seed(1_000 + seed)
        first = torch.randn(2 * WIDTH**2, generator=generator, dtype=torch.float64)
        last = torch.rand(WIDTH, generator=generator, dtype=torch.float64) - 0.5
        w += [first / first.norm()] * copies
        v += [last * (HEAD / last.norm())] * copies
    return torch.stack(w).to(dtype), torch.stack(v).to(dtype)


def normed(z: Tensor) -> tuple[Tensor, Tensor]:
    """Layer normalisation without affine parameters, and one over the deviation."""
    z = z - z.mean(dim=-1, keepdim=True)
    scale = z.square().mean(dim=-1, keepdim=True).add_(EPS).rsqrt_()
    return z.mul_(scale), scale


def unnormed(gradient: Tensor, z: Tensor, scale: Tensor) -> Tensor:
    """Back through `normed`; ``gradient`` is used up."""
    along = (gradient * z).mean(dim=-1, keepdim=True)
    gradient = gradient.sub_(gradient.mean(dim=-1, keepdim=True))
    return gradient.addcmul_(z, along, value=-1.0).mul_(scale)


def outputs(w: Tensor, v: Tensor, x: Tensor) -> Tensor:
    """Logits (n, batch) of weights (n, 2048) at inputs (n, batch, 32)."""
    a, b = w.view(len(w), 2, WIDTH, WIDTH).unbind(dim=1)
    hidden = normed(torch.bmm(x, a))[0].relu_()
    hidden = normed(torch.bmm(hidden, b))[0].relu_()
    return torch.bmm(hidden, v.unsqueeze(-1)).squeeze(-1)


def gradient(w: Tensor, v: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean binary cross-entropy (n,) and its gradient (n, 2048) at a batch (n, batch, 32)."""
    a, b = w.view(len(w), 2, WIDTH, WIDTH).unbind(dim=1)
    z, scale = normed(torch.bmm(x, a))
    hidden = z.relu()
    zz, last = normed(torch.bmm(hidden, b))
    top = zz.relu()
    logits = torch.bmm(top, v.unsqueeze(-1)).squeeze(-1)
    loss = torch.nn.functional.softplus(logits).sub_(y * logits).mean(dim=-1)
    error = (logits.sigmoid() - y).div_(y.shape[-1])
    g = torch.bmm(error.unsqueeze(-1), v.unsqueeze(1)).mul_(top.sign_())
    g = unnormed(g, zz, last)
    out = torch.empty_like(w)
    first, second = out.view(len(w), 2, WIDTH, WIDTH).unbind(dim=1)
    second.copy_(torch.bmm(hidden.transpose(1, 2), g))
    g = torch.bmm(g, b.transpose(1, 2)).mul_(hidden.sign_())
    first.copy_(torch.bmm(x.transpose(1, 2), unnormed(g, z, scale)))
    return loss, out


def train(
    nets: Ensemble,
    elr: Tensor,
    order: torch.Generator,
    steps: int,
    visit: Callable[[int, Tensor], None] | None = None,
    batch: int = 16,
) -> Tensor:
    """Projected SGD with rates (n,), in place; the mean loss of every whole epoch (epochs, n).

    Epoch by epoch in a fresh order, which networks of one seed share; what does not fill a batch
    is left out. ``visit`` sees the number of each step and the weights after it.
    """
    seeds, examples = nets.y.shape
    per, rates = examples // batch, elr.unsqueeze(-1)
    rows, losses, done = torch.arange(seeds).unsqueeze(-1), [], 0
    while done < steps:
        chosen = torch.rand(seeds, examples, generator=order).argsort(dim=-1)
        shuffled_x, shuffled_y = nets.x[rows, chosen], nets.y[rows, chosen]
        total = torch.zeros(len(nets.w), dtype=nets.w.dtype)
        for i in range(min(per, steps - done)):
            pick = slice(i * batch, (i + 1) * batch)
            x, y = nets.spread(shuffled_x[:, pick]), nets.spread(shuffled_y[:, pick])
            loss, g = gradient(nets.w, nets.v, x, y)
            step_(nets.w, g, rates)
            total += loss
            done += 1
            if visit is not None:
                visit(done, nets.w)
        if done % per == 0:
            losses.append(total / per)
    return torch.stack(losses)


def score(w: Tensor, nets: Ensemble, x: Tensor, y: Tensor, chunk: int = 250) -> tuple[Tensor, ...]:
    """Mean cross-entropy (n,) and accuracy (n,) at inputs (seeds, m, 32), labels (seeds, m)."""
    loss, right = (torch.zeros(len(w), dtype=torch.float64) for _ in range(2))
    for i in range(0, x.shape[1], chunk):
        target = nets.spread(y[:, i : i + chunk])
        logits = outputs(w, nets.v, nets.spread(x[:, i : i + chunk]))
        loss += (torch.nn.functional.softplus(logits) - target * logits).double().sum(dim=-1)
        right += ((logits > 0) == (target > 0.5)).sum(dim=-1)
    return loss / x.shape[1], right / x.shape[1]
