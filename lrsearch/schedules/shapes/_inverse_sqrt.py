"""Inverse square root: the Transformer's long tail, which knows little of a horizon[^1].

    shape = 1 / sqrt(1 + t / tau),  t = step - W,  tau = timescale * T

With `tau = W` it is `peak * sqrt(W / step)`. It never reaches its end, which is only a floor.

[^1]: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, arXiv 1706.03762.
"""

from __future__ import annotations

import math

import numpy as np

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect


def _inverse_sqrt(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    scale = float(parameters["timescale"]) * span.budget
    return 1.0 / np.sqrt(1.0 + (span.steps - left) / scale)


def _mean(span: Span, parameters: Parameters) -> float:
    # 2 (sqrt(1 + c) - 1) / c without the cancellation.
    c = span.steps / (parameters["timescale"] * span.budget)
    return float(2.0 / (math.sqrt(1.0 + c) + 1.0))


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    scale = parameters["timescale"] * span.budget
    root = dialect.call("sqrt", f"1.0 + (steps - left) / {scale!r}")
    return [f"shape = 1.0 / {root}"]


INVERSE_SQRT = Family(
    "inverse_sqrt",
    _inverse_sqrt,
    _mean,
    _source,
    "the Transformer's tail, 1 / sqrt(1 + t / tau); it never reaches its end",
    parameters=(
        Parameter(
            "timescale",
            default=0.1,
            low=0.01,
            high=1.0,
            log=True,
            minimum=1e-12,
            maximum=1e12,
            doc="tau as a fraction of the whole budget; the learning rate is halved after 3 tau.",
        ),
    ),
    reaches_end=False,
)
