"""Step: the peak is held, and drops by a factor at a few steps.

    shape = factor^k after k drops;  equal:    drops at x = k / (drops + 1)
                                     halving:  drops at x = 1 - 2^-k

`halving` with two drops is the 50 %, 75 % of residual networks[^1]. Drops fall on whole steps. The
last level is held to the end, so `end_value` is only a floor that the levels approach.

[^1]: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
    arXiv 1512.03385.
"""

from __future__ import annotations

import math
from itertools import pairwise

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes._cycles import edges, locate
from lrsearch.schedules.shapes._elementary import elementwise


def _marks(steps: int, parameters: Parameters) -> list[int]:
    """The first step of every level, and the end."""
    drops = int(parameters["drops"])
    if parameters["spacing"] == "equal":
        return edges(steps, drops + 1)
    return [round(steps * (1.0 - 0.5**k)) for k in range(drops + 1)] + [steps]


def _step(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    level, _, _ = locate(left, span.steps, _marks(span.steps, parameters))
    return elementwise(lambda k: math.pow(parameters["factor"], k), level)


def _mean(span: Span, parameters: Parameters) -> float:
    marks = _marks(span.steps, parameters)
    lengths = [b - a for a, b in pairwise(marks)]
    area = sum(n * parameters["factor"] ** k for k, n in enumerate(lengths))
    return float(area / span.steps)


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    drops = _marks(span.steps, parameters)[1:-1]
    return [
        f"level = {dialect.count(drops, 'steps - left')}",
        f"shape = {parameters['factor']!r} ** level",
    ]


def _room(budget: int, parameters: Parameters) -> int:
    # Rounding leaves every level at least one step.
    drops = int(parameters["drops"])
    return drops + 1 if parameters["spacing"] == "equal" else 2**drops


STEP = Family(
    "step",
    _step,
    _mean,
    _source,
    "the peak, multiplied by a factor at a few steps",
    parameters=(
        Parameter(
            "drops",
            default=2.0,
            searched=(1.0, 2.0, 3.0),
            minimum=1.0,
            maximum=50.0,
            whole=True,
            doc="How many times the learning rate drops.",
        ),
        Parameter(
            "factor",
            default=0.1,
            low=0.05,
            high=0.5,
            log=True,
            minimum=0.0,
            maximum=1.0,
            exclusive_minimum=True,
            exclusive_maximum=True,
            doc="What every drop multiplies the learning rate by.",
        ),
        Parameter(
            "spacing",
            default="equal",
            choices=("equal", "halving"),
            matters=False,
            doc="Where the drops are: at equal distances, or halving what remains.",
        ),
    ),
    room=_room,
    reaches_end=False,
)
