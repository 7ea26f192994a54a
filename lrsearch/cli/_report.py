"""report: a study as one HTML page. Parsing and printing, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrsearch.cli._app import LOCAL, Json, Storage, StudyName, app, opened
from lrsearch.cli._terminal import errors, print_json
from lrsearch.exceptions import UnsupportedError


@app.command()
def report(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY]", help="its name; not needed if it is the only one"),
    ] = None,
    storage: Storage = LOCAL,
    study: StudyName = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="file to write  [default: STUDY.html in this folder]"),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="open it in the browser")] = False,
    json_: Json = False,
) -> None:
    """Write a report of STUDY: one HTML page that needs no network and no JavaScript.

    What was found, how sure that is, what it cost and saved, why the winner wins, code to use it,
    every trial with its story, and figures (pip install 'lrsearch[viz]').

    Example: lrsearch report digits-600

    Example: lrsearch report --storage sqlite:///runs.db --study resnet --out resnet.html --open
    """
    from lrsearch.sweeps import file_stem
    from lrsearch.visualization import report as write

    with errors(json_):
        if name is not None and study is not None and name != study:
            raise UnsupportedError(
                f"two studies are named, {name!r} and {study!r}: give one, as STUDY or "
                "with --study."
            )
        found = opened(storage, name if name is not None else study)
        path = out if out is not None else Path(f"{file_stem(found.study_name)}.html")
        path = path / f"{file_stem(found.study_name)}.html" if path.is_dir() else path
        write(found, path, storage=storage)
        if json_:
            print_json({"study": found.study_name, "report": str(path)})
        else:
            typer.echo(f"wrote {path}")
        if show:
            typer.launch(path.resolve().as_uri())
