"""Tune's check that every result holds the metric, switched off where readings travel alone."""

from __future__ import annotations

import os


def accept_results_without_metric() -> None:
    """Let Tune take results without the metric, unless the user has said otherwise.

    A reading becomes a result of its own, and the metric is only known at the end. With its check
    Tune ends the whole experiment at the first such result.
    """
    os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
