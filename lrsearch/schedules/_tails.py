"""Inverse square root, and the power scheduler: long tails that know little of a horizon.

    inverse_sqrt:  shape = 1 / sqrt(1 + t / tau),  t = step - W,  tau = timescale * T
    power:         shape = min(1, (step / c)^-exponent),  c = max(cap * T, W), then a cooldown

The inverse square root is the Transformer's[^1]; with `tau = W` it is `peak * sqrt(W / step)`. It
never reaches its end, which is only a floor.

The power scheduler[^2] writes `min(eta_max, beta a n^b)` with `n` tokens seen: here the step at
which the cap is left is a share of the budget, so that the shape rescales. The cap holds at least
until the warm-up ends. Over the last `N = max(1, round(cooldown * T))` steps the level that was
reached decays geometrically, to a tenth before the shift that makes it reach its end (our reading:
the paper gives the decay's length only).

[^1]: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, arXiv 1706.03762.
[^2]: Shen, Stallone, Mishra, Zhang, Tan, Prasad, Soria, Cox, Panda, "Power Scheduler: A Batch Size
    and Token Number Agnostic Learning Rate Scheduler", 2024, arXiv 2408.13359.
"""

from __future__ import annotations

import math

import numpy as np

from lrsearch.schedules._elementary import elementwise, geometric, geometric_mean_factor
from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect
from lrsearch.schedules._wsd import cooldown_steps

COOLDOWN_RATIO = 0.1


def _inverse_sqrt(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    scale = float(parameters["timescale"]) * span.budget
    return 1.0 / np.sqrt(1.0 + (span.steps - left) / scale)


def _inverse_sqrt_mean(span: Span, parameters: Parameters) -> float:
    # 2 (sqrt(1 + c) - 1) / c without the cancellation.
    c = span.steps / (parameters["timescale"] * span.budget)
    return float(2.0 / (math.sqrt(1.0 + c) + 1.0))


def _inverse_sqrt_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    scale = parameters["timescale"] * span.budget
    root = dialect.call("sqrt", f"1.0 + (steps - left) / {scale!r}")
    return [f"shape = 1.0 / {root}"]


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


def _power_mean(span: Span, parameters: Parameters) -> float:
    cap, exponent = _capped(span, parameters), float(parameters["exponent"])
    cooldown = cooldown_steps(span.budget, parameters)
    branch = span.budget - cooldown
    warmup = span.budget - span.steps
    area = min(cap, branch) - warmup
    level = 1.0
    if branch > cap:
        level = math.pow(branch / cap, -exponent)
        if exponent == 1.0:
            area += cap * math.log(branch / cap)
        else:
            area += (branch * level - cap) / (1.0 - exponent)
    area += level * cooldown * geometric_mean_factor(COOLDOWN_RATIO)
    return area / span.steps


def _power_source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    cap, cooldown = _capped(span, parameters), cooldown_steps(span.budget, parameters)
    rate = -math.log(COOLDOWN_RATIO)
    decay = dialect.call("expm1", f"{rate!r} * {dialect.minimum('left / cooldown', '1.0')}")
    lines = [
        f"cooldown = {cooldown!r}  # optimizer steps",
        f"shape = {decay} / {math.expm1(rate)!r}",
    ]
    if span.budget > cap:
        seen = f"({span.budget!r} - {dialect.maximum('left', 'cooldown')}) / {cap!r}"
        lines += [
            f"tail = {dialect.maximum(seen, '1.0')} ** {-parameters['exponent']!r}",
            "shape = tail * shape",
        ]
    return lines


INVERSE_SQRT = Family(
    "inverse_sqrt",
    _inverse_sqrt,
    _inverse_sqrt_mean,
    _inverse_sqrt_source,
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
POWER = Family(
    "power",
    _power,
    _power_mean,
    _power_source,
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
