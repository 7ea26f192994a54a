"""export, families: schedules as they are. Parsing and printing, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrsearch.cli._app import LOCAL, Json, Storage, StudyName, app, opened
from lrsearch.cli._terminal import console_for, errors, print_json, say, write_text


@app.command()
def export(
    schedule: Annotated[
        Path | None, typer.Argument(help="a schedule written by sweep; else the best of a study")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="csv, json, numpy, optax, torch or transformers")
    ] = "json",
    storage: Storage = LOCAL,
    study: StudyName = None,
    trial: Annotated[int | None, typer.Option(help="this trial instead of the best one")] = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="for transformers: accept their warm-up")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="file to write  [default: standard output]"),
    ] = None,
) -> None:
    """Write a schedule for another program.

    json: the document. csv: step, rate (and momentum). torch, numpy, optax: source code that needs
    no lrsearch. transformers: Hugging Face TrainingArguments as JSON, where that shape exists
    there exactly (--approximate accepts their warm-up, which is off by a step).

    Example: lrsearch export digits-600.json --format torch -o schedule.py

    Example: lrsearch export --study digits-600 --trial 7 --format csv
    """
    from lrsearch.schedules import Schedule, to_transformers
    from lrsearch.schedules import export as render
    from lrsearch.sweeps import schedule_of

    with errors(False):
        if schedule is not None:
            chosen = Schedule.load(schedule)
        else:
            chosen = schedule_of(opened(storage, study), trial)
        if approximate and format_ == "transformers":
            text = to_transformers(chosen, approximate=True)
        else:
            text = render(chosen, format_)
        if output is None:
            typer.echo(text, nl=not text.endswith("\n"))
        else:
            write_text(output, text)
            typer.echo(f"wrote {output}", err=True)


@app.command()
def families(
    budget: Annotated[int, typer.Option(min=1, help="optimizer steps")] = 1000,
    json_: Json = False,
) -> None:
    """List the schedule families: what they are, their parameters, and what the convex bound says.

    Parameters marked * are searched unasked in the range given; the others keep their default
    unless a space names them. The bound is that of the defaults at their own best peak, over
    linear decay's (1 is best); the peak is that best peak over linear's.

    Example: lrsearch families --budget 600
    """
    from lrsearch.cli._catalogue import catalogue, table_of

    with errors(json_):
        rows = catalogue(budget)
        if json_:
            print_json({"budget": budget, "families": rows})
            return
        console = console_for(json_)
        console.print(table_of(rows))
        say(console, "next: lrsearch sweep digits --families linear,wsd,rex")
