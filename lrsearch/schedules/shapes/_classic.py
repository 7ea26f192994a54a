"""Constant, linear and cosine: the shapes without parameters.

Linear decay is the worst-case optimum of convex optimisation[^1]; cosine is the common habit[^2].

[^1]: Defazio, Cutkosky, Mehta, Mishchenko, "When, Why and How Much? Adaptive Learning Rate
    Scheduling by Refinement", 2023, arXiv 2310.07831.
[^2]: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    arXiv 1608.03983.
"""

from __future__ import annotations

import numpy as np

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes._elementary import sine_squared, sine_squared_source


def _constant(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    return np.ones_like(left)


def _constant_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    return ["shape = 1.0"]


def _linear(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    return left / span.steps


def _linear_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    return ["shape = left / steps"]


def _cosine(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    # (1 + cos(pi x)) / 2 = sin(pi (1 - x) / 2)^2, without the cancellation near the end.
    return sine_squared(left / span.steps)


def _cosine_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    return [f"shape = {sine_squared_source(dialect, 'left / steps')}"]


def _all_steps(span: Span, parameters: Parameters) -> int:
    return span.budget


def _whole(span: Span, parameters: Parameters) -> float:
    return 1.0


def _half(span: Span, parameters: Parameters) -> float:
    return 0.5


CONSTANT = Family(
    "constant",
    _constant,
    _whole,
    _constant_source,
    "the peak throughout; it has no end",
    stable=_all_steps,
    reaches_end=False,
)
LINEAR = Family("linear", _linear, _half, _linear_source, "linear decay, 1 - x")
COSINE = Family("cosine", _cosine, _half, _cosine_source, "half a cosine, (1 + cos(pi x)) / 2")
