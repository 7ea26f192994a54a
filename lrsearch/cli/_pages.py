"""The pages that commands leave beside their documents, where plotly is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lrsearch.exceptions import MissingExtraError

if TYPE_CHECKING:
    import optuna

    from lrsearch.stability import RegimeMap

Note = Callable[[str], None]


def write_report(study: optuna.Study, out: Path, storage: str, note: Note) -> dict[str, Path]:
    """Write a study's report, ``STUDY.html``; without plotly it has no figures.

    Args:
        study: The study.
        out: Folder to write into.
        storage: URL of its storage.
        note: Told where it has no figures.

    Returns:
        The file, by "report".
    """
    from lrsearch.sweeps import file_stem
    from lrsearch.visualization import report

    try:
        import plotly  # noqa: F401
    except ImportError:
        note("the report has no figures, which need plotly: pip install 'lrsearch[viz]'.")
    path = out / f"{file_stem(study.study_name)}.html"
    return {"report": report(study, path, storage=storage)}


def write_map(regimes: RegimeMap, metric: str, document: Path, note: Note) -> dict[str, Path]:
    """Write a regime map as a page beside its document.

    Args:
        regimes: The map.
        metric: Name of its metric.
        document: Where its document is.
        note: Told where no page could be made.

    Returns:
        The file, by "page"; nothing without plotly.
    """
    from lrsearch.visualization import plot_regimes, save_figure

    path = document.with_suffix(".html")
    try:
        save_figure(plot_regimes(regimes, metric), path)
    except MissingExtraError as error:
        note(str(error))
        return {}
    return {"page": path}
