"""WSD: warm-up, stable, decay. The peak is held, and a cooldown ends the run[^1].

The cooldown takes `N = max(1, round(cooldown * T))` whole steps, as in the authors' code (which
cuts where we round, so that 0.29 of 100 steps is 29). Its first step still has the peak, so the
branch-off point of a long run is a step that exists. With `z = (step - (T - N)) / N`:

    linear:       shape = 1 - z
    1-sqrt:       shape = 1 - sqrt(z)
    cosine:       shape = (1 + cos(pi z)) / 2
    square:       shape = 1 - z^2
    exponential:  shape = (r^z - r) / (1 - r),  r = cooldown_ratio

With `end_value = r * peak` the last is `peak^(1 - z) end^z`, the decay of MiniCPM[^2].

[^1]: Hägele, Bakouch, Kosson, Ben Allal, von Werra, Jaggi, "Scaling Laws and Compute-Optimal
    Training Beyond Fixed Training Durations", NeurIPS 2024, arXiv 2405.18392.
[^2]: Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training
    Strategies", COLM 2024, arXiv 2404.06395.
"""

from __future__ import annotations

import numpy as np

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Dialect
from lrsearch.schedules.shapes._elementary import (
    geometric,
    geometric_mean_factor,
    geometric_source,
    sine_squared,
    sine_squared_source,
)


def cooldown_steps(budget: int, parameters: Parameters) -> int:
    """Return the whole number of steps of the cooldown, at least one."""
    return max(1, round(float(parameters["cooldown"]) * budget))


def _wsd(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    steps = cooldown_steps(span.budget, parameters)
    z = np.maximum(steps - left, 0.0) / steps
    match parameters["cooldown_shape"]:
        case "linear":
            return 1.0 - z
        case "1-sqrt":
            return 1.0 - np.sqrt(z)
        case "square":
            return 1.0 - z * z
        case "cosine":
            return sine_squared(np.minimum(left / steps, 1.0))
    return geometric(np.minimum(left / steps, 1.0), parameters["cooldown_ratio"])


def _mean(span: Span, parameters: Parameters) -> float:
    exponential = 1 - geometric_mean_factor(parameters["cooldown_ratio"])
    # The mean over the cooldown of what is missing to the peak.
    lost = {"linear": 1 / 2, "1-sqrt": 2 / 3, "square": 1 / 3, "cosine": 1 / 2}
    share = cooldown_steps(span.budget, parameters) / span.steps
    return 1.0 - lost.get(parameters["cooldown_shape"], exponential) * share


def _source(dialect: Dialect, span: Span, parameters: Parameters) -> list[str]:
    first = f"cooldown = {cooldown_steps(span.budget, parameters)!r}  # optimizer steps"
    remaining = dialect.minimum("left / cooldown", "1.0")
    match parameters["cooldown_shape"]:
        case "cosine":
            return [first, f"shape = {sine_squared_source(dialect, remaining)}"]
        case "exponential":
            return [first, *geometric_source(dialect, remaining, parameters["cooldown_ratio"])]
    fallen = {"linear": "z", "1-sqrt": dialect.call("sqrt", "z"), "square": "z * z"}
    return [
        first,
        f"z = {dialect.maximum('cooldown - left', '0')} / cooldown",
        f"shape = 1.0 - {fallen[parameters['cooldown_shape']]}",
    ]


def _stable(span: Span, parameters: Parameters) -> int:
    return span.budget - cooldown_steps(span.budget, parameters)


WSD = Family(
    "wsd",
    _wsd,
    _mean,
    _source,
    "warm-up, stable, decay: the peak is held until the cooldown",
    parameters=(
        # 10-20 % match a tuned cosine in the paper, longer ones bring little: 0.2 is the middle
        # of what is searched (in octaves), and the example of the authors' own code.
        Parameter(
            "cooldown",
            default=0.2,
            low=0.1,
            high=0.5,
            minimum=0.0,
            maximum=1.0,
            exclusive_minimum=True,
            doc="Cooldown as a fraction of the whole budget, warm-up included.",
        ),
        # 1-sqrt is the best shape of the paper, linear the plainest; the others lie between.
        Parameter(
            "cooldown_shape",
            default="1-sqrt",
            choices=("linear", "1-sqrt", "cosine", "square", "exponential"),
            searched=("linear", "1-sqrt"),
            doc="How the learning rate falls in the cooldown.",
        ),
        Parameter(
            "cooldown_ratio",
            default=0.1,
            low=0.01,
            high=0.5,
            log=True,
            minimum=1e-300,
            maximum=1.0,
            exclusive_maximum=True,
            matters=False,
            since=2,
            doc="Last over first learning rate of an exponential cooldown, before the shift.",
        ),
    ),
    room=cooldown_steps,
    stable=_stable,
)
