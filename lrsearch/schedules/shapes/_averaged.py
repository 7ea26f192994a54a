"""A constant rate whose result is a mean of the last weights, instead of a decay.

    swa[^1]   the plain mean of the weights of the steps from `start * T` on
    ema       the exponential mean, `a <- decay a + (1 - decay) w` after every step

With `N = window * T`, `decay = N / (N + 1)`: the weights in the mean are `N` updates old on
average, at every budget, and as old as in an swa over the last `2 N`. The mean begins five windows
before the end, or with the run: what came before would weigh `e^-5`, under 1 %.

To first order a mean of the last weights acts as a decay of the rate over that part[^2]: linear for
swa, `1 - e^(-left / N)` for ema (`Schedule.effective_values`). It takes memory for one more copy of
the weights, and batch normalisation has to see some batches again (`lrsearch.training`).

[^1]: Izmailov, Podoprikhin, Garipov, Vetrov, Wilson, "Averaging Weights Leads to Wider Optima and
    Better Generalization", UAI 2018, arXiv 1803.05407.
[^2]: Sandler, Zhmoginov, Vladymyrov, Miller, "Training Trajectories, Mini-Batch Losses and the
    Curious Role of the Learning Rate", 2023, arXiv 2301.02312.
"""

from __future__ import annotations

from dataclasses import replace

from lrsearch.schedules._averaging import Averaging
from lrsearch.schedules._family import Parameters
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules.shapes._classic import CONSTANT

WINDOWS = 5.0  # that an exponential mean looks back


def _swa(budget: int, parameters: Parameters) -> Averaging:
    return Averaging(float(parameters["start"]))


def _ema(budget: int, parameters: Parameters) -> Averaging:
    window = float(parameters["window"])
    decay = 1.0 - 1.0 / (window * budget + 1.0)
    return Averaging(max(0.0, 1.0 - WINDOWS * window), decay)


SWA = replace(
    CONSTANT,
    name="swa",
    summary="the peak throughout; the result is the mean of the last weights",
    averaging=_swa,
    parameters=(
        Parameter(
            "start",
            default=0.75,
            low=0.5,
            high=0.9,
            minimum=0.0,
            maximum=1.0,
            exclusive_maximum=True,
            doc="Where the mean begins, as a fraction of the whole budget.",
        ),
    ),
)
EMA = replace(
    CONSTANT,
    name="ema",
    summary="the peak throughout; the result is an exponential mean of the weights",
    averaging=_ema,
    parameters=(
        Parameter(
            "window",
            default=0.05,
            low=0.01,
            high=0.2,
            log=True,
            minimum=1e-6,
            maximum=1.0,
            doc="How old the weights in the mean are on average, as a fraction of the budget.",
        ),
    ),
)
