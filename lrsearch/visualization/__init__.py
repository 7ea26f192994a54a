"""Figures and reports of studies; figures are plotly's: `pip install 'lrsearch[viz]'`."""

from lrsearch.visualization._calibration import plot_calibration as plot_calibration
from lrsearch.visualization._figure import save_figure as save_figure
from lrsearch.visualization._forecasts import plot_forecasts as plot_forecasts
from lrsearch.visualization._multipliers import plot_multipliers as plot_multipliers
from lrsearch.visualization._progress import plot_progress as plot_progress
from lrsearch.visualization._regimes import plot_regimes as plot_regimes
from lrsearch.visualization._report import report as report
from lrsearch.visualization._schedules import plot_schedules as plot_schedules
from lrsearch.visualization._trial import plot_trial as plot_trial

__all__ = [
    "plot_calibration",
    "plot_forecasts",
    "plot_multipliers",
    "plot_progress",
    "plot_regimes",
    "plot_schedules",
    "plot_trial",
    "report",
    "save_figure",
]
