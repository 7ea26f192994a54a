"""What every figure begins and ends with: plotly, its look, text that is safe, a file."""

from __future__ import annotations

import html
import importlib.util
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrsearch.exceptions import MissingExtraError, UnsupportedError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FONT = "Helvetica Neue, Helvetica, Arial, sans-serif"
INK, FAINT = "#222222", "#666666"
WIDTH = 105  # characters of a line under a title, at the narrowest width that a figure is read at


def graph_objects() -> Any:
    """Plotly's graph objects.

    Raises:
        MissingExtraError: If plotly is not installed.
    """
    try:
        from plotly import graph_objects as found
    except ImportError as error:
        raise MissingExtraError("a figure needs plotly: pip install 'lrsearch[viz]'.") from error
    return found


def new_figure(
    title: str,
    said: str = "",
    *,
    height: int,
    room: int = 0,
    panels: dict[str, Any] | None = None,
) -> Any:
    """An empty figure in our look.

    Args:
        title: What it shows.
        said: A sentence or two under the title; broken into lines.
        height: Of the figure [pixels] without those lines; its width is the reader's.
        room: Above the panels, for what stands there [pixels].
        panels: What `plotly.subplots.make_subplots` is told, for several panels.

    Raises:
        MissingExtraError: If plotly is not installed.
    """
    go = graph_objects()
    if panels is None:
        figure = go.Figure()
    else:
        from plotly.subplots import make_subplots

        figure = make_subplots(**panels)
    lines = [line for part in said.split("\n") for line in textwrap.wrap(part, WIDTH)]
    small = "".join(
        f'<br><span style="font-size:13px;color:{FAINT}">{plain(line)}</span>' for line in lines
    )
    top = 50 + 18 * len(lines) + room
    figure.update_layout(
        template="plotly_white",
        height=height + 18 * len(lines) + room,
        font={"family": FONT, "size": 13, "color": INK},
        title={
            "text": plain(title) + small,
            "font": {"size": 17},
            "x": 0.0,
            "xref": "paper",
            "y": 1.0,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 14},
        },
        margin={"l": 70, "r": 20, "t": top, "b": 60},
        hoverlabel={"align": "left", "font": {"family": FONT}},
        legend={"groupclick": "toggleitem", "tracegroupgap": 5},
        barcornerradius=2,
    )
    look = {
        "showline": True,
        "linecolor": "#888888",
        "ticks": "outside",
        "tickcolor": "#888888",
        "gridcolor": "rgba(0, 0, 0, 0.09)",
        "zeroline": False,
        "title_standoff": 8,
    }
    figure.update_xaxes(**look)
    figure.update_yaxes(**look)
    return figure


def empty_figure(title: str, sentence: str) -> Figure:
    """A figure that says why there is nothing to draw.

    Raises:
        MissingExtraError: If plotly is not installed.
    """
    figure = new_figure(title, height=260)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(
        text="<br>".join(map(plain, textwrap.wrap(sentence, 80))),
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"size": 14, "color": FAINT},
    )
    return figure


def plain(text: object) -> str:
    """Text that plotly shows as it is: names and errors are no markup."""
    return html.escape(str(text), quote=False)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure; the folder is made if it is missing.

    ``.html`` is one page that needs no network (about 5 MB, plotly itself included); ``.json`` is
    plotly's document; ``.png``, ``.jpg``, ``.webp``, ``.svg`` and ``.pdf`` need the package kaleido
    and a Chrome that it finds.

    Raises:
        MissingExtraError: If it is a picture, and kaleido is not installed.
        UnsupportedError: If the ending is none of these.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (".html", ".json", ".png", ".jpg", ".jpeg", ".webp", ".svg", ".pdf"):
        raise UnsupportedError(
            f"a figure cannot be written as {path.name!r}: name a file that ends in .html, .json, "
            ".png, .jpg, .webp, .svg or .pdf."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".html":
        figure.write_html(
            path, config={"displaylogo": False}, default_height=figure.layout.height or "100%"
        )
    elif ending == ".json":
        figure.write_json(path)
    else:
        if importlib.util.find_spec("kaleido") is None:
            raise MissingExtraError(
                f"{path.name} is a picture, which plotly draws with kaleido: pip install kaleido, "
                "or write an .html page, which needs nothing more."
            )
        figure.write_image(path, width=1000, scale=2)
