"""What a run that goes on is doing: one regime and one sentence, for people and logs.

No rule here stops a run. Bands of rho are those of good runs on the development tables of
studies/search_efficiency at a quarter to a half of the budget: 0.18 to 1.9, most at 0.3 to 1.5.

A falling rate with a rising sharpness is no sign of harm by itself: where a schedule plans the
fall, the sharpness of up to half of the good runs follows it, rho staying the same (`regimes.py`
of that study). Only a tuner that chose the rate itself can be in the short-sighted spiral.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from lrsearch.stability._reading import Reading
from lrsearch.stability._trend import extrapolated, robust_slope
from lrsearch.stability._verdict import CONTINUE, Regime, Verdict

WINDOW = 0.15  # of the budget, or of the steps done where it is unknown
FEWEST, MOST = 3, 24  # readings of a window
AT_EDGE = LOW, HIGH = 0.3, 2.0  # rho between them is at the edge
MOVED = 0.5  # octaves over a window that are a trend
FLAT = 0.02  # natural log of the loss over a window that is none
STUCK = 0.8  # of the loss at the start: averaged weights that keep it would not be good if annealed
EXTREME = 500.0  # octaves: no number of a run is larger, and none of them overflows
SHORT = 0.9  # a tuner that keeps rho above it holds the run at the edge, as sigma 2 does
GROWING = 0.25  # octaves that a gradient norm may rise by in a spiral


def phase(readings: Sequence[Reading]) -> Verdict:
    """What a run is doing by its last readings; never stops it.

    Regimes, the first that fits: short-sighted spiral (a tuner's rate falls as the sharpness rises,
    rho steady and below the edge, gradients not growing; rho of eigenvalues where they are read),
    warming (the rate rises), annealing (it falls by plan), chaotic (rho above 2, loss not falling,
    averaged weights near the start's loss), plateau (the loss stays), progressive sharpening (rho
    below the edge and rising), below the edge, at the edge. ``training`` where too little is known.
    A sharpness that is stale is extrapolated in the log to the last reading's step, by no more than
    a window.

    Args:
        readings: In order of their steps.
    """
    seen = _Window.of(readings)
    if seen is None:
        return CONTINUE
    for judge in (_spiral, _rate, _chaotic, _plateau, _edge):
        found = judge(seen)
        if found is not None:
            return found
    return Verdict(step=seen.last.step)


def phases(readings: Sequence[Reading]) -> list[Verdict]:
    """The regimes of a run in order, each as it was last said before the next one began.

    One reading that differs from those around it begins nothing.
    """
    said = [phase(readings[: n + 1]) for n in range(len(readings))]
    calm = [
        v
        for i, v in enumerate(said)
        if v.regime in {said[j].regime for j in (i - 1, i + 1) if 0 <= j < len(said)}
    ]
    return [
        v
        for i, v in enumerate(calm)
        if i + 1 == len(calm) or v.regime != calm[i + 1].regime
        if v.regime != "training"
    ]


@dataclass(frozen=True, slots=True)
class _Window:
    """The last readings of a run."""

    readings: Sequence[Reading]

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> _Window | None:
        if not readings or not readings[-1].finite:
            return None
        last = readings[-1]
        since = last.step - WINDOW * (last.budget or last.step)
        near = [r for r in readings if r.step >= since]
        near = near if len(near) >= FEWEST else list(readings[-FEWEST:])
        return None if len(near) < FEWEST else cls(near[-MOST:])

    @property
    def last(self) -> Reading:
        return self.readings[-1]

    @property
    def span(self) -> int:
        return self.last.step - self.readings[0].step

    def series(self, of: Callable[[Reading], float | None]) -> tuple[list[float], list[float]]:
        """Steps and log2 of a signal, where it is positive."""
        pairs = [(r.step, of(r)) for r in self.readings]
        known = [(float(x), math.log2(y)) for x, y in pairs if y and 0 < y < math.inf]
        return [x for x, _ in known], [y for _, y in known]

    def moved(self, of: Callable[[Reading], float | None]) -> float | None:
        """Octaves that a signal has risen by over the window; ``None`` with too few."""
        x, y = self.series(of)
        return None if len(x) < FEWEST else robust_slope(x, y) * self.span

    @property
    def rho(self) -> tuple[float, bool] | None:
        """Normalised sharpness now, and whether it had to be extrapolated."""
        x, y = self.series(lambda r: r.sharpness)
        unknown = [r for r in self.readings if r.sharpness is not None and r.sharpness <= 0]
        if len(x) < FEWEST - 1 or len(unknown) > len(x):
            return None
        last, thresholds = self.last, [r.threshold for r in self.readings if r.threshold]
        if not thresholds or last.learning_rate <= 0:
            return None
        if last.sharpness is not None:
            _, near = self.series(lambda r: r.rho)
            return (2.0 ** median(near[-3:]), False) if near else None
        level = extrapolated(x, y, min(last.step, x[-1] + self.span))
        sharpness = 2.0 ** min(max(level, -EXTREME), EXTREME)
        return last.learning_rate * sharpness / thresholds[-1], True


def _rate_of(reading: Reading) -> float:
    return reading.learning_rate


def _said(seen: _Window, regime: Regime, sentence: str, **trend: float) -> Verdict:
    reason = f"{sentence} (step {seen.last.step})"
    return Verdict(regime=regime, reason=reason, step=seen.last.step, trend=trend)


def _spiral(seen: _Window) -> Verdict | None:
    if not all(r.tuned for r in seen.readings):
        return None
    rate, sharp = seen.moved(_rate_of), seen.moved(lambda r: r.sharpness)
    gradient = seen.moved(lambda r: r.gradient_norm)
    now = seen.rho
    if rate is None or sharp is None or now is None:
        return None
    tops = [r.rho_top for r in seen.readings if r.rho_top is not None]
    rho = median(tops) if len(tops) >= FEWEST else now[0]
    if rho > SHORT:
        return None
    if -rate < MOVED or sharp < MOVED or abs(rate + sharp) > 0.5 * -rate:
        return None
    if gradient is not None and gradient > GROWING:
        return None
    return _said(
        seen,
        "short-sighted spiral",
        f"short-sighted spiral: the rate fell by {-rate:.1f} octaves in {seen.span} steps while "
        f"the sharpness rose by {sharp:.1f}, rho {rho:.2g} below the edge, gradients not "
        "growing: the tuner makes its steps shorter, and the loss sharper for it",
        rate_octaves=rate,
        sharpness_octaves=sharp,
        rho=rho,
    )


def _rate(seen: _Window) -> Verdict | None:
    first, last = seen.readings[0], seen.last
    if first.learning_rate <= 0 or last.learning_rate <= 0 or any(r.tuned for r in seen.readings):
        return None
    moved = math.log2(last.learning_rate) - math.log2(first.learning_rate)
    if abs(moved) < MOVED:
        return None
    if moved > 0:
        of = f" of {last.peak:.3g}" if last.peak else ""
        sentence = f"warming up: learning rate {last.learning_rate:.3g}{of}"
        return _said(seen, "warming", sentence, rate_octaves=moved)
    rho = f", rho {seen.rho[0]:.2g}" if seen.rho else ""
    sentence = (
        f"annealing: the rate fell by {-moved:.1f} octaves in {seen.span} steps to "
        f"{last.learning_rate:.3g}{rho}"
    )
    return _said(seen, "annealing", sentence, rate_octaves=moved)


def _chaotic(seen: _Window) -> Verdict | None:
    now, last, falling = seen.rho, seen.last, seen.moved(lambda r: r.loss)
    if now is None or now[0] <= HIGH or not last.initial_loss or last.annealed_loss is None:
        return None
    share = last.annealed_loss / last.initial_loss
    if share < STUCK or falling is None or falling * math.log(2) < -FLAT:
        return None
    return _said(
        seen,
        "chaotic",
        f"chaotic above the edge: rho {now[0]:.2g}, the loss does not fall, and averaged weights "
        f"still have {share:.0%} of the loss that it began with",
        rho=now[0],
        annealed_share=share,
    )


def _plateau(seen: _Window) -> Verdict | None:
    loss = seen.moved(lambda r: r.loss)
    if loss is None or abs(loss) * math.log(2) > FLAT:
        return None
    gradient = seen.moved(lambda r: r.gradient_norm)
    if gradient is not None and abs(gradient) > MOVED:
        return None
    rho = f", rho {seen.rho[0]:.2g}" if seen.rho else ""
    return _said(
        seen,
        "plateau",
        f"plateau: the loss moved by {math.expm1(loss * math.log(2)):+.1%} in {seen.span} "
        f"steps{rho}",
        loss_octaves=loss,
    )


def _edge(seen: _Window) -> Verdict | None:
    if seen.rho is None:
        return None
    now, stale = seen.rho
    rising = seen.moved(lambda r: r.rho) or 0.0
    how = "rho, extrapolated," if stale else "rho"
    if now >= LOW:
        word = "at" if now <= HIGH else "above"
        regime: Regime = "at the edge" if now <= HIGH else "above the edge"
        return _said(seen, regime, f"{word} the edge: {how} {now:.2g}", rho=now)
    if rising >= MOVED:
        return _said(
            seen,
            "progressive sharpening",
            f"progressive sharpening: {how} {now:.2g}, {rising:+.1f} octaves in {seen.span} steps",
            rho=now,
            rho_octaves=rising,
        )
    return _said(
        seen,
        "below the edge",
        f"below the edge: {how} {now:.2g}, {rising:+.1f} octaves in {seen.span} steps",
        rho=now,
        rho_octaves=rising,
    )
