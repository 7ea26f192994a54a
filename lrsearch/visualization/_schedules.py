"""The schedules of the leaders: what the good trials did with the learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import optuna

from lrsearch.exceptions import StudyMismatchError, UnsupportedError
from lrsearch.integrations.optuna import best_schedule
from lrsearch.schedules import Schedule
from lrsearch.visualization._axes import number
from lrsearch.visualization._figure import empty_figure, new_figure
from lrsearch.visualization._shown import Shown, seen
from lrsearch.visualization._style import style

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

POINTS = 600  # of a drawn schedule, corners included


def plot_schedules(study: optuna.Study, *, count: int = 5, objective: int | None = None) -> Figure:
    """Figure of the learning rate against the step in the best trials, the recommended one thick.

    Where a tuner set the rate it is what the tuner did, smoothed. Dotted, where the recommended
    trial averages its weights: the rate that a plain run would have to follow to end there.

    Args:
        study: A study whose trials used `ScheduleSpace.suggest`.
        count: Trials to show; the recommended one and the next best.
        objective: Which one, where the study has several.

    Raises:
        MissingExtraError: If plotly is not installed.
        StudyMismatchError: If the study has several objectives and none is named.
        UnsupportedError: If ``count`` is below 1.
    """
    if count < 1:
        raise UnsupportedError(f"count must be at least 1, got {count!r}.")
    told = seen(study, objective)
    title = f"{told.name}: schedules of the best trials"
    finished = [t for t in told.finished if t.row["family"] is not None]
    leaders = [t for t in finished if t.number == told.best]
    leaders = (leaders + [t for t in finished if t not in leaders])[:count]
    drawn = [(t, s) for t in leaders if (s := _schedule(study, t)) is not None]
    if not drawn:
        return empty_figure(title, "Nothing to draw yet: no trial with a schedule has finished.")
    said = (
        f"{_trials(len(drawn))} of {len(finished)} finished; by {told.metric}, "
        f"{'larger' if told.maximize else 'smaller'} is better."
    )
    if len(drawn) < len(leaders):
        said += " Tuners with too few readings to tell what they did are left out."
    figure = new_figure(title, said, height=470)
    for place, (trial, schedule) in list(enumerate(drawn))[::-1]:  # the first one on top
        _draw(figure, trial, schedule, place, trial.number == told.best)
    averaged = drawn[0][1]
    if averaged.averaging is not None and drawn[0][0].number == told.best:
        steps = _steps(averaged)[:-1]
        figure.add_scatter(
            x=steps,
            y=averaged.effective_values()[steps],
            mode="lines",
            name="the same run's averaged<br>weights act like this",
            line={"color": style(0).color, "width": 2, "dash": "dot"},
            legendrank=1,
        )
    figure.update_xaxes(title_text="optimizer step", rangemode="tozero")
    figure.update_yaxes(title_text="learning rate", rangemode="tozero")
    figure.update_layout(legend={"traceorder": "normal", "itemwidth": 45}, hovermode="closest")
    return figure


def _draw(figure: Any, trial: Shown, schedule: Schedule, place: int, recommended: bool) -> None:
    look, steps = style(place), _steps(schedule)
    told = "recommended: " if recommended else ""
    name = f"{told}trial {trial.number}, {trial.row['family']}<br>{number(trial.value or 0.0)}, "
    figure.add_scatter(
        x=steps,
        y=schedule.at(steps.astype(float)),
        mode="lines",
        name=f"{name}peak {number(schedule.peak)}",
        line={"color": look.color, "width": 4.5 if recommended else 1.8, "dash": look.dash},
        hovertext=trial.hover("value"),
        hoverinfo="x+y+text",
        legendrank=2 * place,
    )


def _schedule(study: optuna.Study, shown: Shown) -> Schedule | None:
    try:
        return best_schedule(study, shown.trial)
    except StudyMismatchError:  # a tuner's, with too few readings
        return None


def _steps(schedule: Schedule) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Steps to draw a schedule at: evenly, and on both sides of what happens in between."""
    budget = schedule.budget
    even = np.linspace(0, budget, min(budget, POINTS) + 1).round().astype(np.int64)
    if budget <= POINTS:
        return even
    corners = [schedule.warmup_steps, schedule.stable_steps]
    near = np.array([at + off for at in corners for off in (-1, 0, 1)], dtype=np.int64)
    return np.unique(np.append(even, near[(near >= 0) & (near <= budget)]))


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"
