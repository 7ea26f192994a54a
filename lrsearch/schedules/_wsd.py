"""WSD: warm-up, stable, decay. The peak is held, and a cooldown ends the run[^1].

The cooldown takes `N = max(1, round(cooldown * T))` whole steps, as in the authors' code (which
cuts where we round, so that 0.29 of 100 steps is 29). Its first step still has the peak, so the
branch-off point of a long run is a step that exists. With `x = (step - (T - N)) / N`:

    linear:  shape = 1 - x
    1-sqrt:  shape = 1 - sqrt(x)

[^1]: Hägele, Bakouch, Kosson, Ben Allal, von Werra, Jaggi, "Scaling Laws and Compute-Optimal
    Training Beyond Fixed Training Durations", NeurIPS 2024, arXiv 2405.18392.
"""

from __future__ import annotations

import numpy as np

from lrsearch.schedules._family import Family, FloatArray, Parameters, Span
from lrsearch.schedules._parameter import Parameter


def cooldown_steps(budget: int, parameters: Parameters) -> int:
    """Return the whole number of steps of the cooldown, at least one."""
    return max(1, round(float(parameters["cooldown"]) * budget))


def _wsd(left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
    steps = cooldown_steps(span.budget, parameters)
    x = np.maximum(steps - left, 0.0) / steps
    return 1.0 - (x if parameters["cooldown_shape"] == "linear" else np.sqrt(x))


def _mean(span: Span, parameters: Parameters) -> float:
    # The mean of x over the cooldown is 1/2, that of sqrt(x) is 2/3.
    lost = 1 / 2 if parameters["cooldown_shape"] == "linear" else 2 / 3
    return 1.0 - lost * cooldown_steps(span.budget, parameters) / span.steps


WSD = Family(
    "wsd",
    _wsd,
    _mean,
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
        # 1-sqrt is the best shape of the paper.
        Parameter(
            "cooldown_shape",
            default="1-sqrt",
            choices=("linear", "1-sqrt"),
            doc="How the learning rate falls in the cooldown.",
        ),
    ),
    room=cooldown_steps,
)
