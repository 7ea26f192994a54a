"""show: looking at a study. Parsing and printing, nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

from lrsearch.cli._app import LOCAL, Json, Storage, StudyName, app, opened
from lrsearch.cli._terminal import console_for, errors, print_json, say


@app.command()
def show(
    storage: Storage = LOCAL,
    study: StudyName = None,
    top: Annotated[int | None, typer.Option(min=1, help="only the first rows")] = None,
    trial: Annotated[
        int | None, typer.Option(min=0, help="one trial: what it was doing when, why it ended")
    ] = None,
    json_: Json = False,
) -> None:
    """Show a study: peak rates, cost, and why each trial ended.

    With --trial, one trial's story instead: what it was doing when (warming up, below, at or above
    the edge, annealing, on a plateau), in a sentence with numbers each, and why it ended.

    Example: lrsearch show --storage sqlite:///lrsearch.db --study digits-600 --trial 3
    """
    from lrsearch.sweeps import leaderboard, sentences, story, summary, table_of

    with errors(json_):
        found = opened(storage, study)
        metric = found.user_attrs.get("lrsearch:task", {}).get("metric", "value")
        if trial is not None:
            told = story(found, trial)
            print_json(told) if json_ else say(console_for(False), *sentences(told, metric))
            return
        if json_:
            print_json(summary(found))
            return
        board = leaderboard(found)
        console = console_for(False)
        console.print(table_of(board, metric, top))
        say(console, f"study {found.study_name}: cost {board['cost'].sum():.1f} full runs")
