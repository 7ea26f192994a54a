"""What averaged weights promised on the way, against what came out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import optuna
from scipy.stats import spearmanr

from lrsearch.stability import LOOKS, Reading
from lrsearch.visualization._axes import value_axis
from lrsearch.visualization._figure import empty_figure, new_figure, plain
from lrsearch.visualization._shown import Seen, Shown, seen
from lrsearch.visualization._style import BLACK, family_styles

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FEWEST = 4  # trials before a rank correlation is said
NEAR = 0.5  # of a look's place in the run: a reading further away does not stand for it


def plot_forecasts(study: optuna.Study, *, objective: int | None = None) -> Figure:
    """Figure of the final value of every trial against the loss of its averaged weights on the way.

    Averaged weights tell what a run would give if it were annealed now. A panel for 5, 10, 20 and
    40 % of the budget, with the rank correlation of both (1: the order was known by then). The loss
    is the validation loss where the watch was given one (``validation_loss=``), else that on one
    training batch, which is noisy.

    Args:
        study: A study whose trials were watched.
        objective: Which one, where the study has several.

    Raises:
        MissingExtraError: If plotly is not installed.
        StudyMismatchError: If the study has several objectives and none is named.
    """
    told = seen(study, objective)
    title = f"{told.name}: averaged weights on the way, and the end"
    done = told.finished
    if not done:
        return empty_figure(title, "Nothing to draw yet: no trial has finished.")
    validated, found = _looks(done)
    if not any(found.values()):
        return empty_figure(
            title,
            "Nothing to draw: no finished trial was watched while its weights were averaged. Give "
            "the watch a budget, and validation_loss= for forecasts that the pruner can use.",
        )
    shares = [share for share in LOOKS if found[share]]
    kind = "validation loss" if validated else "loss on one training batch"
    figure = new_figure(
        title,
        f"{kind[0].upper()}{kind[1:]} of the averaged weights at a share of the budget, against "
        f"the final {told.metric}. Rank correlation 1: the order of the trials was known by then.",
        height=400,
        room=36,
        panels={
            "rows": 1,
            "cols": len(shares),
            "shared_yaxes": True,
            "horizontal_spacing": 0.02,
            "subplot_titles": [_heading(share, found[share], told) for share in shares],
        },
    )
    for column, share in enumerate(shares, 1):
        _draw(figure, column, found[share], told, first=column == 1)
    figure.update_annotations(font_size=13)
    ends = [t.value for share in shares for t, _ in found[share] if t.value is not None]
    figure.update_yaxes(**value_axis(ends))
    figure.update_yaxes(title_text=plain(f"final {told.metric}"), col=1)
    figure.add_annotation(
        text=plain(f"{kind} of averaged weights"), x=0.5, xref="paper", y=0, yref="paper",
        yshift=-34, yanchor="top", showarrow=False, font={"size": 14},
    )  # fmt: skip
    figure.update_layout(
        legend={"orientation": "h", "x": 0.0, "y": -0.22, "yanchor": "top"}, margin={"b": 100}
    )
    return figure


def _looks(
    done: Sequence[Shown],
) -> tuple[bool, dict[float, list[tuple[Shown, float]]]]:
    """Whether there are validation losses, and by share of the budget every trial with its loss."""
    readings = {t.number: t.readings for t in done}
    validated = any(r.annealed_validation is not None for rs in readings.values() for r in rs)
    found: dict[float, list[tuple[Shown, float]]] = {share: [] for share in LOOKS}
    for share in LOOKS:
        for trial in done:
            loss = _loss(readings[trial.number], share, validated)
            if loss is not None and math.isfinite(loss):
                found[share].append((trial, loss))
    return validated, found


def _loss(readings: Sequence[Reading], share: float, validated: bool) -> float | None:
    """A trial's averaged loss at a look: that look's, or of the nearest reading."""
    near: list[tuple[float, float]] = []
    for r in readings:
        loss = r.annealed_validation if validated else r.annealed_loss
        if loss is not None and r.progress is not None:
            off = abs(r.progress - share)
            near.append((off, loss))
    if not near:
        return None
    off, loss = min(near)
    return loss if off <= NEAR * share else None


def _heading(share: float, pairs: Sequence[tuple[Shown, float]], told: Seen) -> str:
    text = f"<b>{share:.0%}</b> of the budget<br>"
    if len(pairs) < FEWEST:
        return f"{text}too few trials to rank ({len(pairs)})"
    sign = -1.0 if told.maximize else 1.0
    looks, ends = [loss for _, loss in pairs], [sign * (t.value or 0.0) for t, _ in pairs]
    if len(set(looks)) == 1 or len(set(ends)) == 1:
        return f"{text}all the same: no ranks"
    return f"{text}rank correlation {float(spearmanr(looks, ends).statistic):.2f}"


def _draw(
    figure: Any, column: int, pairs: Sequence[tuple[Shown, float]], told: Seen, *, first: bool
) -> None:
    for name, look in family_styles(told.families).items():
        own = [(t, loss) for t, loss in pairs if t.row["family"] == name]
        if not own:
            continue
        figure.add_scatter(
            x=[loss for _, loss in own], y=[t.value for t, _ in own], mode="markers",
            name=plain(name), legendgroup=name,
            showlegend=not any(trace.legendgroup == name for trace in figure.data),
            hovertext=[f"{t.hover(told.metric)}<br>averaged then: {loss:.4g}" for t, loss in own],
            hoverinfo="text",
            marker={"size": 9, "color": look.color, "symbol": look.symbol,
                    "line": {"width": 1, "color": "white"}},
            row=1, col=column,
        )  # fmt: skip
    best = [(t, loss) for t, loss in pairs if t.number == told.best]
    if best:
        figure.add_scatter(
            x=[best[0][1]], y=[best[0][0].value], mode="markers", hoverinfo="skip",
            name=f"recommended: trial {told.best}", legendgroup="best", showlegend=first,
            marker={"symbol": "circle-open", "size": 17, "color": BLACK, "line": {"width": 2}},
            row=1, col=column,
        )  # fmt: skip
    axis = value_axis([loss for _, loss in pairs])
    if "tickvals" in axis:
        keep = max(1, math.ceil(len(axis["tickvals"]) / 4))
        axis |= {"tickvals": axis["tickvals"][::keep], "ticktext": axis["ticktext"][::keep]}
    else:
        axis["nticks"] = 4
    figure.update_xaxes(**axis, row=1, col=column)
