"""Constant, linear and cosine: the shapes without parameters.

Linear decay is the worst-case optimum of convex optimisation[^1]; cosine is the common habit[^2].

[^1]: Defazio, Cutkosky, Mehta, Mishchenko, "When, Why and How Much? Adaptive Learning Rate
    Scheduling by Refinement", 2023, arXiv 2310.07831.
[^2]: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    arXiv 1608.03983.
"""

from __future__ import annotations

import math

import numpy as np

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span


def sine_squared(fraction: FloatArray) -> FloatArray:
    """Return `sin(pi/2 * fraction)**2` of a fraction in [0, 1], `(k,) -> (k,)`.

    The sine is taken one by one from the C library: numpy's own may differ in the last bit with
    the processor and with the length of the array, and `values()` must equal `__call__` exactly.
    """
    angles = (math.pi / 2 * fraction).tolist()
    return np.square(np.fromiter(map(math.sin, angles), dtype=np.float64, count=len(angles)))


def _constant(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    return np.ones_like(left)


def _linear(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    return left / span.steps


def _cosine(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    # (1 + cos(pi x)) / 2 = sin(pi (1 - x) / 2)^2, without the cancellation near the end.
    return sine_squared(left / span.steps)


def _whole(span: Span, parameters: Parameters) -> float:
    return 1.0


def _half(span: Span, parameters: Parameters) -> float:
    return 0.5


CONSTANT = Family("constant", _constant, _whole, "the peak throughout; it has no end")
LINEAR = Family("linear", _linear, _half, "linear decay, 1 - x")
COSINE = Family("cosine", _cosine, _half, "half a cosine, (1 + cos(pi x)) / 2")
