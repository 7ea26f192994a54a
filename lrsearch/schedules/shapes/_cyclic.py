"""Cyclic learning rates: triangles between a low rate and the top[^1].

Every cycle goes up a straight line from `low` to its top over `rise` of its steps (whole steps, one
at least up and one down), and down again. The top of cycle k is `low + (1 - low) * decay^k`:
`decay = 1` is torch's mode "triangular", 1/2 its "triangular2". The last descent goes to the end,
all others to `low`.

[^1]: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv 1506.01186.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes._cycles import cycles_parameter, edges, locate, locate_source, needed
from lrsearch.schedules.shapes._elementary import elementwise


def _rises(marks: list[int], parameters: Parameters) -> list[int]:
    """Return the whole steps of the rise of every cycle."""
    lengths = [b - a for a, b in pairwise(marks)]
    return [min(max(round(parameters["rise"] * n), 1), n - 1) for n in lengths]


def _cyclic(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    low = float(parameters["low"])
    marks = edges(span.steps, parameters["cycles"])
    cycle, remaining, steps = locate(left, span.steps, marks)
    rise = np.asarray(_rises(marks, parameters), dtype=np.float64)[cycle.astype(np.intp)]
    amplitude = elementwise(lambda k: math.pow(parameters["decay"], k), cycle)
    top = low + (1.0 - low) * amplitude
    bottom = np.where(cycle == parameters["cycles"] - 1.0, 0.0, low)
    up = (steps - remaining) / rise
    down = remaining / (steps - rise)
    # Written so that it is exactly the top at the top.
    return np.where(up < 1.0, low * (1.0 - up) + top * up, bottom * (1.0 - down) + top * down)


def _mean(span: Span, parameters: Parameters) -> float:
    low, cycles, decay = (float(parameters[name]) for name in ("low", "cycles", "decay"))
    amplitude = 1.0 if decay == 1.0 else (1.0 - decay**cycles) / ((1.0 - decay) * cycles)
    lost_at_the_end = (1.0 - float(parameters["rise"])) * low / (2.0 * cycles)
    return low + (1.0 - low) * amplitude / 2.0 - lost_at_the_end


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    low, cycles = parameters["low"], int(parameters["cycles"])
    marks = edges(span.steps, cycles)
    rises = _rises(marks, parameters)
    bottom = dialect.where(f"cycle == {cycles - 1}", "0.0", repr(low))
    return [
        *(locate_source(dialect, marks) or ["cycle = 0"]),
        f"rise = {dialect.pick(rises, 'cycle')}",
        f"top = {low!r} + {1.0 - low!r} * {parameters['decay']!r} ** cycle",
        f"bottom = {bottom}",
        "up, down = (steps - left) / rise, left / (steps - rise)",
        f"low = {low!r}",
        "shape = "
        + dialect.where(
            "up < 1.0", "low * (1.0 - up) + top * up", "bottom * (1.0 - down) + top * down"
        ),
    ]


def _room(budget: int, parameters: Parameters) -> int:
    return 2 * needed(parameters["cycles"])


CYCLIC = Family(
    "cyclic",
    _cyclic,
    _mean,
    _source,
    "triangles between a low rate and the peak",
    parameters=(
        cycles_parameter(2.0),
        Parameter(
            "low",
            default=0.1,
            low=0.0,
            high=0.5,
            minimum=0.0,
            maximum=1.0,
            exclusive_maximum=True,
            matters=False,
            doc="Where every cycle starts, as a part of `peak - end`.",
        ),
        Parameter(
            "rise",
            default=0.5,
            low=0.1,
            high=0.9,
            minimum=0.0,
            maximum=1.0,
            matters=False,
            doc="Share of every cycle that rises, in whole steps, at least one of each kind.",
        ),
        Parameter(
            "decay",
            default=1.0,
            low=0.25,
            high=1.0,
            log=True,
            minimum=0.0,
            maximum=1.0,
            exclusive_minimum=True,
            matters=False,
            doc="Height of a triangle over that of the one before.",
        ),
    ),
    room=_room,
    starts_at_peak=False,
    monotone=False,
)
