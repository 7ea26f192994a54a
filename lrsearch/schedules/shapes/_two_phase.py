"""Two phases: a large rate that finds a basin, then fine-tuning in it at a small one[^1].

With `n` steps after the warm-up, the first `k = round(share * n)` of them are at the peak (at least
one, and one at least is left):

    shape = 1 for k steps, ratio for the others

A rate just above what still converges finds the best basin, and any small rate then takes the run
to its bottom. The second level is held to the end, so `end_value` is only a floor. The first phase
is that of every longer run, so its checkpoint branches.

[^1]: Sadrtdinov, Kodryan, Pokonechny, Lobacheva, Vetrov, "Where Do Large Learning Rates Lead Us?",
    NeurIPS 2024, arXiv 2410.22113: half of the epochs each, rates far apart.
"""

from __future__ import annotations

import numpy as np

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect


def _second(steps: int, parameters: Parameters) -> int:
    """The steps of the second phase."""
    first = round(float(parameters["share"]) * steps)
    return steps - min(max(first, 1), steps - 1)


def _two_phase(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    return np.where(left > _second(span.steps, parameters), 1.0, float(parameters["ratio"]))


def _mean(span: Span, parameters: Parameters) -> float:
    second = _second(span.steps, parameters)
    return float((span.steps - second + second * parameters["ratio"]) / span.steps)


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    first = f"left > {_second(span.steps, parameters)!r}"
    return [f"shape = {dialect.where(first, '1.0', repr(parameters['ratio']))}"]


def _two_steps(budget: int, parameters: Parameters) -> int:
    return 2


def _stable(span: Span, parameters: Parameters) -> int:
    return span.budget - _second(span.steps, parameters)


TWO_PHASE = Family(
    "two_phase",
    _two_phase,
    _mean,
    _source,
    "the peak, then fine-tuning at a constant share of it",
    parameters=(
        Parameter(
            "ratio",
            default=0.03,
            low=0.003,
            high=0.3,
            log=True,
            minimum=0.0,
            maximum=1.0,
            exclusive_minimum=True,
            exclusive_maximum=True,
            doc="Learning rate of the second phase over that of the first.",
        ),
        Parameter(
            "share",
            default=0.5,
            low=0.25,
            high=0.75,
            minimum=0.0,
            maximum=1.0,
            exclusive_minimum=True,
            exclusive_maximum=True,
            matters=False,
            doc="First phase as a fraction of the steps after the warm-up.",
        ),
    ),
    room=_two_steps,
    stable=_stable,
    reaches_end=False,
)
