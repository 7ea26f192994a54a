"""Calibration of the edge: short annealed runs on common batches, joined with the usual rate.

From the same weights and on the same batches, train for a few dozen steps with the rate going
linearly to zero, at rates a factor of two apart, starting from the usual rate of the optimizer;
take the parabola's minimum of the log loss on batches that were not trained on. The edge is that
rate and the usual one, mixed 4 : 1 in octaves. Of the recipes measured when the project began
this one transferred best per gradient spent: 0.50 octaves (root mean square, one constant for
SGD, momentum and Adam, 27 tasks) with 80-step runs, against 1.24 for the usual rate alone and
1.0-1.1 for recipes that read the curvature of a run under a growing rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import _metric as metric
from lrsearch.curvature._bracket import bottom, vertex
from lrsearch.curvature._cost import FORWARD
from lrsearch.curvature._descend import descend
from lrsearch.curvature._generators import generators_restored
from lrsearch.curvature._guard import copy_, dot, quiet, restored
from lrsearch.curvature._objective import LossFn
from lrsearch.curvature._parallel import Ranks, bare
from lrsearch.curvature._secant import sharpness_along
from lrsearch.curvature._snapshot import Snapshot, set_aside
from lrsearch.exceptions import CalibrationError
from lrsearch.stability import Edge

METHOD = "annealed runs"
# Octaves, root mean square around one constant, on the development tasks of studies/first_edge:
# more than the 0.50 above, which had other tasks, 80-step runs and usual rates fitted to them.
UNCERTAINTY = 1.2
USUAL_SHARE = 0.2  # weight of the usual rate in octaves
RUNS = 4.5  # annealed runs that a calibration takes as a rule, for planning its length
SHORTEST, LONGEST = 20, 200
FRESH = 8  # batches held out to judge the runs
READ_AT = (0.4, 0.5, 0.6)  # progress of an annealed run at which its sharpness is read


def proxy_steps(budget: int, share: float) -> int:
    """Length of one annealed run when a calibration may cost ``share`` of a run of ``budget``."""
    return int(min(max(share * budget / RUNS, SHORTEST), LONGEST))


def calibrate(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFn,
    batches: Sequence[Any],
    fresh: Sequence[Any],
    *,
    steps: int,
    progress: Callable[[str], None] | None = None,
) -> Edge:
    """Measure the edge learning rate at the model's current weights.

    Everything is put back as it was. The result depends on nothing but weights, batches and
    options.

    Under DDP every rank takes part, with batches of its own but as many. The annealed runs train
    the module inside by the mean of all ranks' gradients, as DDP does, so the edge is that of the
    whole batch; they are judged by mean losses, and end alike on all ranks.

    Args:
        model: The model, or its DDP wrapper.
        optimizer: Its optimizer; where its kind has no usual rate, its own rate is where to begin.
        loss_fn: ``loss_fn(model, batch) -> scalar``.
        batches: Training batches, cycled through in the same order by every run.
        fresh: Batches to judge by, not among ``batches``.
        steps: Length of one annealed run.
        progress: Told one line for every run, on the first rank.

    Raises:
        CalibrationError: If no rate trains the model at all.
        MeasurementError: Under DDP, if a loss fails on some ranks only.

    Cost: about ``4.5 * steps`` gradients where the usual rate is within two octaves, more
    otherwise; stated in the result.
    """
    ranks, model = Ranks.of(model), bare(model)
    known = metric.usual_rate(optimizer)
    usual = known if known is not None else metric.learning_rate(optimizer)
    if not (math.isfinite(usual) and usual > 0):
        raise CalibrationError(f"the optimizer's learning rate is {usual!r}: give it one > 0.")
    runs: dict[int, _Run] = {}
    with set_aside(model, optimizer) as snapshot:
        first = metric.learning_rate(optimizer)
        ratios = [float(g["lr"]) / first if first > 0 else 1.0 for g in optimizer.param_groups]
        if not model.training:  # otherwise the modes are the user's choice (frozen layers)
            model.train()

        def value(octave: int) -> float:
            snapshot.rewind()
            run = _Run(usual * 2.0**octave, ranks)
            with generators_restored():  # the same dropout for every rate
                run.train(snapshot, ratios, loss_fn, batches, steps)
                run.judge(model, loss_fn, fresh)
            runs[octave] = run
            ranks.decided_by_first(lambda: tell(len(runs), run))
            return run.value

        def tell(count: int, run: _Run) -> None:
            if progress is not None:
                progress(f"annealed run {count}: rate {run.rate:.3g} gives {run.value:.4g}")

        untrained = _Run(0.0, ranks)
        snapshot.rewind()
        untrained.judge(model, loss_fn, fresh)
        if not math.isfinite(untrained.value):
            raise CalibrationError(
                "the loss is not finite before the first step: check the data and loss_fn."
            )
        best, values = bottom(value, untrained.value)
    if not values[best] < untrained.value:
        raise CalibrationError(
            f"no learning rate between {min(r.rate for r in runs.values()):.1e} and "
            f"{max(r.rate for r in runs.values()):.1e} lowered the loss ({untrained.value:.4g}) in "
            f"{steps} steps: check loss_fn, or pass an edge of your own (lrsearch.Edge.known)."
        )
    scale = math.log if min(values.values()) > 0 else float
    left, middle, right = (
        scale(v) if math.isfinite(v) else math.inf for v in (values[best + i] for i in (-1, 0, 1))
    )
    proxy = usual * 2.0 ** (best + vertex(left, middle, right))
    share = USUAL_SHARE if known is not None else 0.0
    return Edge(
        learning_rate=proxy ** (1.0 - share) * usual**share,
        uncertainty=UNCERTAINTY,
        method=METHOD,
        optimizer=type(optimizer).__name__,
        usual_rate=usual,
        proxy_rate=proxy,
        sharpness=runs[best].sharpness,
        threshold=metric.threshold(optimizer),
        proxy_steps=steps,
        cost=untrained.cost + sum(run.cost for run in runs.values()),
        trace=tuple(
            (r.rate, r.value if math.isfinite(r.value) else None)
            for r in sorted(runs.values(), key=lambda r: r.rate)
        ),
    )


class _Run:
    """One annealed run: its rate, what it reached, and what it cost."""

    def __init__(self, rate: float, ranks: Ranks) -> None:
        self.rate, self.ranks = rate, ranks
        self.value = math.inf
        self.cost = 0.0
        self.finite = True
        self._readings: list[float] = []

    @property
    def sharpness(self) -> float | None:
        return median(self._readings) if self._readings else None

    def train(
        self,
        snapshot: Snapshot,
        ratios: Sequence[float],
        loss_fn: LossFn,
        batches: Sequence[Any],
        steps: int,
    ) -> None:
        """Train from the snapshot with the rate going linearly to zero, after a short warm-up."""
        model, optimizer = snapshot.model, snapshot.optimizer
        warmup = max(1, steps // 10)
        read = {round(x * steps) for x in READ_AT}
        for i in range(steps):
            rate = self.rate * min((i + 1) / warmup, 1.0 - i / steps)
            for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
                group["lr"] = rate * ratio
            batch = batches[i % len(batches)]
            optimizer.zero_grad(set_to_none=True)
            self.cost += 1.0
            self.finite = descend(partial(loss_fn, model, batch), optimizer, self.ranks)
            if not self.finite:
                return
            params = metric.trained(optimizer)
            before = [p.detach().clone() for p in params] if i in read else []
            optimizer.step()
            if before:
                self._read(model, optimizer, loss_fn, batch, params, before)

    def judge(self, model: nn.Module, loss_fn: LossFn, fresh: Sequence[Any]) -> None:
        """Mean loss on the fresh batches, infinite where the run diverged."""
        if not self.finite:
            return
        with quiet(model):
            mean = self.ranks.number(
                lambda: sum(float(loss_fn(model, batch)) for batch in fresh) / len(fresh)
            )
        self.cost += FORWARD * len(fresh)
        self.value = mean if math.isfinite(mean) else math.inf

    def _read(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: LossFn,
        batch: Any,
        params: list[Tensor],
        before: list[Tensor],
    ) -> None:
        """Read the sharpness at the weights before a step, along its direction, as a watch does."""
        d = metric.direction(optimizer)
        slope = float(dot([p.grad for p in params if p.grad is not None], d))
        slope = self.ranks.first(slope)  # how many losses are read depends on its last bit

        def loss_at() -> float:
            self.cost += FORWARD
            return self.ranks.number(lambda: float(loss_fn(model, batch)))

        with quiet(model), restored(params):
            copy_(params, before)
            secant = sharpness_along(loss_at, params, d, slope)
        if secant.sharpness is not None:
            self._readings.append(secant.sharpness)
