"""Which rates train below, at and above the edge, by what the trials of a study were seen doing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lrsearch.stability import AT_EDGE, Verdict, phases
from lrsearch.visualization._shown import Shown

LOW, HIGH = AT_EDGE
BANDS = ("below the edge", "at the edge", "above the edge", "diverged")
FILLS = ("#EDF4FB", "#DDF1E8", "#F8DFAB", "#EEBFAB")
SAID = (
    f"below the edge: ρ under {LOW:g}",
    f"at the edge: ρ {LOW:g} to {HIGH:g}",
    f"above the edge: ρ over {HIGH:g}",
    "diverged or dead",
)
_OF_PHASE = {
    "below the edge": 0,
    "progressive sharpening": 0,
    "short-sighted spiral": 0,
    "at the edge": 1,
    "above the edge": 2,
    "chaotic": 2,
}


@dataclass(frozen=True, slots=True)
class Band:
    """Rates that do the same.

    Attributes:
        level: Place in `BANDS`.
        low: Where it begins.
        high: Where it ends.
        trials: Trials in it of which it is known what they did.
        agree: Those of them that did what the band says.
    """

    level: int
    low: float
    high: float
    trials: int
    agree: int


def level_of(trial: Shown) -> int | None:
    """Place in `BANDS` of what a trial did for most of its steps; ``None`` where nothing tells.

    What it was stopped for, else the phase that held the longest before it annealed.
    """
    if trial.ended in ("diverged", "dead", "not finite"):
        return 3
    if trial.ended == "far below the edge":
        return 0
    return _longest(phases(trial.readings))


def bands(rates: Sequence[float], levels: Sequence[int], low: float, high: float) -> list[Band]:
    """The rates from ``low`` to ``high`` as bands in the order of `BANDS`.

    Between two of them the cut misplaces the fewest trials, and lies in the (geometric) middle of
    its neighbours. A band that no cut leaves room for is left out.

    Args:
        rates: Of trials of which it is known what they did.
        levels: What they did, as places in `BANDS`.
        low: Where the first band begins.
        high: Where the last one ends.
    """
    if not rates:
        return []
    order = np.argsort(rates, kind="stable")
    x, y = np.array(rates, dtype=float)[order], np.array(levels)[order]
    places = [0]
    for level in range(1, len(BANDS)):
        over, under = y >= level, y < level
        wrong = np.append(0, np.cumsum(over)) + under.sum() - np.append(0, np.cumsum(under))
        wrong[1:-1][x[1:] == x[:-1]] = len(x) + 1  # no cut between equal rates
        places.append(max(int(np.argmin(wrong)), places[-1]))
    places.append(len(x))

    def cut(at: int) -> float:
        if at in (0, len(x)):
            return low if at == 0 else high
        return float(np.sqrt(x[at - 1] * x[at]))

    found = []
    for level, (first, last) in enumerate(pairwise(places)):
        if last > first:
            agree = int((y[first:last] == level).sum())
            found.append(Band(level, cut(first), cut(last), last - first, agree))
    return found


def draw_bands(figure: Any, found: Iterable[Band], *, text: bool = True) -> None:
    """Shade bands over the whole height of a figure, with a line where each begins.

    Args:
        figure: The figure; its first x axis is logarithmic.
        found: The bands.
        text: Whether the legend tells of them.
    """
    for place, band in enumerate(found):
        figure.add_shape(
            type="rect",
            x0=band.low,
            x1=band.high,
            y0=0,
            y1=1,
            xref="x",
            yref="paper",
            fillcolor=FILLS[band.level],
            line_width=0,
            layer="below",
        )
        if place:
            figure.add_shape(
                type="line",
                x0=band.low,
                x1=band.low,
                y0=0,
                y1=1,
                xref="x",
                yref="paper",
                line={"color": "#777777", "width": 1, "dash": "dot"},
                layer="below",
            )
        if text:
            figure.add_scatter(
                x=[None],
                y=[None],
                mode="markers",
                name=SAID[band.level] + _agreeing(band),
                marker={
                    "symbol": "square",
                    "size": 13,
                    "color": FILLS[band.level],
                    "line": {"color": "#777777", "width": 1},
                },
                legendgroup="bands",
                legendgrouptitle_text="what training did there",
                hoverinfo="skip",
            )


def _agreeing(band: Band) -> str:
    if band.agree == band.trials:
        return f" ({band.trials})"
    return f" ({band.agree} of {band.trials})"


def _longest(said: Sequence[Verdict]) -> int | None:
    steps: dict[int, int] = {}
    begun = 0
    for verdict in said:
        level = _OF_PHASE.get(verdict.regime)
        if level is not None:
            steps[level] = steps.get(level, 0) + verdict.step - begun
        begun = verdict.step
    return max(steps, key=lambda level: (steps[level], level)) if steps else None
