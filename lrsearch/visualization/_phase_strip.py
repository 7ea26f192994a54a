"""A strip of what a run was doing when, by colour and pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lrsearch.visualization._figure import plain

# Regime: fill, pattern.
LOOKS = {
    "warming": ("#F6E9C9", "."),
    "below the edge": ("#CFE3F4", ""),
    "progressive sharpening": ("#9FCBE8", "/"),
    "at the edge": ("#A9DCC6", ""),
    "above the edge": ("#F3C46B", "\\"),
    "chaotic": ("#E88F5A", "x"),
    "short-sighted spiral": ("#DDB4CC", "|"),
    "plateau": ("#D9D9D9", "-"),
    "annealing": ("#EDEDED", "/"),
}
OTHER = ("#FFFFFF", "+")


def draw_phases(figure: Any, said: Sequence[Mapping[str, Any]], last: int) -> None:
    """Draw phases (as `lrsearch.sweeps.story` has them) into the first panel of a figure.

    Args:
        figure: The figure.
        said: The phases.
        last: The step of the last reading, to which the last one holds.
    """
    begun = 0
    named: set[str] = set()
    for place, phase in enumerate(said):
        end = last if place + 1 == len(said) else phase["step"]
        regime = phase["regime"]
        fill, pattern = LOOKS.get(regime, OTHER)
        figure.add_bar(
            x=[end - begun],
            base=[begun],
            y=[""],
            orientation="h",
            width=1.0,
            name=regime,
            legend="legend",
            legendgroup=regime,
            showlegend=regime not in named,
            marker={
                "color": fill,
                "line": {"color": "#666666", "width": 1},
                "pattern": {"shape": pattern, "fgcolor": "#666666", "size": 6, "solidity": 0.18},
            },
            hovertext=plain(phase["reason"]),
            hoverinfo="text",
            row=1,
            col=1,
        )
        begun, named = end, named | {regime}
    figure.update_layout(
        barmode="overlay",
        legend={
            "orientation": "h",
            "x": 0.0,
            "xanchor": "left",
            "y": 1.0,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
    )
    figure.update_yaxes(showticklabels=False, ticks="", showgrid=False, showline=False, row=1)
    figure.update_xaxes(showgrid=False, showline=False, ticks="", row=1)
