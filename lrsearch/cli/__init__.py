"""The command line: parsing and printing only."""

from lrsearch.cli._app import app, main
from lrsearch.cli._regimes import regimes
from lrsearch.cli._report import report
from lrsearch.cli._schedules import export, families
from lrsearch.cli._show import show
from lrsearch.cli._solution import solution
from lrsearch.cli._sweeps import edge, sweep

__all__ = [
    "app",
    "edge",
    "export",
    "families",
    "main",
    "regimes",
    "report",
    "show",
    "solution",
    "sweep",
]
