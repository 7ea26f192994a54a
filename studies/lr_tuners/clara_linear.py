"""CLARA on many linear classifiers at once: every initial rate and seed is a row of one tensor.

A step on 650 weights is all overhead, and the protocol has ten thousands of runs' epochs. This is
the rule of `lrsearch.tuners.CLARA` written out for `SGD` and `Adam` (no momentum, no decay);
`clara.py --check` and tests/studies/test_lr_tuners_clara.py compare it with the product.
"""

import math
from typing import Any

import torch
from torch import Tensor

from lrsearch.tuners import path_mean, path_spread

C, DAMPING, LEAST = 0.2, 1e-3, 1e-12
BETAS, EPS = (0.9, 0.999), 1e-8


class Rows:
    """Classifiers ``x W' + b``, one a row, and their learning rates.

    Args:
        weights: (r, classes, inputs).
        biases: (r, 1, classes).
        rates: (r,), the initial ones.
        adam: Steps of Adam, else of SGD.
        options: Of `CLARA`; ``None`` keeps the rates.
    """

    def __init__(
        self,
        weights: Tensor,
        biases: Tensor,
        rates: Tensor,
        *,
        adam: bool,
        options: dict[str, Any] | None,
    ) -> None:
        self.params = [weights.clone(), biases.clone()]
        self.rates = rates.double().clone()
        self.alive = torch.ones(len(rates), dtype=torch.bool)
        self.adam, self.options = adam, options
        self._moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in self.params]
        self._paths = [torch.zeros_like(p) for p in self.params]
        self._t = 0
        chosen = options or {}
        momentum = BETAS[0] if adam and chosen.get("reference") != "sgd" else 0.0
        sizes = [p[0].numel() for p in self.params]
        self._expected = sum(path_mean(C, momentum=momentum, dimension=n) for n in sizes)
        published = bool(chosen.get("published"))
        self._least = LEAST if published else 0.0
        self._damping = DAMPING
        if "damping" in chosen:  # None, the authors' rule
            spread = path_spread(
                C, sum(sizes), momentum=momentum, published=published and momentum == 0.0
            )
            self._damping = 2.0 * spread

    def scores(self, x: Tensor) -> Tensor:
        """(r, n, classes) for inputs (r, n, d)."""
        return torch.baddbmm(self.params[1], x, self.params[0].transpose(1, 2))

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """A step on batches (r, n, d) and classes (r, n); the rates that it took.

        A row whose loss or gradient is not finite has ended.
        """
        scores = self.scores(x)
        shares = torch.softmax(scores, 2)
        losses = torch.logsumexp(scores, 2) - scores.gather(2, y[:, :, None])[:, :, 0]
        shares.scatter_add_(2, y[:, :, None], torch.full_like(shares[:, :, :1], -1.0))
        shares /= x.shape[1]
        grads = [shares.transpose(1, 2) @ x, shares.sum(1, keepdim=True)]
        finite = losses.mean(1).isfinite()
        for g in grads:
            finite &= g.flatten(1).square().sum(1).isfinite()
        self.alive &= finite
        self._t += 1
        used = self.rates.clone()
        steps = [self._direction(i, g) for i, g in enumerate(grads)]
        units = [self._unit(s) for s in steps]
        unit_steps = bool(self.options and self.options.get("unit_steps"))
        size = torch.where(self.alive, used, torch.zeros_like(used)).float()[:, None, None]
        for p, s in zip(self.params, units if unit_steps else steps, strict=True):
            p -= size * torch.where(self.alive[:, None, None], s, torch.zeros_like(s))
        if self.options is not None:
            self._adapt(units)
        return used

    def _direction(self, i: int, g: Tensor) -> Tensor:
        if not self.adam:
            return g
        m, v = self._moments[i]
        m.mul_(BETAS[0]).add_(g, alpha=1 - BETAS[0])
        v.mul_(BETAS[1]).add_(g.square(), alpha=1 - BETAS[1])
        down, scale = 1 - BETAS[0] ** self._t, math.sqrt(1 - BETAS[1] ** self._t)
        return (m / down) / (v.sqrt() / scale + EPS)

    def _unit(self, s: Tensor) -> Tensor:
        if self._least == 0.0:  # first to size one: squares of small ones may vanish
            s = s / s.abs().amax((1, 2), keepdim=True).clamp_min(torch.finfo(s.dtype).tiny)
        length = s.square().sum((1, 2), keepdim=True).sqrt()
        return s / length.clamp_min(self._least or torch.finfo(s.dtype).tiny)

    def _adapt(self, units: list[Tensor]) -> None:
        total = torch.zeros_like(self.rates)
        for path, unit in zip(self._paths, units, strict=True):
            path.mul_(1 - C).add_(unit, alpha=C)
            total += path.square().sum((1, 2), dtype=torch.float64)
        factor = torch.exp(self._damping * (total / self._expected - 1.0))
        self.rates = torch.where(self.alive, self.rates * factor, self.rates)
