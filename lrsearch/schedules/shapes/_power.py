"""The power scheduler: a capped power of the step, then a short cooldown[^1].

    shape = min(1, (step / c)^-exponent),  c = max(cap * T, W),  then a cooldown

The paper writes `min(eta_max, beta a n^b)` with `n` tokens seen: here the step at which the cap is
left is a share of the budget, so that the shape rescales. The cap holds at least until the warm-up
ends. Over the last `N = max(1, round(cooldown * T))` steps the level that was reached decays
geometrically, to a tenth before the shift that makes it reach its end (our reading: the paper gives
the decay's length only).

[^1]: Shen, Stallone, Mishra, Zhang, Tan, Prasad, Soria, Cox, Panda, "Power Scheduler: A Batch Size
    and Token Number Agnostic Learning Rate Scheduler", 2024, arXiv 2408.13359.
"""

from __future__ import annotations

import math

import numpy as np

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes._elementary import (
    elementwise,
    geometric,
    geometric_mean_factor,
    geometric_source,
)
from lrsearch.schedules.shapes._wsd import cooldown_steps

COOLDOWN_RATIO = 0.1


def _capped(span: Span, parameters: Parameters) -> float:
    """The step until which the cap holds."""
    return max(float(parameters["cap"]) * span.budget, float(span.budget - span.steps))


def _power(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    cap, exponent = _capped(span, parameters), float(parameters["exponent"])
    cooldown = cooldown_steps(span.budget, parameters)
    # The cooldown starts from the level at its first step, and holds it.
    steps = span.budget - np.maximum(left, cooldown)
    tail = elementwise(lambda s: 1.0 if s <= cap else math.pow(s / cap, -exponent), steps)
    return tail * geometric(np.minimum(left / cooldown, 1.0), COOLDOWN_RATIO)


def _mean(span: Span, parameters: Parameters) -> float:
    cap, exponent = _capped(span, parameters), float(parameters["exponent"])
    cooldown = cooldown_steps(span.budget, parameters)
    branch = span.budget - cooldown
    warmup = span.budget - span.steps
    area = min(cap, branch) - warmup
    level = 1.0
    if branch > cap:
        level = math.pow(branch / cap, -exponent)
        # cap (e^d - 1) / (1 - exponent) with d = (1 - exponent) log(branch / cap), also at 1.
        octaves = math.log(branch / cap)
        d = (1.0 - exponent) * octaves
        area += cap * octaves * (math.expm1(d) / d if d else 1.0)
    area += level * cooldown * geometric_mean_factor(COOLDOWN_RATIO)
    return area / span.steps


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    cap, cooldown = _capped(span, parameters), cooldown_steps(span.budget, parameters)
    remaining = dialect.minimum("left / cooldown", "1.0")
    lines = [
        f"cooldown = {cooldown!r}  # optimizer steps",
        *geometric_source(dialect, remaining, COOLDOWN_RATIO),
    ]
    if span.budget > cap:
        seen = f"({span.budget!r} - {dialect.maximum('left', 'cooldown')}) / {cap!r}"
        lines += [
            f"tail = {dialect.maximum(seen, '1.0')} ** {-parameters['exponent']!r}",
            "shape = tail * shape",
        ]
    return lines


POWER = Family(
    "power",
    _power,
    _mean,
    _source,
    "a capped power of the step, then a short geometric cooldown",
    parameters=(
        Parameter(
            "cap",
            default=0.1,
            low=0.02,
            high=0.5,
            log=True,
            minimum=1e-12,
            maximum=1.0,
            doc="Fraction of the whole budget until which the peak holds.",
        ),
        Parameter(
            "cooldown",
            default=0.1,
            low=0.05,
            high=0.3,
            minimum=0.0,
            maximum=1.0,
            exclusive_minimum=True,
            doc="Cooldown as a fraction of the whole budget, warm-up included.",
        ),
        # The paper's -b, fitted on its own runs: a law rather than a knob.
        Parameter(
            "exponent",
            default=0.51,
            low=0.3,
            high=1.0,
            minimum=0.0,
            maximum=10.0,
            matters=False,
            doc="How fast the learning rate falls with the steps made.",
        ),
    ),
    room=cooldown_steps,
)
