"""regimes: where fixed learning rates lead. Parsing and printing, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrsearch.cli._app import Budget, Json, Seed, TaskName, app
from lrsearch.cli._pages import write_map
from lrsearch.cli._terminal import console_for, errors, make_folder, print_json, say
from lrsearch.cli._words import task_of


@app.command()
def regimes(
    task: TaskName,
    budget: Budget = None,
    seed: Seed = None,
    edge: Annotated[
        float | None, typer.Option(help="edge learning rate, if it is known  [default: measured]")
    ] = None,
    resolution: Annotated[
        float, typer.Option(help="octaves to which thresholds are bracketed: 1, 0.5, 0.25, ...")
    ] = 0.5,
    out: Annotated[
        Path, typer.Option(help="folder for the map, its page, and what has been trained")
    ] = Path(),
    json_: Json = False,
) -> None:
    """Map where fixed learning rates lead on TASK: converging, chaotic, diverging.

    Trains at one rate after the other, the next one chosen by what the earlier ones did, each with
    its rate held and annealed at the end. Tells the rate up to which training converges within the
    budget (1|2), how far above it runs still anneal to no worse (2A), and where training diverges
    (2|3). About ten full runs; stop it at any time, the same command goes on.

    Example: lrsearch regimes digits --budget 600
    """
    from lrsearch.stability import Edge
    from lrsearch.sweeps import (
        Live,
        interruptible,
        map_regimes,
        regime_sentences,
        regime_table,
        write_regimes,
    )

    with errors(json_):
        console = console_for(json_)
        found = task_of(task)
        steps = found.budget if budget is None else budget
        make_folder(out)
        live = Live(console, trials=0, budget=steps)
        say(console, f"task {found.name}: {found.metric}, {steps} steps a run")
        with interruptible(live.note) as interrupted, live:
            mapped = map_regimes(
                found,
                budget=steps,
                seed=seed or 0,
                edge=None if edge is None else Edge.known(edge),
                resolution=resolution,
                folder=out,
                listener=live,
                interrupted=interrupted,
            )
        files = write_regimes(mapped, out)
        files |= write_map(mapped.regimes, found.metric, files["map"], live.note)
        if json_:
            print_json(mapped.to_dict() | {"files": {n: str(path) for n, path in files.items()}})
            return
        console.print(regime_table(mapped, found.metric))
        say(console, *regime_sentences(mapped))
        say(console, *(f"{what}: {path}" for what, path in files.items()))
