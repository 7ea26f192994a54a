"""solution: what kind of solution schedules lead to. Parsing and printing, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrsearch.cli._app import Json, TaskName, app
from lrsearch.cli._terminal import console_for, errors, make_folder, print_json, say
from lrsearch.cli._words import task_of


@app.command()
def solution(
    task: TaskName,
    schedules: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="schedules that sweeps have written")
    ],
    seeds: Annotated[int, typer.Option(min=1, help="runs of every schedule")] = 3,
    on: Annotated[int, typer.Option("--batches", min=1, help="training batches to measure on")] = 8,
    out: Annotated[Path, typer.Option(help="folder that remembers what has been trained")] = Path(),
    json_: Json = False,
) -> None:
    """Tell what kind of solution schedules lead to, to choose between equally good ones.

    Trains TASK under every schedule with the same seeds and measures sharpness (the largest Hessian
    eigenvalue; low is flat), how much the training loss rises when each weight tensor is moved by a
    twentieth of its norm (robustness: noise, quantisation), the share of activations next to zero
    and of units that are never used (cost of serving). One full run for every schedule and seed;
    stop it at any time, the same command goes on. A changed task needs another name, or --out.

    Example: lrsearch solution digits digits-600.json
    """
    from lrsearch.schedules import Schedule
    from lrsearch.sweeps import (
        Live,
        interruptible,
        solution_remarks,
        solution_table,
        solutions,
    )

    with errors(json_):
        console = console_for(json_)
        found = task_of(task)
        loaded = [Schedule.load(path) for path in schedules]
        make_folder(out)
        live = Live(console, trials=0, budget=max(one.budget for one in loaded))
        say(console, f"task {found.name}: {seeds} runs of every schedule")
        with interruptible(live.note) as interrupted, live:
            told = solutions(
                found,
                loaded,
                seeds=seeds,
                on=on,
                folder=out,
                listener=live,
                interrupted=interrupted,
            )
        if json_:
            rows = [
                {"file": str(path), "schedule": one.schedule.to_dict(), "runs": list(one.runs)}
                for path, one in zip(schedules, told, strict=True)
            ]
            print_json({"task": found.name, "metric": found.metric, "solutions": rows})
            return
        names = [str(path) for path in schedules]
        console.print(solution_table(told, found.metric, names))
        say(console, *solution_remarks(told))
