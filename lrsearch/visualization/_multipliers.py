"""The metric against the edge multiplier or the peak rate: where the good rates lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import optuna

from lrsearch.exceptions import UnsupportedError
from lrsearch.visualization._axes import log_axis, place, value_axis
from lrsearch.visualization._bands import BANDS, Band, bands, draw_bands, level_of
from lrsearch.visualization._figure import FAINT, empty_figure, new_figure, plain
from lrsearch.visualization._shown import Seen, Shown, seen
from lrsearch.visualization._style import BLACK, family_styles

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TITLES = {"multiplier": "edge multiplier (peak rate / edge)", "peak": "peak learning rate"}
# Of the axis: a band that is narrower has no room for its name, or only for a word of it.
NARROW, WIDE = 0.09, 0.16


def plot_multipliers(
    study: optuna.Study,
    *,
    x: Literal["multiplier", "peak"] = "multiplier",
    objective: int | None = None,
) -> Figure:
    """Figure of the metric of every trial against its rate, by schedule family.

    The background tells what training did at these rates: below, at or above the edge of stability
    (normalised sharpness rho), or diverged, by the phases and verdicts of the trials. Trials that
    have no final value stand in rows below, by what ended them.

    Args:
        study: A study whose trials used `ScheduleSpace.suggest`.
        x: "multiplier", in units of the edge, or "peak", the learning rate itself.
        objective: Which one, where the study has several.

    Raises:
        MissingExtraError: If plotly is not installed.
        StudyMismatchError: If the study has several objectives and none is named.
        UnsupportedError: If ``x`` is neither.
    """
    if x not in TITLES:
        raise UnsupportedError(f"x must be 'multiplier' or 'peak', got {x!r}.")
    told = seen(study, objective)
    title = f"{told.name}: {told.metric} by {TITLES[x].partition(' (')[0]}"
    placed = [t for t in told.trials if t.row[x] is not None]
    if not placed:
        began = "no trial has begun" if not told.trials else "no trial has a schedule of lrsearch"
        return empty_figure(title, f"Nothing to draw yet: {began}.")
    done = [t for t in placed if t.value is not None]
    rest = [t for t in placed if t.value is None]
    across = log_axis([t.row[x] for t in placed], binary=x == "multiplier")
    up = value_axis([t.value for t in done if t.value is not None])
    kinds = sorted({t.ended for t in rest})
    figure = _panels(title, _said(told, done, rest), kinds, bool(done))
    found = _bands(placed, x, across)
    _draw_trials(figure, told, done, rest, x)
    draw_bands(figure, found)
    _name_bands(figure, found, across)
    figure.update_xaxes(**across)
    last = "xaxis2" if kinds and done else "xaxis"
    figure.layout[last].title = {"text": TITLES[x]}
    if done:
        figure.update_yaxes(**up, row=1, col=1, title_text=told.axis)
    if kinds:
        row = 2 if done else 1
        figure.update_yaxes(
            type="category",
            categoryorder="array",
            categoryarray=kinds[::-1],
            range=[-0.6, len(kinds) - 0.4],
            row=row,
            col=1,
        )
    return figure


def _panels(title: str, said: str, kinds: Sequence[str], done: bool) -> Any:
    strip = 26 * len(kinds) + 10 if kinds else 0
    main = 380 if done else 0
    panels = None
    rows = [main, strip] if kinds and done else [main or strip]
    panels = {
        "rows": len(rows),
        "cols": 1,
        "shared_xaxes": True,
        "row_heights": rows,
        "vertical_spacing": 10 / max(sum(rows), 11) if len(rows) > 1 else 0.0,
    }
    return new_figure(title, said, height=max(sum(rows), 140) + 130, panels=panels)


def _said(told: Seen, done: Sequence[Shown], rest: Sequence[Shown]) -> str:
    without = len(told.trials) - len(done) - len(rest)
    parts = [f"{len(done)} finished trial{'' if len(done) == 1 else 's'}"]
    if rest:
        parts.append(f"{len(rest)} without a final value, below by what ended them")
    if without:
        parts.append(f"{without} without a schedule are not shown")
    return "; ".join(parts) + "."


def _draw_trials(
    figure: Any, told: Seen, done: Sequence[Shown], rest: Sequence[Shown], x: str
) -> None:
    styles = family_styles(told.families)
    for name, look in styles.items():
        own = [t for t in done if t.row["family"] == name]
        cut = [t for t in rest if t.row["family"] == name]
        shared = {"name": plain(name), "legendgroup": name, "mode": "markers", "hoverinfo": "text"}
        first = True
        for trials, symbol, row in ((own, look.symbol, 1), (cut, f"{look.symbol}-open", 2)):
            if not trials:
                continue
            figure.add_scatter(
                x=[t.row[x] for t in trials],
                y=[t.value if t.value is not None else t.ended for t in trials],
                hovertext=[t.hover(told.metric) for t in trials],
                marker={
                    "color": look.color,
                    "symbol": symbol,
                    "size": 10,
                    "line": {"width": 1.5 if row == 2 else 1, "color": look.color}
                    if row == 2
                    else {"width": 1, "color": "white"},
                },
                showlegend=first,
                row=row if done else 1,
                col=1,
                **shared,
            )
            first = False
    best = next((t for t in done if t.number == told.best), None)
    if best is not None:
        figure.add_scatter(
            x=[best.row[x]],
            y=[best.value],
            mode="markers",
            name=f"recommended: trial {best.number}",
            hoverinfo="skip",
            marker={"symbol": "circle-open", "size": 19, "color": BLACK, "line": {"width": 2}},
            row=1,
            col=1,
        )


def _bands(placed: Sequence[Shown], x: str, across: dict[str, Any]) -> list[Band]:
    known = [(t.row[x], level) for t in placed if (level := level_of(t)) is not None]
    low, high = (10.0**end for end in across["range"])
    return bands([rate for rate, _ in known], [level for _, level in known], low, high)


def _name_bands(figure: Any, found: Sequence[Band], across: dict[str, Any]) -> None:
    low, high = across["range"]
    for band in found:
        left, right = place(band.low, across), place(band.high, across)
        share = (right - left) / (high - low)
        if share < NARROW:
            continue
        name = BANDS[band.level]
        figure.add_annotation(
            text=name if share >= WIDE else name.removesuffix(" the edge"),
            x=(left + right) / 2,
            xref="x",
            y=1.0,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            font={"size": 11, "color": FAINT},
        )
