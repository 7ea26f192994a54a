"""The pages that commands leave beside their documents, where plotly is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lrsearch.exceptions import MissingExtraError

if TYPE_CHECKING:
    import optuna
    from plotly.graph_objects import Figure

    from lrsearch.stability import RegimeMap

Note = Callable[[str], None]


def write_page(study: optuna.Study, out: Path, note: Note) -> dict[str, Path]:
    """Write what a study found as a page, ``STUDY.html``.

    Args:
        study: The study.
        out: Folder to write into.
        note: Told where no page could be made.

    Returns:
        The file, by "page"; nothing without plotly.
    """
    from lrsearch.sweeps import file_stem
    from lrsearch.visualization import plot_multipliers

    path = out / f"{file_stem(study.study_name)}.html"
    return _written("page", path, lambda: plot_multipliers(study), note)


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
    from lrsearch.visualization import plot_regimes

    path = document.with_suffix(".html")
    return _written("page", path, lambda: plot_regimes(regimes, metric), note)


def _written(name: str, path: Path, draw: Callable[[], Figure], note: Note) -> dict[str, Path]:
    from lrsearch.visualization import save_figure

    try:
        save_figure(draw(), path)
    except MissingExtraError as error:
        note(str(error))
        return {}
    return {name: path}
