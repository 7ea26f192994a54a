"""Polynomial, exponential and REX: one smooth decay from the peak to the end.

With `x = (step - W) / (T - W)`:

    polynomial:   shape = (1 - x)^power
    exponential:  shape = (r^x - r) / (1 - r);  with `end_value = r * peak` this is `peak * r^x`
    rex:          shape = (1 - x) / (1 - alpha x)

REX[^1] is `alpha = 1/2`, that is `(1 - x) / (1/2 + (1 - x)/2)`; the authors' code has 0.45 in its
place. `alpha = 0` is linear, and the nearer to 1, the longer the peak is held.

[^1]: Chen, Wolfe, Kyrillidis, "REX: Revisiting Budgeted Training with an Improved Schedule", MLSys
    2022, arXiv 2107.04197.
"""

from __future__ import annotations

import math

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes._elementary import (
    elementwise,
    geometric,
    geometric_mean_factor,
    geometric_source,
)


def _polynomial(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    power = parameters["power"]
    return elementwise(lambda f: math.pow(f, power), left / span.steps)


def _polynomial_mean(span: Span, parameters: Parameters) -> float:
    return float(1 / (1 + parameters["power"]))


def _polynomial_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    return [f"shape = (left / steps) ** {parameters['power']!r}"]


def _exponential(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    return geometric(left / span.steps, parameters["ratio"])


def _exponential_mean(span: Span, parameters: Parameters) -> float:
    return geometric_mean_factor(parameters["ratio"])


def _exponential_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    return geometric_source(dialect, "left / steps", parameters["ratio"])


def _rex(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    # (1 - x) / (1 - alpha x) with x = (n - left) / n, multiplied by n.
    return left / (span.steps - float(parameters["alpha"]) * (span.steps - left))


def _rex_mean(span: Span, parameters: Parameters) -> float:
    alpha = float(parameters["alpha"])
    if alpha < 0.05:  # the closed form cancels: sum of alpha^k / ((k + 1) (k + 2))
        return sum(alpha**k / ((k + 1) * (k + 2)) for k in range(12))
    return (alpha + (1 - alpha) * math.log1p(-alpha)) / alpha**2


def _rex_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    return [f"shape = left / (steps - {parameters['alpha']!r} * (steps - left))"]


POLYNOMIAL = Family(
    "polynomial",
    _polynomial,
    _polynomial_mean,
    _polynomial_source,
    "a power of linear decay, (1 - x)^power",
    parameters=(
        Parameter(
            "power",
            default=2.0,
            low=0.5,
            high=3.0,
            log=True,
            minimum=0.0,
            exclusive_minimum=True,
            maximum=100.0,
            doc="1 is linear; below 1 the peak is held longer, above 1 the decay comes early.",
        ),
    ),
)
EXPONENTIAL = Family(
    "exponential",
    _exponential,
    _exponential_mean,
    _exponential_source,
    "geometric decay, shifted to reach the end",
    parameters=(
        Parameter(
            "ratio",
            default=0.01,
            low=0.001,
            high=0.5,
            log=True,
            minimum=1e-300,
            maximum=1.0,
            exclusive_maximum=True,
            doc="Last over first learning rate of the unshifted decay; near 1 it is linear.",
        ),
    ),
)
REX = Family(
    "rex",
    _rex,
    _rex_mean,
    _rex_source,
    "reflected exponential, (1 - x) / (1 - alpha x): between linear and constant",
    parameters=(
        Parameter(
            "alpha",
            default=0.5,
            low=0.0,
            high=0.9,
            minimum=0.0,
            maximum=1.0,
            exclusive_maximum=True,
            doc="How long the peak is held: 0 is linear, 1/2 the paper's REX.",
        ),
    ),
)
