"""UBA, the unified budget-aware schedule: one parameter from constant over cosine to impulse[^1].

    shape = 2 (1 + cos(pi x)) / (2 phi + (2 - phi) (1 + cos(pi x)))
          = 1 / (1 + (phi / 2) tan(pi x / 2)^2)
          = 2 c / (2 c + phi s),   c = cos(pi x / 2)^2,  s = sin(pi x / 2)^2

The last form is the one computed: it neither overflows nor cancels at the end. `phi = 0` is
constant (0 / 0 at the end is read as the peak), `phi = 2` is cosine, and `phi = 2 kappa` gives
the normalised Chebyshev steps of condition number `kappa`.

With `cycles = K` the budget is cut into K phases of equal length, each with the whole shape (our
reading of the paper's multi-phase variant; it recommends one).

[^1]: Tang, Dong, Zeng, Xun, Lin, "Stepsize anything: A unified learning rate schedule for
    budgeted-iteration training", NeurIPS 2025, arXiv 2505.24452.
[^2]: Schaipp, Hägele, Taylor, Simsekli, Bach, "The Surprising Agreement Between Convex
    Optimization Theory and Learning-Rate Scheduling", ICML 2025, arXiv 2501.18965.
"""

from __future__ import annotations

import math

import numpy as np

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes._cycles import cycles_parameter, edges, locate, locate_source, needed
from lrsearch.schedules.shapes._elementary import sine_squared, sine_squared_source


def _uba(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    phi = float(parameters["phi"])
    if phi == 0.0:
        return np.ones_like(left)
    _, remaining, steps = locate(left, span.steps, edges(span.steps, parameters["cycles"]))
    c = sine_squared(remaining / steps)
    s = sine_squared((steps - remaining) / steps)
    return 2.0 * c / (2.0 * c + phi * s)


def _mean(span: Span, parameters: Parameters) -> float:
    return 1.0 / (1.0 + math.sqrt(float(parameters["phi"]) / 2))


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    if parameters["phi"] == 0.0:
        return ["shape = 1.0"]
    return [
        *locate_source(dialect, edges(span.steps, parameters["cycles"])),
        f"phi = {parameters['phi']!r}",
        f"c = {sine_squared_source(dialect, 'left / steps')}",
        f"s = {sine_squared_source(dialect, '(steps - left) / steps')}",
        "shape = 2.0 * c / (2.0 * c + phi * s)",
    ]


def _room(budget: int, parameters: Parameters) -> int:
    return needed(parameters["cycles"])


UBA = Family(
    "uba",
    _uba,
    _mean,
    _source,
    "unified budget-aware: constant at phi = 0, cosine at phi = 2, a fast early decay above",
    parameters=(
        # The convex bound[^2] is least at phi = 1 (bound * sqrt(T): 0.5 2.051, 1 2.047, 2 2.068).
        # The searched range is that of the paper's ablation.
        Parameter(
            "phi",
            default=1.0,
            low=0.25,
            high=10.0,
            log=True,
            minimum=0.0,
            doc="How early the decay comes; twice the condition number in the paper's theory.",
        ),
        cycles_parameter(1.0, matters=False, since=2),
    ),
    room=_room,
)
