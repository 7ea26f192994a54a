"""One trial's story: what its signals said, what it was doing when, and why it ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import optuna

from lrsearch.exceptions import StudyMismatchError
from lrsearch.integrations.optuna import plan_of, verdict_of
from lrsearch.stability import AT_EDGE, Reading
from lrsearch.sweeps import story
from lrsearch.visualization._axes import linear_axis, log_axis, value_axis
from lrsearch.visualization._figure import FAINT, empty_figure, new_figure, plain
from lrsearch.visualization._phase_strip import draw_phases
from lrsearch.visualization._shown import metric_of, seen
from lrsearch.visualization._style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PHASES, LOSS, RATE, RHO, GRADIENT = 1, 2, 3, 4, 5  # rows
HEIGHTS = [26, 200, 120, 170, 120]  # pixels
GAP = 34

Signal = Callable[[Reading], float | None]


def plot_trial(study: optuna.Study, number: int | None = None) -> Figure:
    """Figure of one trial over its steps: loss, rate, normalised sharpness, gradient norm.

    The sharpness is ``rho = learning rate * sharpness / threshold of the optimizer``, 1 at the edge
    of stability; the strip on top tells what the run was doing (`lrsearch.stability.phases`).

    Args:
        study: The study.
        number: Of the trial; the recommended one by default.

    Raises:
        MissingExtraError: If plotly is not installed.
        StudyMismatchError: If there is no such trial, or none is named in a study of several
            objectives.
    """
    if number is None:
        if len(study.directions) > 1:
            raise StudyMismatchError(
                f"study {study.study_name!r} has {len(study.directions)} objectives and no single "
                "best trial: name one, such as plot_trial(study, 0)."
            )
        number = seen(study).best
        if number is None:
            return empty_figure(
                f"{study.study_name}: one trial",
                "No trial has finished yet: name one, such as plot_trial(study, 0).",
            )
    told = story(study, number)
    trial = next(t for t in study.get_trials(deepcopy=False) if t.number == number)
    readings = [Reading.from_dict(plain_) for plain_ in told["readings"]]
    row, verdict = told["row"], verdict_of(trial.user_attrs)
    value = "" if row["metric"] is None else f", {metric_of(study)} {row['metric']:.4g}"
    figure = new_figure(
        f"{study.study_name}: trial {number}, {row['state']}{value}",
        f"{_planned(row)}\n{row['steps']} steps, {row['cost']:.2f} full runs; {row['reason']}",
        room=28,
        height=sum(HEIGHTS) + 4 * GAP + 120,
        panels={
            "rows": 5,
            "cols": 1,
            "shared_xaxes": True,
            "row_heights": HEIGHTS,
            "vertical_spacing": GAP / (sum(HEIGHTS) + 4 * GAP),
        },
    )
    plan = plan_of(trial.user_attrs)
    end = max([r.step for r in readings] + ([plan.budget] if plan else []), default=1)
    draw_phases(figure, told["phases"], max((r.step for r in readings), default=0))
    _losses(figure, readings)
    _rates(figure, readings, trial)
    _sharpness(figure, readings)
    _gradients(figure, readings)
    if verdict is not None:
        _mark(figure, verdict.step, f"stopped: {verdict.regime}", end)
    figure.update_xaxes(range=[-0.015 * end, 1.015 * end])
    figure.update_xaxes(title_text="optimizer step", row=GRADIENT)
    for key, at in _legends(figure).items():
        figure.update_layout({key: {"y": at, "yanchor": "top", "x": 1.01, "xanchor": "left"}})
    if not told["phases"]:
        _nothing(figure, PHASES, "the readings are too few to say what it was doing")
    return figure


def _planned(row: dict[str, Any]) -> str:
    if row["peak"] is None:
        return "no schedule of lrsearch"
    shape = f" ({row['shape']})" if row["shape"] else ""
    return (
        f"{row['family']}{shape}, peak learning rate {row['peak']:.4g} = {row['multiplier']:.3g} x "
        f"alignment {row['alignment']:.3g} x edge {row['edge']:.4g}"
    )


def _line(
    figure: Any, row: int, readings: Sequence[Reading], of: Signal, name: str, **look: Any
) -> list[float]:
    """Draw a signal where it is known; the values drawn."""
    pairs = [(r.step, v) for r in readings if (v := of(r)) is not None and math.isfinite(v)]
    if pairs:
        figure.add_scatter(
            x=[step for step, _ in pairs],
            y=[value for _, value in pairs],
            name=name,
            row=row,
            col=1,
            legend=f"legend{row}",
            **{"mode": "lines+markers", "marker": {"size": 5}} | look,
        )
    return [value for _, value in pairs]


def _losses(figure: Any, readings: Sequence[Reading]) -> None:
    values = _line(figure, LOSS, readings, lambda r: r.loss, "training loss",
                   line={"color": BLUE, "width": 2})  # fmt: skip
    values += _line(
        figure, LOSS, readings, lambda r: r.annealed_loss, "of averaged weights,<br>on one batch",
        line={"color": VERMILLION, "width": 1.5, "dash": "dash"},
        marker={"size": 5, "symbol": "square"},
    )  # fmt: skip
    values += _line(
        figure, LOSS, readings, lambda r: r.annealed_validation,
        "of averaged weights,<br>validation", mode="markers",
        marker={"color": BLACK, "symbol": "star-diamond-open", "size": 11},
    )  # fmt: skip
    start = next((r.initial_loss for r in readings if r.initial_loss is not None), None)
    if start is not None and readings:
        figure.add_scatter(
            x=[0, readings[-1].step], y=[start, start], mode="lines", name="at the start",
            line={"color": GREY, "width": 1, "dash": "dot"},
            row=LOSS, col=1, legend=f"legend{LOSS}",
        )  # fmt: skip
        values.append(start)
    if not values:
        _nothing(figure, LOSS, "no readings: watch the run with lrsearch.watch(..., host=trial)")
    axis = value_axis(values) if values else linear_axis([0.0, 1.0])
    figure.update_yaxes(**axis, title_text="loss", row=LOSS)


def _rates(figure: Any, readings: Sequence[Reading], trial: Any) -> None:
    plan = plan_of(trial.user_attrs)
    tuned = any(r.tuned for r in readings)
    if plan is not None and not tuned:
        schedule = plan.schedule()
        if not schedule.tuned:
            steps = sorted({round(i * plan.budget / 400) for i in range(401)})
            figure.add_scatter(
                x=steps, y=[schedule(step) for step in steps], mode="lines", name="planned",
                line={"color": GREY, "width": 2}, row=RATE, col=1, legend=f"legend{RATE}",
            )  # fmt: skip
    _line(
        figure, RATE, readings, lambda r: r.learning_rate, "set by the tuner" if tuned else "read",
        mode="lines+markers" if tuned else "markers", line={"color": GREEN, "width": 2},
        marker={"color": GREEN, "symbol": "diamond", "size": 6},
    )  # fmt: skip
    figure.update_yaxes(title_text="learning rate", rangemode="tozero", nticks=5, row=RATE)


def _sharpness(figure: Any, readings: Sequence[Reading]) -> None:
    low, high = AT_EDGE
    positive = [v for r in readings for v in (r.rho, r.rho_top) if v is not None and v > 0]
    axis = log_axis([*positive, 0.5 * low, 1.5 * high], most=6)
    figure.update_yaxes(**axis, title_text="ρ", row=RHO)
    figure.add_shape(
        type="rect", x0=0, x1=1, y0=low, y1=high, xref="x domain", fillcolor="#DDF1E8",
        line_width=0, layer="below", row=RHO, col=1,
    )  # fmt: skip
    figure.add_shape(
        type="line", x0=0, x1=1, y0=1, y1=1, xref="x domain",
        line={"color": BLACK, "width": 1.2, "dash": "dash"}, row=RHO, col=1,
    )  # fmt: skip
    below = sum(r.rho is not None and r.rho <= 0 for r in readings)
    note = f"<br>({below} not positive, not shown)" if below else ""
    _line(
        figure, RHO, readings, lambda r: r.rho if r.rho and r.rho > 0 else None,
        f"rate x sharpness / threshold{note}", line={"color": PURPLE, "width": 2},
        marker={"size": 6, "symbol": "triangle-up"},
    )  # fmt: skip
    _line(
        figure, RHO, readings, lambda r: r.rho_top if r.rho_top and r.rho_top > 0 else None,
        "the same with the<br>largest eigenvalue",
        line={"color": BLUE, "width": 1.5, "dash": "dot"},
        marker={"size": 7, "symbol": "circle-open"},
    )  # fmt: skip
    limit = {"mode": "lines", "line": {"color": BLACK, "width": 1.2, "dash": "dash"}}
    border = {"color": GREY, "width": 1}
    square = {"symbol": "square", "size": 12, "color": "#DDF1E8", "line": border}
    for name, look in (
        ("threshold, ρ = 1", limit),
        (f"at the edge, {low:g} to {high:g}", {"mode": "markers", "marker": square}),
    ):
        shared = {"name": name, "row": RHO, "col": 1, "legend": f"legend{RHO}"}
        figure.add_scatter(x=[None], y=[None], **shared, **look)
    if not positive:
        _nothing(figure, RHO, "the sharpness was not measured")


def _gradients(figure: Any, readings: Sequence[Reading]) -> None:
    values = _line(
        figure, GRADIENT, readings, lambda r: r.gradient_norm, "gradient norm",
        line={"color": VERMILLION, "width": 2}, marker={"size": 6, "symbol": "diamond"},
    )  # fmt: skip
    values += _line(
        figure, GRADIENT, readings, lambda r: r.update_norm, "update norm",
        line={"color": BLUE, "width": 1.5, "dash": "dash"}, marker={"size": 5, "symbol": "square"},
    )  # fmt: skip
    axis = log_axis(values, most=5) if values and min(values) > 0 else linear_axis(values)
    figure.update_yaxes(**axis, title_text="norm", row=GRADIENT)


def _mark(figure: Any, step: int, text: str, end: int) -> None:
    """A line through all panels where a trial was stopped."""
    figure.add_shape(
        type="line", x0=step, x1=step, y0=0, y1=1, xref="x", yref="paper",
        line={"color": BLACK, "width": 1.5, "dash": "dashdot"},
    )  # fmt: skip
    late = step > 0.6 * end
    figure.add_annotation(
        text=plain(text), x=step, xref="x", y=1.0, yref="y2 domain", yanchor="top",
        xanchor="right" if late else "left", xshift=-4 if late else 4, showarrow=False,
        font={"color": BLACK, "size": 12}, bgcolor="rgba(255, 255, 255, 0.8)",
    )  # fmt: skip


def _nothing(figure: Any, row: int, sentence: str) -> None:
    panel = "y" if row == PHASES else f"y{row}"
    figure.add_annotation(
        text=plain(sentence), x=0.5, y=0.5, xref="x domain", yref=f"{panel} domain",
        showarrow=False, font={"color": FAINT},
    )  # fmt: skip


def _legends(figure: Any) -> dict[str, float]:
    """Where the legend of each panel begins: at its panel's top."""
    used = {trace.legend for trace in figure.data if trace.legend}
    return {
        name: figure.layout[f"yaxis{row}"].domain[1]
        for row in range(LOSS, GRADIENT + 1)
        if (name := f"legend{row}") in used
    }
