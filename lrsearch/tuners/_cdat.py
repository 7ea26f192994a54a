"""CDAT: the learning rate at which the quadratic model along the update stops to descend.

Roulet, Agarwala, Grill, Swirszcz, Blondel & Pedregosa 2024, "Stepping on the Edge: Curvature Aware
Learning Rate Tuners" (2407.06183). Not theirs: the cap on growth and the start rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import Optimizer

from lrsearch.curvature import FORWARD, usual_rate
from lrsearch.exceptions import UnsupportedError
from lrsearch.tuners._along import Graph, by_losses
from lrsearch.tuners._direction import check
from lrsearch.tuners._gradients import Closure, explained, loss_of
from lrsearch.tuners._line import Line
from lrsearch.tuners._replay import Replay
from lrsearch.tuners._tuner import Tuner

GROWTH = 1.2
"""With it Adam gets through its first steps, which are sign-like and whose measured curvature is
tiny, so that an uncapped tuner explodes; the recipe of the first edge measurements."""

START = 0.01
"""Of the usual rate for the kind of optimizer: from there 26 steps of `GROWTH` lead back to it."""

EPS = 1e-30
"""Guard of a quotient by zero, under the curvature of any loss that means something."""

ON_EDGE = 2.0
"""``eta u'Hu / (-g'u)`` at which the quadratic model along the update is back at its start."""


class CDAT(Tuner):
    """``eta = sigma n / d`` with ``n = max(-g'u, 0)`` and ``d = |u'Hu|``, of the step's own batch.

    ``sigma = 1`` minimises the quadratic model along the update ("greedy"), ``sigma = 2`` steps to
    where it is back at its start ("on edge"). ``n`` and ``d`` are averaged separately,
    ``nbar = decay nbar + (1 - decay) n``. L2 weight decay of the optimizer is a part of the
    objective whose ``g`` and ``H`` these are; decoupled weight decay is not.

    With Adam on mini-batches the rate that it settles at says little about the best one: they
    differed by a spread of 2.9 octaves over five small tasks, against 0.5 with SGD or momentum.

    At most the rate is ``growth`` times the last one, at first ``first``. This ceiling falls by no
    more than the same factor a step and never below ``first``, so that one step with a small rate
    does not hold back those after it.

    The reading has ``slope = n``, ``sharpness = u'Hu / n`` (of this batch, unit 1 / learning rate)
    and ``threshold = 2``: along the update, not along the gradient in the optimizer's metric. Where
    the curvature cannot be measured at a step, the rate stays, and ``note`` says why.

    Args:
        optimizer: Proposes the updates; see `proposed` for those that can.
        sigma: Scale; two in full batch, less for small batches.
        decay: Of the averages: 0 in full batch, 0.9 for mini-batches.
        growth: Largest factor from one rate to the next; ``None`` for the paper's rule, no cap.
        first: Largest first rate; by default a hundredth of the usual rate for the optimizer's
            kind, and of its own for kinds that are not known.
        curvature: ``"product"``, by double backward on the graph of the step's gradient; attention
            takes the kernel that can be differentiated twice, for the whole step. ``"forward"``,
            from losses: for what has no second derivative (compiled models, functions written by
            hand), but not for half precision, whose losses are too coarse; the closure is evaluated
            again with the same random numbers (see `Replay`), and must return the loss of the same
            batch.

    Cost: 3.5 gradients per step with a product (a gradient whose graph is kept, and a product), 1.8
    forward-only (2.6 where it must look nearer); memory: copies of weights, gradients and state.

    Raises:
        UnsupportedError: If a number makes no sense, the optimizer cannot be told (`proposed`), or
            several processes train the model.
        MeasurementError: From `step`, if the loss cannot be differentiated twice.
    """

    kind = "CDAT"

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        sigma: float = 2.0,
        decay: float = 0.0,
        growth: float | None = GROWTH,
        first: float | None = None,
        curvature: str = "product",
    ) -> None:
        super().__init__(optimizer)
        check(optimizer)
        if not (math.isfinite(sigma) and sigma > 0 and 0.0 <= decay < 1.0):
            raise UnsupportedError(
                f"sigma must be positive and decay in [0, 1), got {sigma!r} and {decay!r}."
            )
        if growth is not None and not (math.isfinite(growth) and growth > 1):
            raise UnsupportedError(
                f"growth must be larger than 1 (or None for no cap), got {growth!r}."
            )
        if first is not None and (growth is None or not (math.isfinite(first) and first > 0)):
            raise UnsupportedError(
                f"first must be a positive learning rate, with a growth from there, got {first!r} "
                f"and growth={growth!r}."
            )
        if curvature not in ("product", "forward"):
            raise UnsupportedError(
                f'no way to measure curvature is called {curvature!r}: use "product" or "forward".'
            )
        if first is None:
            usual = usual_rate(optimizer)
            first = START * (self._rate if usual is None else usual)
        self.sigma, self.decay, self.growth, self.first = sigma, decay, growth, first
        self.curvature = curvature
        self._ceiling = math.inf if growth is None else first
        self._numerator = self._denominator = 0.0
        self._graph: Graph | None = None
        self._replay: Replay | None = None
        self._suspicious = True

    @property
    def cost_per_step(self) -> float:
        """3.5 gradients with a product, 1.8 forward-only."""
        return 1.0 + (Graph.cost if self.curvature == "product" else 2 * FORWARD)

    def _evaluate(self, closure: Closure) -> Tensor:
        if self.curvature == "forward":
            self._replay = Replay()
            return loss_of(closure)
        with sdpa_kernel(SDPBackend.MATH):
            return loss_of(closure)

    def _differentiate(self, loss: Tensor) -> None:
        if self.curvature == "forward":
            return super()._differentiate(loss)
        groups = self.optimizer.param_groups
        params = [p for group in groups for p in group["params"] if p.requires_grad]
        with explained():
            self._graph = Graph(loss, params, suspicious=self._suspicious)
        self._suspicious = False  # the graph of other batches has the same functions

    def _failed(self, loss: float) -> Mapping[str, Any]:
        self._graph = self._replay = None
        return super()._failed(loss)

    def _advance(self, closure: Closure, loss: Tensor) -> Mapping[str, Any]:
        line = Line(self.optimizer, self._ratios)
        if not line.finite:
            self._graph = self._replay = None
            return {"finite": False, "note": "no step: update not finite"}
        curvature, note = self._measured(line, closure, float(loss))
        slope = max(-line.slope, 0.0)
        if curvature is not None:
            b = self.decay
            self._numerator = b * self._numerator + (1 - b) * slope
            self._denominator = b * self._denominator + (1 - b) * (abs(curvature) + EPS)
        self._apply(min(self._proposal(), self._ceiling))
        if self.growth is not None:
            falling = max(self._ceiling / self.growth, self.first)
            self._ceiling = max(self.growth * self._rate, falling)
        fields: dict[str, Any] = {"slope": slope, "threshold": ON_EDGE, "note": note}
        if curvature is not None and slope > 0:
            fields["sharpness"] = curvature / slope
        return fields

    def _proposal(self) -> float:
        """``sigma nbar / dbar``; before there is one, the start rate."""
        if self._denominator == 0:
            return self.first
        return self.sigma * self._numerator / self._denominator

    def _measured(
        self, line: Line, closure: Closure, loss: float
    ) -> tuple[float | None, str | None]:
        graph, self._graph = self._graph, None
        replay, self._replay = self._replay, None
        if graph is not None:
            curvature: float | None = graph.curvature(line)
            cost, note = graph.cost, None
        else:
            assert replay is not None
            curvature, cost, note = by_losses(replay, closure, loss, line)
        self._spend(cost)
        if curvature is not None and not math.isfinite(curvature):
            return None, "curvature not finite"
        return curvature, note

    def _settings(self) -> dict[str, Any]:
        names = ("sigma", "decay", "growth", "first", "curvature")
        return {name: getattr(self, name) for name in names}

    def _state(self) -> dict[str, Any]:
        return {
            "numerator": self._numerator,
            "denominator": self._denominator,
            "ceiling": self._ceiling,
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        values = [float(state[name]) for name in ("numerator", "denominator", "ceiling")]
        self._numerator, self._denominator, self._ceiling = values
