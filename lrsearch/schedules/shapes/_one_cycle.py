"""One-cycle: up to the peak and down to the end in one sweep, momentum the other way round[^1].

    rising over R = round(rise * n) steps:  shape = start + (1 - start) c(t / R)
    falling over the rest:                  shape = c(left / (n - R))
    momentum = high - (high - low) e,       e = c(t / R) rising, c(left / (n - R)) falling

with `c(f) = sin(pi f / 2)^2` (cosine) or `f` (linear). A warm-up leads to `start`, at high
momentum. Adam's first beta counts as its momentum, as in torch's `OneCycleLR`.

[^1]: Smith, Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates", 2018, arXiv 1708.07120.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes._elementary import sine_squared, sine_squared_source


def _rise(span: Span, parameters: Parameters) -> int:
    """Return the whole steps of the rise; one step at least remains for the fall."""
    return min(round(float(parameters["rise"]) * span.steps), span.steps - 1)


def _envelope(
    left: FloatArray, span: Span, parameters: Parameters
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return `e`, and whether it still rises, each `(k,)`."""
    rise = _rise(span, parameters)
    passed = span.steps - left
    rising = passed < rise
    fraction = np.where(rising, passed / max(rise, 1), left / (span.steps - rise))
    curve = sine_squared(fraction) if parameters["anneal"] == "cosine" else fraction
    return curve, rising


def _one_cycle(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    curve, rising = _envelope(left, span, parameters)
    return np.where(rising, parameters["start"] * (1.0 - curve) + curve, curve)


def _momentum(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray | None:
    if parameters["momentum"] == "kept":
        return None
    curve, _ = _envelope(left, span, parameters)
    high, low = float(parameters["high_momentum"]), float(parameters["low_momentum"])
    return high * (1.0 - curve) + low * curve


def _mean(span: Span, parameters: Parameters) -> float:
    rise = _rise(span, parameters) / span.steps
    return float(rise * (1.0 + parameters["start"]) + (1.0 - rise)) / 2.0


def _curve_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    """Return lines that set `curve`, the envelope."""
    rise = _rise(span, parameters)
    fraction = f"left / {span.steps - rise!r}"
    if rise:
        rising = "steps - left"
        fraction = dialect.where(f"{rising} < {rise!r}", f"({rising}) / {rise!r}", fraction)
    curve = sine_squared_source(dialect, "f") if parameters["anneal"] == "cosine" else "f"
    return [f"f = {fraction}", f"curve = {curve}"]


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    rising = f"steps - left < {_rise(span, parameters)!r}"
    return [
        *_curve_source(dialect, span, parameters),
        f"low = {dialect.where(rising, repr(parameters['start']), '0.0')}",
        "shape = low * (1.0 - curve) + curve",
    ]


def _momentum_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    high, low = parameters["high_momentum"], parameters["low_momentum"]
    return [
        *_curve_source(dialect, span, parameters),
        f"momentum = {high!r} * (1.0 - curve) + {low!r} * curve",
    ]


def _momentum_bound(name: str, default: float, doc: str) -> Parameter:
    return Parameter(
        name,
        default=default,
        low=0.8,
        high=0.99,
        minimum=0.0,
        maximum=1.0,
        exclusive_maximum=True,
        matters=False,
        doc=doc,
    )


ONE_CYCLE = Family(
    "one_cycle",
    _one_cycle,
    _mean,
    _source,
    "up to the peak and down again once, momentum the other way round",
    parameters=(
        Parameter(
            "rise",
            default=0.3,
            low=0.1,
            high=0.5,
            minimum=0.0,
            maximum=1.0,
            doc="Share of the steps after the warm-up that rise.",
        ),
        Parameter(
            "start",
            default=0.04,
            low=0.01,
            high=0.2,
            log=True,
            minimum=0.0,
            maximum=1.0,
            matters=False,
            doc="Where the rise begins, as a part of `peak - end`.",
        ),
        Parameter(
            "anneal",
            default="cosine",
            choices=("cosine", "linear"),
            matters=False,
            doc="How it rises and falls.",
        ),
        Parameter(
            "momentum",
            default="cycled",
            choices=("cycled", "kept"),
            matters=False,
            doc="Whether momentum falls while the learning rate rises, or stays as it is.",
        ),
        _momentum_bound("low_momentum", 0.85, "Momentum at the peak."),
        _momentum_bound("high_momentum", 0.95, "Momentum at both ends."),
    ),
    momentum=_momentum,
    momentum_source=_momentum_source,
    starts_at_peak=False,
    monotone=False,
)
