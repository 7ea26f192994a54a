"""Calibration of the edge: short annealed runs on common batches, every one of them weighed.

From the same weights and on the same batches, train for a few dozen steps at rates a factor of two
apart, from twice the usual rate of the optimizer outwards until the best one is bracketed. The rate
rises over two fifths of a run or more and falls linearly to zero: networks fail at rates that they
take later unless they are warmed up slowly. Weigh the rates by the loss that they reach, take off
what momentum adds to short runs, and put one constant on it (studies/edge_calibration; `_shift` has
the formulas).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import _metric as metric
from lrsearch.curvature._bracket import bottom
from lrsearch.curvature._cost import FORWARD
from lrsearch.curvature._descend import descend
from lrsearch.curvature._generators import generators_restored
from lrsearch.curvature._guard import copy_, dot, quiet, restored
from lrsearch.curvature._objective import LossFn
from lrsearch.curvature._parallel import Ranks, bare
from lrsearch.curvature._secant import sharpness_along
from lrsearch.curvature._shift import MULTIPLIER, OFF, at_length, memory, weighted
from lrsearch.curvature._snapshot import Snapshot, set_aside
from lrsearch.exceptions import CalibrationError
from lrsearch.stability import Edge

METHOD = "annealed runs, weighed"
START = 1  # octaves over the usual rate
# The rate that diverges rises with the steps of warm-up, and full runs have more of them than fit:
# this many, as a share of an annealed run within these bounds.
WARMUP, LEAST, MOST = 26, 0.4, 0.65
LAST = 0.1  # of a run, whose losses count
RUNS = 5.3  # lengths of an annealed run that a calibration costs as a rule, judging included
SHARE = 0.2  # of a run's budget, by default
SHORTEST, USUAL, LONGEST = 20, 40, 80  # steps of an annealed run; `USUAL` at least by default
FRESH = 8  # batches held out to judge the runs
READ_AT = (0.4, 0.5, 0.6)  # progress of an annealed run at which its sharpness is read


def proxy_steps(budget: int, share: float | None = None) -> int:
    """Length of one annealed run when a calibration may cost ``share`` of a run of ``budget``.

    Without a share: a fifth of the run, but at least 40 steps, for 20 are off by more.
    """
    least = USUAL if share is None else SHORTEST
    return int(min(max((SHARE if share is None else share) * budget / RUNS, least), LONGEST))


def calibration_cost(budget: int, share: float | None = None) -> float:
    """Gradients that a calibration costs as a rule."""
    return RUNS * proxy_steps(budget, share)


def warmup_steps(steps: int) -> int:
    """Steps over which the rate of an annealed run of ``steps`` rises."""
    return max(1, round(min(max(WARMUP, LEAST * steps), MOST * steps)))


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

    Cost: about ``5.3 * steps`` gradients where the usual rate is within two octaves, more
    otherwise; stated in the result.
    """
    ranks, model = Ranks.of(model), bare(model)
    known = metric.usual_rate(optimizer)
    begin = known * 2.0**START if known is not None else metric.learning_rate(optimizer)
    if not (math.isfinite(begin) and begin > 0):
        raise CalibrationError(f"the optimizer's learning rate is {begin!r}: give it one > 0.")
    runs: dict[int, _Run] = {}
    with set_aside(model, optimizer) as snapshot:
        first = metric.learning_rate(optimizer)
        ratios = [float(g["lr"]) / first if first > 0 else 1.0 for g in optimizer.param_groups]
        if not model.training:  # otherwise the modes are the user's choice (frozen layers)
            model.train()

        def value(octave: int) -> float:
            snapshot.rewind()
            run = _Run(begin * 2.0**octave, ranks)
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
    proxy = begin * 2.0 ** weighted(*_logarithms(values, untrained.value))
    shift = memory(steps, metric.momentum(optimizer))
    return Edge(
        learning_rate=at_length(MULTIPLIER, steps) * proxy * 2.0**-shift,
        uncertainty=at_length(OFF, steps),
        method=METHOD,
        optimizer=type(optimizer).__name__,
        usual_rate=known if known is not None else begin,
        proxy_rate=proxy,
        shift=shift,
        sharpness=runs[best].sharpness,
        threshold=metric.threshold(optimizer),
        proxy_steps=steps,
        cost=untrained.cost + sum(run.cost for run in runs.values()),
        trace=tuple(
            (r.rate, r.value if math.isfinite(r.value) else None)
            for r in sorted(runs.values(), key=lambda r: r.rate)
        ),
    )


def _logarithms(values: Mapping[int, float], untrained: float) -> tuple[dict[int, float], float]:
    """Log losses, and that without training; losses as they are where one may be negative."""
    if min(values.values()) <= 0:
        return dict(values), untrained
    logs = {k: math.log(v) if math.isfinite(v) else v for k, v in values.items()}
    return logs, math.log(untrained)


class _Run:
    """One annealed run: its rate, what it reached, and what it cost."""

    def __init__(self, rate: float, ranks: Ranks) -> None:
        self.rate, self.ranks = rate, ranks
        self.value = math.inf
        self.cost = 0.0
        self.finite = True
        self._last: list[float] = []
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
        """Train from the snapshot with the rate rising, then going linearly to zero."""
        model, optimizer = snapshot.model, snapshot.optimizer
        rising, last = warmup_steps(steps), steps - max(1, round(LAST * steps))
        read = {round(x * steps) for x in READ_AT}
        for i in range(steps):
            rate = self.rate * min((i + 1) / rising, 1.0 - i / steps)
            for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
                group["lr"] = rate * ratio
            batch = batches[i % len(batches)]
            optimizer.zero_grad(set_to_none=True)
            self.cost += 1.0
            loss = descend(partial(loss_fn, model, batch), optimizer, self.ranks)
            self.finite = math.isfinite(loss)
            if not self.finite:
                return
            if i >= last:
                self._last.append(loss)
            params = metric.trained(optimizer)
            before = [p.detach().clone() for p in params] if i in read else []
            optimizer.step()
            if before:
                self._read(model, optimizer, loss_fn, batch, params, before)

    def judge(self, model: nn.Module, loss_fn: LossFn, fresh: Sequence[Any]) -> None:
        """Mean of the losses on fresh batches and of the last training losses.

        Infinite where the run diverged. The last batches were trained on at hardly any rate; their
        losses are there already, and halve the noise.
        """
        if not self.finite:
            return
        with quiet(model):
            mean = self.ranks.number(
                lambda: sum(float(loss_fn(model, batch)) for batch in fresh) / len(fresh)
            )
        self.cost += FORWARD * len(fresh)
        if self._last:
            mean = (mean + self.ranks.first(sum(self._last) / len(self._last))) / 2.0
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
