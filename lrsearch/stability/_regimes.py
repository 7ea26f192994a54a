"""What a run is doing, from its own readings alone: three rules that need no other trial.

Each rule returns a `Verdict` that stops the run, or ``None``. The numbers are those of the
measurements on 440 to 1,350 small runs that the project began with, and stand beside each rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import TypeGuard

from lrsearch.stability._reading import Reading
from lrsearch.stability._trend import robust_slope
from lrsearch.stability._verdict import Verdict

# Loss still above its start at a tenth of the budget: 0 wrong stops of 440, 35 % of the hot runs.
# Two readings in a row, so that one catapult (up to 6 % of winners had one) is forgiven, and by
# more than single batches differ at the start: noise alone must not look like rising.
GRACE = 0.1
# rho < 0.1 at a quarter of the budget: 0 wrong stops of 440, 41 % of the cold runs (mostly SGD).
# Readings from a tenth of the budget on count; past half the budget decaying rates blur the level.
FAR_BELOW = 0.1
# A run that has solved its training set reads far below the edge as well, for its curvature has
# gone with its loss; one that is too slow still has its loss. Without this guard the rule stopped
# good runs of studies/first_edge that saw their data 64 times.
SLOW_LOSS = 0.5
BELOW_WINDOW = (0.1, 0.25, 0.5)
# Updates before which no run is too slow: the measured runs had 400 or more, so that a quarter of
# them is this many. Of runs of 60 steps the rule stopped some that were among the best.
FEWEST = 100
# A learning rate this near to the highest is at the top: the last step of a warm-up counts.
TOP = 0.99
# Less of the peak than this, and it is still to come; a decay's first reading may lie below it.
SEEN_PEAK = 0.5
# Gradient norm two decades under its start while the loss kept 80 % of its start: nothing is left
# that could bring it back. (Runs whose curvature and gradients vanished at high loss never won.)
COLLAPSE = 0.01
HIGH_LOSS = 0.8


def diverged(readings: Sequence[Reading]) -> Verdict | None:
    """The loss or the weights are no longer finite, or the loss has stayed above its start."""
    if not readings:
        return None
    last = readings[-1]
    if not last.finite:
        return Verdict(
            stop=True,
            regime="diverged",
            side="hot",
            step=last.step,
            reason=f"diverged: loss or weights not finite by step {last.step} at learning rate "
            f"{last.learning_rate:.3g}",
        )
    tail = [r for r in readings[-2:] if r.progress is not None and r.progress >= GRACE]
    start = last.initial_loss
    if len(tail) < 2 or not _measured(start) or start <= 0:
        return None
    losses = [r.loss for r in tail if r.loss is not None and math.isfinite(r.loss)]
    noise = last.initial_spread if _measured(last.initial_spread) else 0.0
    if len(losses) < 2 or min(losses) <= start + noise:
        return None
    trend = robust_slope([r.step for r in tail], [math.log(loss) for loss in losses])
    return Verdict(
        stop=True,
        regime="diverged",
        side="hot",
        step=last.step,
        reason=f"diverged: loss {losses[-1]:.3g} at step {last.step} ({last.progress:.0%} of the "
        f"budget) is above its start {start:.3g}, twice in a row",
        trend={"loss": losses[-1], "initial_loss": start, "log_loss_per_step": trend},
    )


def dead(readings: Sequence[Reading]) -> Verdict | None:
    """The gradient norm collapsed while the loss stayed high: nothing is learnt any more."""
    seen = [r for r in readings if _measured(r.gradient_norm) and _measured(r.loss)]
    if len(seen) < 5:
        return None
    last, start = seen[-1], seen[-1].initial_loss
    if last.progress is None or last.progress < GRACE or not _measured(start) or start <= 0:
        return None
    norms = [r.gradient_norm for r in seen if r.gradient_norm is not None]
    losses = [r.loss for r in seen if r.loss is not None]
    reference = median(norms[:3])
    if reference <= 0 or max(norms[-2:]) > COLLAPSE * reference:
        return None
    if min(losses[-2:]) < HIGH_LOSS * start:
        return None
    floor = 1e-30
    trend = robust_slope([r.step for r in seen], [math.log(max(n, floor)) for n in norms])
    return Verdict(
        stop=True,
        regime="dead",
        side="hot",
        step=last.step,
        reason=f"dead: gradient norm {norms[-1]:.2g} is {norms[-1] / reference:.1g} of its start "
        f"while the loss {losses[-1]:.3g} is still {losses[-1] / start:.0%} of its start "
        f"(step {last.step})",
        trend={
            "gradient_norm": norms[-1],
            "initial_gradient_norm": reference,
            "loss": losses[-1],
            "log_gradient_norm_per_step": trend,
        },
    )


def below_edge(readings: Sequence[Reading]) -> Verdict | None:
    """The run trains far below the edge of stability and is not on the way to it.

    Readings count from the highest learning rate so far on: while a schedule still rises (a long
    warm-up, one-cycle) neither the loss nor the curvature says what its peak will do. A tuner's
    rate is not judged: where it will go, nobody knows.
    """
    if any(r.tuned for r in readings):
        return None
    first, earliest, latest = BELOW_WINDOW
    highest = max((r.learning_rate for r in readings), default=0.0)
    peak = readings[-1].peak if readings else None
    if peak is not None and highest < SEEN_PEAK * peak:
        return None
    top = [i for i, r in enumerate(readings) if r.learning_rate >= TOP * highest]
    readings = readings[top[0] :] if top else ()
    points = [
        (r.progress, r.rho_at_peak)
        for r in readings
        if r.progress is not None and first <= r.progress <= latest and _measured(r.rho_at_peak)
    ]
    if len(points) < 3 or points[-1][0] < earliest or readings[-1].progress != points[-1][0]:
        return None
    last = readings[-1]
    start = last.initial_loss
    if last.step < FEWEST or not _measured(start) or start <= 0:
        return None
    if not _measured(last.loss) or last.loss < SLOW_LOSS * start:
        return None
    level = median(rho for _, rho in points)
    if not 0 < level < FAR_BELOW:
        return None  # non-positive: negative curvature, where rho says nothing about the rate
    positive = [(x, math.log2(rho)) for x, rho in points if rho > 0]
    trend = robust_slope([x for x, _ in positive], [y for _, y in positive])
    reached = level * 2.0 ** (max(trend, 0.0) * (latest - points[-1][0]))
    if reached >= FAR_BELOW:
        return None
    return Verdict(
        stop=True,
        regime="below the edge",
        side="cold",
        step=last.step,
        reason=f"far below the edge: rho {level:.2g} (median of {len(points)} readings to step "
        f"{last.step}), {trend / 10:+.1f} octaves per tenth of the budget (limit "
        f"{FAR_BELOW:g}), with {last.loss / start:.0%} of the loss that it began with",
        trend={"rho": level, "log2_rho_per_budget": trend, "readings": float(len(points))},
    )


def _measured(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
