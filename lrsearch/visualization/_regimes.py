"""One picture of a regime map: level and quality against the learning rate, regimes as bands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lrsearch.stability import RegimeMap
from lrsearch.visualization._figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = {"1": "#dbe9f6", "2A": "#d9f0d3", "2B": "#fde8c8", "3": "#f6d5d5"}


def plot_regimes(regimes: RegimeMap, metric: str) -> Figure:
    """Figure of the training loss before annealing, and of the metric before and after it.

    Args:
        regimes: The map (`lrsearch.sweeps.map_regimes`).
        metric: Name of the metric.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2, sharex=True)
    rates = [run.rate for run in regimes.runs]
    left.plot(rates, [run.loss for run in regimes.runs])
    left.set(title="training loss before annealing", yscale="log")
    right.plot(rates, [run.plain for run in regimes.runs], "o:", color="0.5", label="before")
    right.plot(rates, [run.annealed for run in regimes.runs], "o-", color="C0", label="annealed")
    right.set(title=metric)
    known = [v for run in regimes.runs for v in (run.plain, run.annealed) if math.isfinite(v)]
    if known and min(known) > 0:
        right.set_yscale("log")
    right_end = rates[-1] * math.sqrt(2)
    known_end = math.isfinite(regimes.divergence.high)
    marks = [
        rates[0] / math.sqrt(2),
        regimes.convergence.rate,
        regimes.good.rate,
        regimes.divergence.rate if known_end else right_end,
        right_end,
    ]
    for axes in (left, right):
        for name, low, high in zip(COLORS, marks, marks[1:], strict=False):
            if high > low:
                axes.axvspan(low, high, color=COLORS[name], zorder=0)
                axes.annotate(
                    name,
                    (math.sqrt(low * high), 0.97),
                    xycoords=("data", "axes fraction"),
                    ha="center",
                    va="top",
                )
        axes.set(xscale="log", xlabel="learning rate", xlim=(marks[0], marks[-1]))
    right.legend(loc="lower right")
    return figure
