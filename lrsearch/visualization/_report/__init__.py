"""The report of a study: one HTML page that needs nothing else."""

from lrsearch.visualization._report._page import page as page
from lrsearch.visualization._report._page import report as report

__all__ = ["page", "report"]
