"""One picture of a sweep: the best schedule, and every trial by its multiplier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lrsearch.schedules import Schedule
from lrsearch.visualization._figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_schedule(schedule: Schedule, axes: Axes) -> None:
    """Draw a schedule's learning rate against the step; dashed, what averaged weights act like."""
    steps = np.arange(schedule.budget + 1)
    axes.plot(steps, [schedule(int(s)) for s in steps], color="C0")
    if schedule.averaging is not None:
        axes.plot(steps[:-1], schedule.effective_values(), "--", color="C0", label="averaged")
        axes.legend()
    shape = ", ".join(
        f"{n} {v if isinstance(v, str) else format(v, '.3g')}"
        for n, v in schedule.parameters.items()
    )
    axes.set(
        title=f"{schedule.family}{': ' + shape if shape else ''}, peak {schedule.peak:.4g}",
        xlabel="optimizer step",
        ylabel="learning rate",
        xlim=(0, schedule.budget),
        ylim=(0, None),
    )


def plot_sweep(board: pd.DataFrame, schedule: Schedule, metric: str) -> Figure:
    """Figure with the best schedule and all trials: metric against edge multiplier, by family.

    Args:
        board: The leaderboard of the study (`lrsearch.sweeps.leaderboard`).
        schedule: Its best schedule.
        metric: Name of the metric.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2)
    plot_schedule(schedule, left)
    done = board[board["state"] == "complete"]
    for i, (family, rows) in enumerate(done.groupby("family")):
        right.plot(rows["multiplier"], rows["metric"], "o", color=f"C{i}", label=str(family))
    stopped = board[(board["state"] == "pruned") & board["multiplier"].notna()]
    for rate in stopped["multiplier"]:
        right.axvline(float(rate), color="0.8", zorder=0)
    if len(stopped):
        right.plot([], [], color="0.8", label=f"stopped ({len(stopped)})")
    if len(done) and (done["metric"].astype(float) > 0).all():
        right.set_yscale("log")
    right.set_xscale("log", base=2)
    right.set(title="trials", xlabel="edge multiplier", ylabel=metric)
    right.legend()
    return figure
