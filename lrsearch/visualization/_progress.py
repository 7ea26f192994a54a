"""What a study has cost so far, what it found for it, and what its stops saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import optuna

from lrsearch.integrations.optuna import plan_of, stored_edges
from lrsearch.sweeps import Saving, savings
from lrsearch.visualization._axes import inside, linear_axis, number, value_axis, widened
from lrsearch.visualization._figure import FAINT, empty_figure, new_figure, plain
from lrsearch.visualization._shown import Seen, Shown, seen
from lrsearch.visualization._style import BLACK, BLUE, SKY, VERMILLION

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Kind of stop: fill, pattern.
FILLS = {
    "diverged": ("#F2A27C", "x"),
    "dead": ("#BDBDBD", "."),
    "far below the edge": ("#9FCBE8", "/"),
    "behind": ("#A9DCC6", "\\"),
    "the study's pruner": ("#DDB4CC", "|"),
}


def plot_progress(study: optuna.Study, *, objective: int | None = None) -> Figure:
    """Figure of the best value so far against the cost, and of what each kind of stop saved.

    Cost is in full runs: everything that was spent, calibrations and watching included, in units of
    one complete training run. Trials that ran side by side are counted one after the other, by
    their ends.

    Args:
        study: A study whose trials used `ScheduleSpace.suggest`.
        objective: Which one, where the study has several.

    Raises:
        MissingExtraError: If plotly is not installed.
        StudyMismatchError: If the study has several objectives and none is named.
    """
    told = seen(study, objective)
    title = f"{told.name}: cost and what it brought"
    begun = [t for t in told.trials if t.row["peak"] is not None]
    if not begun:
        return empty_figure(title, "Nothing to draw yet: no trial with a schedule has begun.")
    saved = savings(study)
    at, edges = _costs(study, begun)
    figure = new_figure(
        title,
        _said(at[-1][0], edges, saved, len(begun)),
        height=430,
        panels={"rows": 1, "cols": 2, "column_widths": [0.66, 0.34], "horizontal_spacing": 0.07},
    )
    _best(figure, told, at)
    _saved(figure, saved)
    figure.update_layout(
        legend={"orientation": "h", "x": 0.0, "y": -0.2, "yanchor": "top", "traceorder": "normal"},
        margin={"b": 95},
    )
    return figure


def _costs(study: optuna.Study, begun: Sequence[Shown]) -> tuple[list[tuple[float, Shown]], float]:
    """Full runs spent when each trial ended, in that order, and those of all calibrations.

    A calibration is paid for before the first trial that ended with its edge; one that no trial has
    used, before all of them.
    """
    used = {trial.row["edge"] for trial in begun}
    left: dict[float | None, float] = {}
    for _, _, edge in stored_edges(study):
        rate = edge.learning_rate if edge.learning_rate in used else None
        left[rate] = left.get(rate, 0.0) + edge.cost
    spent, edges, found = 0.0, 0.0, []
    for trial in sorted(begun, key=_ended):
        plan = plan_of(trial.trial.user_attrs)
        assert plan is not None
        own = (left.pop(plan.edge, 0.0) + left.pop(None, 0.0)) / plan.budget
        edges += own
        spent += own + trial.row["cost"]
        found.append((spent, trial))
    return found, edges


def _ended(trial: Shown) -> tuple[float, int]:
    at = trial.trial.datetime_complete
    return (float("inf") if at is None else at.timestamp(), trial.number)


def _said(spent: float, edges: float, saved: Sequence[Saving], trials: int) -> str:
    whole = spent + sum(s.saved for s in saved)
    text = f"{_trials(trials)} cost {spent:.1f} full runs, {edges:.1f} of them for the edge"
    if not saved:
        return f"{text}; nothing was stopped."
    return f"{text}; without stops they would have cost {whole:.1f}."


def _best(figure: Any, told: Seen, at: Sequence[tuple[float, Shown]]) -> None:
    done = [(cost, t) for cost, t in at if t.value is not None]
    values = [t.value for _, t in done if t.value is not None]
    cut = [(cost, t) for cost, t in at if t.value is None]
    up = value_axis(values) if values else linear_axis([0.0, 1.0])
    if cut:  # a row for them at the worse end
        up = widened(up, **{"low" if told.maximize else "high": 0.06})
    better = max if told.maximize else min
    best: list[tuple[float, float]] = []
    for cost, trial in done:
        assert trial.value is not None
        best.append((cost, better([trial.value] + [v for _, v in best[-1:]])))
    if best:
        end = at[-1][0]
        figure.add_scatter(
            x=[cost for cost, _ in best] + [end], y=[v for _, v in best] + [best[-1][1]],
            mode="lines", name="best so far", line={"color": BLUE, "width": 3, "shape": "hv"},
            row=1, col=1, hovertemplate="%{x:.2f} full runs: %{y:.4g}<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=[cost for cost, _ in done], y=values, mode="markers", name="finished trial",
            marker={"size": 9, "color": SKY, "line": {"color": BLACK, "width": 1}},
            hovertext=[t.hover(told.metric) for _, t in done], hoverinfo="text", row=1, col=1,
        )  # fmt: skip
    if cut:
        level = inside(up, 0.03 if told.maximize else 0.97)
        figure.add_scatter(
            x=[cost for cost, _ in cut], y=[level] * len(cut), mode="markers",
            name="trial without a final value", hovertext=[t.hover(told.metric) for _, t in cut],
            hoverinfo="text", row=1, col=1,
            marker={"size": 10, "symbol": "x-thin", "color": VERMILLION,
                    "line": {"color": VERMILLION, "width": 2.5}},
        )  # fmt: skip
    figure.update_yaxes(**up, title_text=told.axis, row=1, col=1)
    figure.update_xaxes(
        title_text="cost so far [full runs]", rangemode="tozero",
        range=[0, 1.04 * at[-1][0]], row=1, col=1,
    )  # fmt: skip


def _saved(figure: Any, saved: Sequence[Saving]) -> None:
    figure.update_yaxes(showticklabels=False, ticks="", showgrid=False, row=1, col=2)
    figure.update_xaxes(title_text="saved by stops [full runs]", rangemode="tozero", row=1, col=2)
    if not saved:
        figure.update_xaxes(range=[0, 1], row=1, col=2)
        figure.add_annotation(
            text="nothing was stopped", x=0.5, y=0.5, xref="x2 domain", yref="y2 domain",
            showarrow=False, font={"color": FAINT},
        )  # fmt: skip
        return
    for level, each in enumerate(saved):
        fill, pattern = FILLS.get(each.kind, ("#FFFFFF", "+"))
        figure.add_bar(
            x=[each.saved], y=[-level], orientation="h", width=0.42, name=plain(each.kind),
            showlegend=False, hoverinfo="text",
            hovertext=plain(f"{each.kind}: {each.trials} stopped after {each.spent:.2f} full runs "
                            f"in all, {each.saved:.2f} saved"),
            marker={
                "color": fill, "line": {"color": "#444444", "width": 1},
                "pattern": {"shape": pattern, "fgcolor": "#444444", "size": 7, "solidity": 0.15},
            },
            row=1, col=2,
        )  # fmt: skip
        figure.add_annotation(
            text=plain(f"{each.kind}: {number(round(each.saved, 2))} ({_trials(each.trials)})"),
            x=0, xref="x2", xanchor="left", y=-level + 0.24, yref="y2", yanchor="bottom",
            showarrow=False, font={"size": 12},
        )  # fmt: skip
    figure.update_yaxes(range=[-max(len(saved), 4) + 0.4, 0.7], row=1, col=2)
    figure.update_xaxes(range=[0, 1.05 * max(max(s.saved for s in saved), 0.1)], row=1, col=2)


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"
