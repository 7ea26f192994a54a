"""Train many members of one problem at once: each with its own seed and learning rates.

SGD with momentum 0.9 and AdamW (0.9, 0.999, 1e-8, weight decay 0.01), as torch does them; a test
compares with torch. Members with the same seed have the same initial weights and the same batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from nets import Stats
from numpy.typing import NDArray
from problems import Pair, Problem
from torch import Tensor
from torch.nn import functional

MOMENTUM, BETAS, EPSILON, DECAY = 0.9, (0.9, 0.999), 1e-8, 0.01
CHUNK = 200  # examples of a forward pass of an evaluation


@dataclass
class Members:
    """Weights, and the running statistics of their normalisations."""

    weights: list[Tensor]
    stats: Stats


def start(problem: Problem, seeds: list[int]) -> Members:
    """As the plain model starts from each seed."""
    net, made = problem.net(), {}
    for seed in sorted(set(seeds)):
        torch.manual_seed(seed)
        made[seed] = net.split(net.plain())
    columns = zip(*[made[seed] for seed in seeds], strict=True)
    weights = [torch.stack(column).detach().contiguous() for column in columns]
    return Members(weights, net.stats(len(seeds)))


def train(
    problem: Problem, optimizer: str, rates: NDArray[np.float64], seeds: list[int]
) -> Members:
    """Train members with learning rates ``rates`` (M, steps) from ``seeds`` (M,)."""
    members, net = start(problem, seeds), problem.net()
    x, y = problem.data()[0]
    distinct = sorted(set(seeds))
    which = torch.tensor([distinct.index(seed) for seed in seeds])
    order = torch.stack([problem.order(seed, rates.shape[1]) for seed in distinct])
    update = _Momentum(problem.decay) if optimizer == "momentum" else _AdamW()
    levels = torch.tensor(rates, dtype=torch.float32)
    weights = [w.requires_grad_() for w in members.weights]
    for step in range(rates.shape[1]):
        at = order[:, step]
        out = net.logits(weights, x[at][which], members.stats, True)
        loss = _losses(out, y[at][which]).sum()
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            update(weights, gradients, levels[:, step])
    return members


def evaluate(problem: Problem, members: Members, part: Pair) -> list[float]:
    """Every member's mean loss over a part, in evaluation mode; not finite where it diverged."""
    net, (x, y) = problem.net(), part
    count = len(members.weights[0])
    total = torch.zeros(count, dtype=torch.float64)
    with torch.no_grad():
        for first in range(0, len(y), CHUNK):
            seen, known = x[first : first + CHUNK], y[first : first + CHUNK]
            shared = seen[None].expand(count, *seen.shape)
            out = net.logits(members.weights, shared, members.stats, False)
            total += _losses(out, known[None].expand(count, *known.shape)).double() * len(known)
    return [float(t) for t in total / len(y)]


def _losses(out: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of each member (M,)."""
    each = functional.cross_entropy(out.flatten(0, 1), y.flatten(), reduction="none")
    return each.view(len(out), -1).mean(dim=1)


class _Momentum:
    def __init__(self, decay: float) -> None:
        self.decay, self.velocity = decay, list[Tensor]()

    def __call__(self, weights: list[Tensor], gradients: tuple[Tensor, ...], rates: Tensor) -> None:
        self.velocity = self.velocity or [torch.zeros_like(w) for w in weights]
        for w, g, v in zip(weights, gradients, self.velocity, strict=True):
            v.mul_(MOMENTUM).add_(g)
            if self.decay:
                v.add_(w, alpha=self.decay)
            w.addcmul_(v, _like(rates, w), value=-1.0)


class _AdamW:
    def __init__(self) -> None:
        self.first, self.second, self.steps = list[Tensor](), list[Tensor](), 0

    def __call__(self, weights: list[Tensor], gradients: tuple[Tensor, ...], rates: Tensor) -> None:
        self.first = self.first or [torch.zeros_like(w) for w in weights]
        self.second = self.second or [torch.zeros_like(w) for w in weights]
        self.steps += 1
        one, two = (1.0 - beta**self.steps for beta in BETAS)
        for w, g, m, v in zip(weights, gradients, self.first, self.second, strict=True):
            rate = _like(rates, w)
            m.lerp_(g, 1.0 - BETAS[0])
            v.mul_(BETAS[1]).addcmul_(g, g, value=1.0 - BETAS[1])
            root = v.sqrt().mul_(two**-0.5).add_(EPSILON)
            w.mul_(1.0 - DECAY * rate).addcmul_(m.div(root), rate, value=-1.0 / one)


def _like(rates: Tensor, weight: Tensor) -> Tensor:
    return rates.view(-1, *[1] * (weight.dim() - 1))
