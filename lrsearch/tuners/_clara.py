"""CLARA: the learning rate follows how well recent steps agree with each other.

Symbols (``s`` as in `_steps`, ``mu`` and ``sigma`` as in `_references`, ``eta`` learning rate):

- ``s~_i = s_i / ||s_i||``              unit step of tensor i
- ``p_i <- (1 - c) p_i + c s~_i``       its path, from 0
- ``L = sum_i ||p_i||^2``               compared with ``M = sum_i mu_i`` of random steps
- ``eta <- eta exp(d (L / M - 1))``     after the parameter step

Longer than random (``L > M``): steps agree, and the rate grows. Shorter: they cancel, it shrinks.

Atamna, Maus, Kievelitz & Glasmachers 2025 (2508.05408). What differs from the authors' code:

1. ``mu`` is in closed form for any momentum and any dimension, where they have a table of eight
   sizes for Adam, and none for SGD with momentum; it is each tensor's own.
2. ``sigma``, hence the damping ``None``, is the correct one.
3. A step has a direction unless it is zero. Theirs has none below a length of 1e-12, so that the
   rate of a run that has converged falls without end.

``published`` takes 2 and 3 as they have them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrsearch.exceptions import UnsupportedError
from lrsearch.tuners._gradients import Closure, norm, trained
from lrsearch.tuners._references import path_mean, path_spread
from lrsearch.tuners._steps import decoupled_decay, memory_of, next_step, require_known
from lrsearch.tuners._tuner import Tuner

_LEAST = 1e-12  # the authors': a shorter step is only divided by this
_Place = tuple[int, Mapping[str, Any], Tensor]  # place in the optimizer, group, parameter


class CLARA(Tuner):
    """Learning rate from the length of the path of unit steps, ``eta exp(d (L / M - 1))``.

    The first ``1/c`` steps lower it a little, as the path is short at first (after one step
    ``L / M = c (2 - c)`` for SGD). Weights without a gradient in a step do not count in it.

    Memory: one copy of the parameters, in single precision at least.

    Args:
        optimizer: SGD (any momentum), Adam or AdamW.
        cumulation: ``c``, in (0, 1]; the path remembers some ``1/c`` steps.
        damping: ``d``; the default is that of the authors' benchmarks. ``None`` is their rule
            ``2 sigma``, of all parameters together.
        unit_steps: Step along ``s~`` in place of ``s``, so that ``eta`` is the step's length.
        layout: ``"tensor"`` as above; ``"global"`` takes all tensors as one, in ``s~`` and ``mu``
            (the momentum is then that of the first group).
        reference: ``"corrected"`` or ``"sgd"``, which takes the ``mu`` of steps without momentum
            whatever the optimizer: with Adam the rate then explodes (a study's subject).
        published: Take the ``sigma`` in the authors' code for steps without momentum, which is
            smaller by ``sqrt(2)``, and their least length of a step.

    Raises:
        UnsupportedError: If an argument is out of its range, or the optimizer another.
    """

    kind: ClassVar[str] = "CLARA"

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        cumulation: float = 0.2,
        damping: float | None = 1e-3,
        unit_steps: bool = False,
        layout: Literal["tensor", "global"] = "tensor",
        reference: Literal["corrected", "sgd"] = "corrected",
        published: bool = False,
    ) -> None:
        require_known(optimizer)
        if not 0.0 < cumulation <= 1.0:
            raise UnsupportedError(f"cumulation must be in (0, 1], got {cumulation!r}.")
        if damping is not None and not (math.isfinite(damping) and damping >= 0.0):
            raise UnsupportedError(f"damping must not be negative, or be None, got {damping!r}.")
        if layout not in ("tensor", "global"):
            raise UnsupportedError(f"layout must be 'tensor' or 'global', got {layout!r}.")
        if reference not in ("corrected", "sgd"):
            raise UnsupportedError(f"reference must be 'corrected' or 'sgd', got {reference!r}.")
        super().__init__(optimizer)
        self.cumulation = cumulation
        self.damping = damping
        self.unit_steps = unit_steps
        self.layout = layout
        self.reference = reference
        self.published = published
        self._next = self._rate
        self._relative: float | None = None
        self._paths: dict[int, Tensor] = {}  # by the parameter's place in the optimizer

    @property
    def next_rate(self) -> float:
        """``eta`` of the step to come."""
        return self._next

    @property
    def relative_length(self) -> float | None:
        """``L / M`` of the last step: 1 for random steps; ``None`` before the first one."""
        return self._relative

    def _advance(self, closure: Closure, loss: Tensor) -> Mapping[str, Any]:
        places = list(_places(self.optimizer))
        steps = [next_step(self.optimizer, group, p) for _, group, p in places]
        units = self._units(steps)
        if self.unit_steps:
            self._apply_units(units)
        else:
            self._apply(self._next)
        if places:
            self._relative = self._length(places, units) / self._expected(places)
            self._next = self._rate * math.exp(self._damping(places) * (self._relative - 1.0))
        return {}

    @torch.no_grad()
    def _units(self, steps: list[Tensor]) -> list[Tensor]:
        tiny = max((torch.finfo(s.dtype).tiny for s in steps), default=_LEAST)
        if not self.published:  # first to size one: squares of smaller ones may vanish
            sizes = [max(float(s.abs().amax()), tiny) for s in steps]
            if self.layout == "global":
                sizes = [max(sizes)] * len(sizes) if sizes else []
            steps = [s / size for s, size in zip(steps, sizes, strict=True)]
        least = _LEAST if self.published else tiny
        if self.layout == "global":
            length = max(norm(steps), least)
            return [s / length for s in steps]
        return [s / max(norm([s]), least) for s in steps]

    @torch.no_grad()
    def _length(self, places: list[_Place], units: list[Tensor]) -> float:
        """Extend the paths; ``L``."""
        c, squares = self.cumulation, []
        for (index, _, _), unit in zip(places, units, strict=True):
            path = self._paths.get(index)
            path = c * unit if path is None else path.mul_(1.0 - c).add_(unit, alpha=c)
            self._paths[index] = path
            squares.append(path.square().sum(dtype=torch.float64))
        return math.fsum(map(float, squares))

    def _expected(self, places: list[_Place]) -> float:
        """``M``; the number of tensors times ``mu`` where they share one."""
        if self.layout == "global":
            return self._mean(places[0][1], sum(p.numel() for _, _, p in places))
        return math.fsum(self._mean(group, p.numel()) for _, group, p in places)

    def _mean(self, group: Mapping[str, Any], dimension: int) -> float:
        b, share = self._memory(group)
        return path_mean(self.cumulation, momentum=b, share=share, dimension=dimension)

    def _memory(self, group: Mapping[str, Any]) -> tuple[float, float]:
        return (0.0, 1.0) if self.reference == "sgd" else memory_of(self.optimizer, group)

    def _damping(self, places: list[_Place]) -> float:
        if self.damping is not None:
            return self.damping
        b, share = self._memory(places[0][1])
        size = sum(p.numel() for _, _, p in places)
        published = self.published and b == 0.0
        return 2.0 * path_spread(
            self.cumulation, size, momentum=b, share=share, published=published
        )

    @torch.no_grad()
    def _apply_units(self, units: list[Tensor]) -> None:
        """The optimizer's step, for its state and hooks; then the weights that unit steps give."""
        params = trained(self.optimizer)
        before = [p.detach().clone() for p in params]
        self._apply(self._next)
        groups = [group for _, group, _ in _places(self.optimizer)]
        for p, w, unit, group in zip(params, before, units, groups, strict=True):
            rate = float(group["lr"])
            p.copy_(w * (1.0 - rate * decoupled_decay(self.optimizer, group)) - rate * unit)
        self._update_norm = norm([p - w for p, w in zip(params, before, strict=True)])

    def _settings(self) -> dict[str, Any]:
        return {
            "cumulation": self.cumulation,
            "damping": self.damping,
            "unit_steps": self.unit_steps,
            "layout": self.layout,
            "reference": self.reference,
            "published": self.published,
        }

    def _state(self) -> dict[str, Any]:
        paths = {index: path.clone() for index, path in self._paths.items()}
        return {"next_rate": self._next, "relative_length": self._relative, "paths": paths}

    def _load(self, state: Mapping[str, Any]) -> None:
        params = [p for group in self.optimizer.param_groups for p in group["params"]]
        paths = {}
        for index, path in state["paths"].items():
            if params[index].shape != path.shape:
                raise ValueError(f"a path of shape {tuple(path.shape)} for parameter {index}")
            paths[index] = path.to(params[index].device, copy=True)
        relative = state["relative_length"]
        self._next = float(state["next_rate"])
        self._relative = None if relative is None else float(relative)
        self._paths = paths


def _places(optimizer: Optimizer) -> Iterator[_Place]:
    """Parameters that have a gradient, in the order of `trained`."""
    index = 0
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                yield index, group, p
            index += 1
