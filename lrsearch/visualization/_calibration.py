"""The calibration of the edge: what its short annealed runs reached at which rate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import optuna

from lrsearch.exceptions import StudyMismatchError
from lrsearch.integrations.optuna import stored_edges
from lrsearch.stability import Edge
from lrsearch.visualization._axes import (
    ends,
    inside,
    linear_axis,
    log_axis,
    number,
    value_axis,
    widened,
)
from lrsearch.visualization._figure import empty_figure, new_figure, plain
from lrsearch.visualization._style import BLACK, BLUE, GREY, ORANGE, VERMILLION, style

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def plot_calibration(study: optuna.Study, key: Any = None) -> Figure:
    """Figure of the loss that short annealed runs reached, against their rate, and of the edge.

    Args:
        study: A study with edges, of `lrsearch.edge` or of a sweep.
        key: Whose edge; all of the study's by default.

    Raises:
        MissingExtraError: If plotly is not installed.
        StudyMismatchError: If the study has no edge of this key.
    """
    title = f"{study.study_name}: calibration of the edge"
    known = stored_edges(study)
    if key is not None:
        wanted = json.loads(json.dumps(key, default=repr, sort_keys=True))
        chosen = [each for each in known if each[1] == wanted]
        if not chosen:
            names = ", ".join(json.dumps(k) for _, k, _ in known) or "none"
            raise StudyMismatchError(
                f"study {study.study_name!r} has no edge with key {key!r}; it has: {names}."
            )
        known = chosen
    if not known:
        return empty_figure(title, "Nothing to draw yet: this study has measured no edge.")
    known = sorted(known, key=lambda each: each[2].learning_rate)
    if len(known) == 1:
        return _one(title, *known[0])
    return _several(title, known)


def _one(title: str, optimizer: str, key: Any, edge: Edge) -> Figure:
    figure = new_figure(title, f"{_name(optimizer, key, edge)}: {_said(edge)}", height=450)
    lines = [
        (edge.learning_rate, f"edge, multiplier 1: {number(edge.learning_rate)}",
         "solid", BLACK, 3),
        (edge.proxy_rate, f"best rate of short runs: {number(edge.proxy_rate or 0)}",
         "dash", VERMILLION, 2),
        (edge.usual_rate, f"usual rate: {number(edge.usual_rate or 0)}", "dot", GREY, 2),
    ]  # fmt: skip
    octaves = 2.0**edge.uncertainty
    doubt = edge.learning_rate / octaves, edge.learning_rate * octaves
    rates = [rate for rate, _ in edge.trace] + [line[0] for line in lines if line[0]]
    across = log_axis([*rates, *doubt])
    values = [loss for _, loss in edge.trace if loss is not None]
    up = value_axis(values) if values else linear_axis([0.0, 1.0])
    low, high = ends(up)
    figure.add_shape(
        type="rect", x0=doubt[0], x1=doubt[1], y0=0, y1=1, xref="x", yref="paper",
        fillcolor="#EBEBEB", line_width=0, layer="below",
    )  # fmt: skip
    _trace(figure, edge, "a short annealed run", BLUE, "circle", "solid", high)
    for rate, name, dash, color, width in lines:
        if rate:
            figure.add_scatter(
                x=[rate, rate], y=[low, high], mode="lines", name=name, hoverinfo="name",
                line={"color": color, "width": width, "dash": dash},
            )  # fmt: skip
    figure.add_scatter(
        x=[None], y=[None], mode="markers", name=f"error to expect: {edge.uncertainty:.2g} octaves",
        marker={"symbol": "square", "size": 13, "color": "#EBEBEB",
                "line": {"color": GREY, "width": 1}},
    )  # fmt: skip
    _axes(figure, across, up, edge.proxy_steps, bool(values))
    return figure


def _several(title: str, known: Sequence[tuple[str, Any, Edge]]) -> Figure:
    spent = sum(edge.cost for _, _, edge in known)
    low, high = known[0][2].learning_rate, known[-1][2].learning_rate
    figure = new_figure(
        title,
        f"{len(known)} edges from {number(low)} to {number(high)}, measured with {spent:.0f} "
        "gradients. Large open marks at the bottom stand at the edges.",
        height=450,
    )
    edges = [edge for _, _, edge in known]
    rates = [rate for edge in edges for rate, _ in edge.trace] + [e.learning_rate for e in edges]
    values = [loss for edge in edges for _, loss in edge.trace if loss is not None]
    across, up = log_axis(rates), value_axis(values) if values else linear_axis([0.0, 1.0])
    up = widened(up, low=0.1)
    bottom, top = inside(up, 0.05), inside(up, 1.0)
    for place, (optimizer, key, edge) in enumerate(known):
        look = style(place)
        name = _name(optimizer, key, edge)
        _trace(figure, edge, name, look.color, look.symbol, look.dash, top, group=str(place))
        figure.add_scatter(
            x=[edge.learning_rate], y=[bottom], mode="markers", showlegend=False,
            legendgroup=str(place),
            hovertext=plain(f"edge {number(edge.learning_rate)}: {_said(edge)}"), hoverinfo="text",
            marker={"symbol": f"{look.symbol}-open", "size": 15, "color": look.color,
                    "line": {"width": 2.5}},
        )  # fmt: skip
    _axes(figure, across, up, max(edge.proxy_steps for edge in edges), bool(values))
    return figure


def _trace(
    figure: Any, edge: Edge, name: str, color: str, symbol: str, dash: str, top: float,
    group: str = "runs",
) -> None:  # fmt: skip
    done = [(rate, loss) for rate, loss in edge.trace if loss is not None]
    lost = [rate for rate, loss in edge.trace if loss is None]
    if done:
        figure.add_scatter(
            x=[rate for rate, _ in done], y=[loss for _, loss in done], mode="lines+markers",
            name=plain(name), legendgroup=group,
            hovertemplate="rate %{x:.4g}: loss %{y:.4g}<extra></extra>",
            line={"color": color, "width": 2, "dash": dash}, marker={"size": 9, "symbol": symbol},
        )  # fmt: skip
    if lost:
        figure.add_scatter(
            x=lost, y=[top] * len(lost), mode="markers", name="diverged", legendgroup=group,
            showlegend=group == "runs", cliponaxis=False,
            hovertemplate="rate %{x:.4g}: diverged<extra></extra>",
            marker={"size": 11, "symbol": "x", "color": ORANGE if group == "runs" else color,
                    "line": {"color": BLACK, "width": 1}},
        )  # fmt: skip


def _axes(
    figure: Any, across: dict[str, Any], up: dict[str, Any], steps: int, measured: bool
) -> None:
    figure.update_xaxes(**across, title_text="learning rate")
    if measured:
        figure.update_yaxes(**up, title_text=f"loss after {steps} annealed steps")
    else:
        figure.update_yaxes(range=up["range"], showticklabels=False, ticks="")
    figure.update_layout(legend={"itemwidth": 40})


def _name(optimizer: str, key: Any, edge: Edge) -> str:
    kind = optimizer or edge.optimizer
    if isinstance(key, list) and len(key) == 2 and isinstance(key[0], str):
        told = f"{key[0]} {key[1]}"
    else:
        told = key if isinstance(key, str) else json.dumps(key)
    return " ".join(word for word in (kind, "" if key is None else told) if word) or "the edge"


def _said(edge: Edge) -> str:
    if not edge.trace:
        return f"{number(edge.learning_rate)}, {edge.method}, not measured"
    rho = "" if edge.rho is None else f", ρ = {edge.rho:.2g} while training at about it"
    return (
        f"{len(edge.trace)} runs of {edge.proxy_steps} steps, {edge.cost:.0f} gradients in all{rho}"
    )
