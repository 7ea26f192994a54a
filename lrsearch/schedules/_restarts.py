"""Cosine with restarts, and the triangles of cyclic learning rates.

    cosine_restarts: (1 + cos(pi x)) / 2 in every cycle, each `growth` times as long as the last[^1]
    cyclic:          a straight line up from `low` to the top in every cycle, and down again[^2]

The top of cycle k is `low + (1 - low) * decay^k`: `decay = 1` is torch's mode "triangular", 1/2 its
"triangular2". The last descent goes to the end, all others to `low`.

[^1]: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    arXiv 1608.03983.
[^2]: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv 1506.01186.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from lrsearch.schedules._cycles import cycles_parameter, edges, locate, locate_source, needed
from lrsearch.schedules._elementary import elementwise, sine_squared
from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect
from lrsearch.schedules._source import sine_squared as sine_squared_source


def _cosine_edges(span: Span, parameters: Parameters) -> list[int]:
    return edges(span.steps, parameters["cycles"], parameters["growth"])


def _cosine(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    _, remaining, steps = locate(left, span.steps, _cosine_edges(span, parameters))
    return sine_squared(remaining / steps)


def _cosine_mean(span: Span, parameters: Parameters) -> float:
    return 0.5


def _cosine_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    return [
        *locate_source(dialect, _cosine_edges(span, parameters)),
        f"shape = {sine_squared_source(dialect, 'left / steps')}",
    ]


def _cosine_room(budget: int, parameters: Parameters) -> int:
    return needed(parameters["cycles"], parameters["growth"])


def _cyclic(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    low = float(parameters["low"])
    marks = edges(span.steps, parameters["cycles"])
    cycle, remaining, steps = locate(left, span.steps, marks)
    rise = np.clip(np.round(float(parameters["rise"]) * steps), 1.0, steps - 1.0)
    amplitude = elementwise(lambda k: math.pow(parameters["decay"], k), cycle)
    top = low + (1.0 - low) * amplitude
    bottom = np.where(cycle == parameters["cycles"] - 1.0, 0.0, low)
    up = (steps - remaining) / rise
    down = remaining / (steps - rise)
    # Written so that it is exactly the top at the top.
    return np.where(up < 1.0, low * (1.0 - up) + top * up, bottom * (1.0 - down) + top * down)


def _cyclic_mean(span: Span, parameters: Parameters) -> float:
    low, cycles, decay = (float(parameters[name]) for name in ("low", "cycles", "decay"))
    amplitude = 1.0 if decay == 1.0 else (1.0 - decay**cycles) / ((1.0 - decay) * cycles)
    lost_at_the_end = (1.0 - float(parameters["rise"])) * low / (2.0 * cycles)
    return low + (1.0 - low) * amplitude / 2.0 - lost_at_the_end


def _cyclic_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    low, cycles = parameters["low"], int(parameters["cycles"])
    marks = edges(span.steps, cycles)
    lengths = [b - a for a, b in pairwise(marks)]
    rises = [min(max(round(parameters["rise"] * n), 1), n - 1) for n in lengths]
    bottom = dialect.where(f"cycle == {cycles - 1}", "0.0", repr(low))
    return [
        *locate_source(dialect, marks),
        f"rise = {dialect.pick(rises, 'cycle')}" if cycles > 1 else f"rise = {rises[0]!r}",
        f"top = {low!r} + {1.0 - low!r} * {parameters['decay']!r} ** cycle",
        f"bottom = {bottom}",
        "up, down = (steps - left) / rise, left / (steps - rise)",
        f"low = {low!r}",
        "shape = "
        + dialect.where(
            "up < 1.0", "low * (1.0 - up) + top * up", "bottom * (1.0 - down) + top * down"
        ),
    ]


def _cyclic_room(budget: int, parameters: Parameters) -> int:
    return 2 * needed(parameters["cycles"])


COSINE_RESTARTS = Family(
    "cosine_restarts",
    _cosine,
    _cosine_mean,
    _cosine_source,
    "a cosine that starts again from the peak",
    parameters=(
        cycles_parameter(2.0),
        Parameter(
            "growth",
            default=1.0,
            searched=(1.0, 2.0),
            minimum=1.0,
            maximum=100.0,
            matters=False,
            doc="Length of a cycle over that of the one before (T_mult).",
        ),
    ),
    room=_cosine_room,
)
CYCLIC = Family(
    "cyclic",
    _cyclic,
    _cyclic_mean,
    _cyclic_source,
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
    room=_cyclic_room,
    starts_at_peak=False,
    monotone=False,
)
