"""Cosine with restarts: half a cosine in every cycle[^1].

    shape = (1 + cos(pi x)) / 2 with x in [0, 1) over the cycle

Every cycle is `growth` times as long as the one before (T_mult), rounded to whole steps, so that
each starts exactly at the peak.

[^1]: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    arXiv 1608.03983.
"""

from __future__ import annotations

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes._cycles import cycles_parameter, edges, locate, locate_source, needed
from lrsearch.schedules.shapes._elementary import sine_squared, sine_squared_source


def _edges(span: Span, parameters: Parameters) -> list[int]:
    return edges(span.steps, parameters["cycles"], parameters["growth"])


def _cosine(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    _, remaining, steps = locate(left, span.steps, _edges(span, parameters))
    return sine_squared(remaining / steps)


def _mean(span: Span, parameters: Parameters) -> float:
    return 0.5


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    return [
        *locate_source(dialect, _edges(span, parameters)),
        f"shape = {sine_squared_source(dialect, 'left / steps')}",
    ]


def _room(budget: int, parameters: Parameters) -> int:
    return needed(parameters["cycles"], parameters["growth"])


COSINE_RESTARTS = Family(
    "cosine_restarts",
    _cosine,
    _mean,
    _source,
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
    room=_room,
)
