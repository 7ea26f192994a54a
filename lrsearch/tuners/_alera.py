"""ALeRA: each layer's learning rate follows how well its recent gradients agree.

Symbols (``mu`` and ``sigma`` as in `_references`, of ``d`` parameters of a layer, weight and bias):

- ``p <- (1 - c) p + c g / ||g||``                  path of the layer's unit gradients, from 0
- ``eta <- eta exp(C / sigma (||p||^2 - mu_t))``    the layer's rate, before the step
- ``mu_t = c / (2 - c) (1 - (1 - c)^(2 t))``        squared path length of t random gradients

Schoenauer-Sebag, Schoenauer & Sebag 2017 (1709.01427). The authors' ``sigma = c / sqrt(d)`` is too
large by ``sqrt(2)`` at small c; the right one is the default, theirs is ``published``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrsearch.exceptions import UnsupportedError
from lrsearch.tuners._gradients import Closure
from lrsearch.tuners._layers import Layers, split_by_layer
from lrsearch.tuners._references import path_mean_after, path_spread
from lrsearch.tuners._tuner import Tuner, check_alone

_STEEPEST = 50.0  # log of a factor that ends any run; a larger one would overflow
_TINY = 1e-6  # the authors': a shorter gradient only shrinks the path


class ALeRA(Tuner):
    """A learning rate per layer, from the length of the path of its unit gradients.

    The path is of gradients whatever the optimizer does with them: exact for SGD without momentum;
    with Adam it is the authors' Ag-Adam. A layer without a gradient in a step keeps its rate.

    The optimizer's groups are split, in place, so that each holds parameters of one layer: load an
    optimizer's state after the tuner is built. ``learning_rate`` is the first group's.

    Memory: one copy of the parameters, in single precision at least.

    Args:
        optimizer: Its rates are where the layers' rates start.
        layers: The model (a layer is a module's own weight and bias) or lists of parameters.
        gain: ``C``. The authors' code has no default; ensmallen's is 3.1e-8 at ``c = 0.001``. A
            path one ``sigma`` too long multiplies the rate by ``exp(C)``.
        cumulation: ``c``, in (0, 1), the authors' default.
        published: Take the authors' ``sigma``.

    Raises:
        UnsupportedError: If an argument is out of its range, or a parameter is in no layer.
    """

    kind: ClassVar[str] = "ALeRA"

    def __init__(
        self,
        optimizer: Optimizer,
        layers: Layers,
        *,
        gain: float,
        cumulation: float = 1e-3,
        published: bool = False,
    ) -> None:
        if not (math.isfinite(gain) and gain >= 0.0):
            raise UnsupportedError(f"gain must not be negative, got {gain!r}.")
        if not 0.0 < cumulation < 1.0:
            raise UnsupportedError(f"cumulation must be in (0, 1), got {cumulation!r}.")
        check_alone()  # before anything is split
        self._layer_of = split_by_layer(optimizer, layers)
        super().__init__(optimizer)
        self.gain = gain
        self.cumulation = cumulation
        self.published = published
        self._rates = [self._rate * ratio for ratio in self._ratios]  # of the split groups
        self._paths: dict[int, Tensor] = {}  # by the parameter's place in the optimizer
        self._ages: dict[int, int] = {}  # t, by layer

    @property
    def rates(self) -> list[float]:
        """Learning rate of each of the optimizer's groups, which hold parameters of one layer."""
        return list(self._rates)

    @property
    def layers(self) -> list[int]:
        """Layer of each of the optimizer's groups, numbered from 0."""
        return list(self._layer_of)

    def _advance(self, closure: Closure, loss: Tensor) -> Mapping[str, Any]:
        factors = {layer: self._factor(layer) for layer in self._members()}
        self._multiply([factors.get(layer, 1.0) for layer in self._layer_of])
        self._apply(self._rates[0])
        return {}

    def _multiply(self, factors: list[float]) -> None:
        """Change the groups' rates; one that is positive stays so."""
        self._rates = [
            rate and max(rate * factor, sys.float_info.min)
            for rate, factor in zip(self._rates, factors, strict=True)
        ]
        self._ratios = [rate / self._rates[0] for rate in self._rates]

    @torch.no_grad()
    def _factor(self, layer: int) -> float:
        """Extend a layer's path by its gradient; what its rate is multiplied by."""
        c, members = self.cumulation, self._members()[layer]
        grads = [(i, p.grad.to(_path_type(p))) for i, p in members if p.grad is not None]
        length = math.sqrt(math.fsum(float(g.square().sum(dtype=torch.float64)) for _, g in grads))
        scale = c / length if length > _TINY else 0.0
        squares = []
        for i, g in grads:
            path = self._paths.get(i)
            path = scale * g if path is None else path.mul_(1.0 - c).add_(g, alpha=scale)
            self._paths[i] = path
            squares.append(path.square().sum(dtype=torch.float64))
        self._ages[layer] = self._ages.get(layer, 0) + 1
        excess = math.fsum(map(float, squares)) - path_mean_after(c, self._ages[layer])
        spread = self._spread(sum(g.numel() for _, g in grads))
        return math.exp(min(self.gain / spread * excess, _STEEPEST))

    def _spread(self, dimension: int) -> float:
        if self.published:
            return self.cumulation / math.sqrt(dimension)
        return path_spread(self.cumulation, dimension)

    def _members(self) -> dict[int, list[tuple[int, Tensor]]]:
        """Parameters with a gradient, and their places in the optimizer, by layer."""
        found: dict[int, list[tuple[int, Tensor]]] = {}
        for i, (layer, p) in enumerate(self._placed()):
            if p.grad is not None:
                found.setdefault(layer, []).append((i, p))
        return found

    def _placed(self) -> Iterator[tuple[int, Tensor]]:
        for layer, group in zip(self._layer_of, self.optimizer.param_groups, strict=True):
            yield from ((layer, p) for p in group["params"])

    def _settings(self) -> dict[str, Any]:
        return {
            "gain": self.gain,
            "cumulation": self.cumulation,
            "published": self.published,
            "layers": list(self._layer_of),
        }

    def _state(self) -> dict[str, Any]:
        return {
            "rates": list(self._rates),
            "paths": {i: path.clone() for i, path in self._paths.items()},
            "ages": dict(self._ages),
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        params = [p for _, p in self._placed()]
        paths = {}
        for i, path in state["paths"].items():
            if params[i].shape != path.shape:
                raise ValueError(f"a path of shape {tuple(path.shape)} for parameter {i}")
            paths[i] = path.to(params[i].device, copy=True)
        rates, ages = [float(rate) for rate in state["rates"]], dict(state["ages"])
        self._rates, self._ages, self._paths = rates, ages, paths


def _path_type(p: Tensor) -> torch.dtype:
    return torch.promote_types(p.dtype, torch.float32)
