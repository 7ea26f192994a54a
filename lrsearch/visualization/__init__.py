"""Figures of schedules and sweeps; needs matplotlib (`pip install 'lrsearch[viz]'`)."""

from lrsearch.visualization._figure import save_figure as save_figure
from lrsearch.visualization._regimes import plot_regimes as plot_regimes
from lrsearch.visualization._sweep import plot_schedule as plot_schedule
from lrsearch.visualization._sweep import plot_sweep as plot_sweep

__all__ = ["plot_regimes", "plot_schedule", "plot_sweep", "save_figure"]
