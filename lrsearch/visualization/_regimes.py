"""A regime map: level and quality against the learning rate, regimes as bands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lrsearch.stability import RegimeMap
from lrsearch.visualization._axes import ends, log_axis, number, value_axis
from lrsearch.visualization._figure import new_figure, plain
from lrsearch.visualization._style import BLACK, BLUE, GREY, VERMILLION

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FILLS = {"1": "#EDF4FB", "2A": "#DDF1E8", "2B": "#F8DFAB", "3": "#EEBFAB"}
SAID = {
    "1": "1: converges within the budget",
    "2A": "2A: does not, but anneals to no worse",
    "2B": "2B: anneals to worse",
    "3": "3: diverges",
}


def plot_regimes(regime_map: RegimeMap, metric: str) -> Figure:
    """Figure of the training loss before annealing, and of the metric before and after it.

    Args:
        regime_map: The map (`lrsearch.sweeps.map_regimes`).
        metric: Name of the metric.

    Raises:
        MissingExtraError: If plotly is not installed.
    """
    found, runs = regime_map, regime_map.runs
    figure = new_figure(
        "Where fixed learning rates lead",
        f"{len(runs)} runs at fixed rates, annealed at the end; best start "
        f"{number(found.best.rate)}, in regime {found.regime(found.best.rate)}.",
        height=430,
        panels={"rows": 1, "cols": 2, "horizontal_spacing": 0.1},
    )
    rates = [run.rate for run in runs]
    across = log_axis([rates[0] / math.sqrt(2), rates[-1] * math.sqrt(2)], room=0.0)
    low, high = ends(across)
    _bands(figure, _edges(found, low, high))
    losses = [(run.rate, run.loss) for run in runs if math.isfinite(run.loss)]
    _line(figure, 1, losses, "training loss before annealing", BLUE, "diamond", "solid")
    before = [(run.rate, run.plain) for run in runs if math.isfinite(run.plain)]
    after = [(run.rate, run.annealed) for run in runs if math.isfinite(run.annealed)]
    _line(figure, 2, before, f"{metric} before annealing", GREY, "circle-open", "dot")
    _line(figure, 2, after, f"{metric} annealed", VERMILLION, "square", "solid")
    for column, pairs, title in (
        (1, losses, "training loss before annealing"),
        (2, before + after, metric),
    ):
        if pairs:
            axis = value_axis([value for _, value in pairs])
            figure.update_yaxes(**axis, title_text=plain(title), row=1, col=column)
        figure.update_xaxes(**across, title_text="learning rate", row=1, col=column)
    for column in (1, 2):
        kept = dict(zip(across["tickvals"], across["ticktext"], strict=True))
        figure.update_xaxes(tickvals=list(kept)[::2], ticktext=list(kept.values())[::2], col=column)
    figure.update_layout(
        legend={"orientation": "h", "x": 0.0, "y": -0.2, "yanchor": "top", "traceorder": "normal"},
        margin={"b": 120},
    )
    return figure


def _edges(found: RegimeMap, low: float, high: float) -> list[tuple[str, float, float]]:
    """Regimes with where they begin and end, those of some width."""
    last = found.divergence.rate if math.isfinite(found.divergence.high) else high
    marks = [low, found.convergence.rate, found.good.rate, last, high]
    pairs = zip(FILLS, marks, marks[1:], strict=False)
    return [(name, left, right) for name, left, right in pairs if right > left]


def _bands(figure: Any, found: list[tuple[str, float, float]]) -> None:
    for name, left, right in found:
        for column in ("", "2"):
            figure.add_shape(
                type="rect", x0=left, x1=right, y0=0, y1=1, xref=f"x{column}",
                yref=f"y{column} domain", fillcolor=FILLS[name], layer="below",
                line={"width": 1, "color": "#999999", "dash": "dot"},
            )  # fmt: skip
            figure.add_annotation(
                text=name, x=(math.log10(left) + math.log10(right)) / 2, xref=f"x{column}",
                y=1.0, yref=f"y{column} domain", yanchor="bottom", showarrow=False,
                font={"size": 12},
            )  # fmt: skip
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=SAID[name], legendrank=1100, row=1, col=1,
            marker={"symbol": "square", "size": 13, "color": FILLS[name],
                    "line": {"color": GREY, "width": 1}},
        )  # fmt: skip


def _line(
    figure: Any, column: int, pairs: list[tuple[float, float]], name: str, color: str, symbol: str,
    dash: str,
) -> None:  # fmt: skip
    figure.add_scatter(
        x=[rate for rate, _ in pairs], y=[value for _, value in pairs], mode="lines+markers",
        name=plain(name), line={"color": color, "width": 2, "dash": dash},
        marker={"size": 8, "symbol": symbol, "line": {"color": BLACK, "width": 0.5}},
        hovertemplate="rate %{x:.4g}: %{y:.4g}<extra></extra>", row=1, col=column,
    )  # fmt: skip
