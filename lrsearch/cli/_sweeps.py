"""edge, sweep: measuring and searching. Parsing and printing, nothing else."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lrsearch.cli._app import (
    LOCAL,
    Budget,
    DryRun,
    Json,
    Seed,
    Storage,
    TaskName,
    Until,
    app,
)
from lrsearch.cli._optional import OptionalAddress
from lrsearch.cli._pages import write_report
from lrsearch.cli._terminal import (
    NOTHING_FINISHED,
    console_for,
    errors,
    make_folder,
    next_steps,
    print_json,
    say,
)
from lrsearch.cli._words import (
    CHECKPOINT_SECONDS,
    PATIENCE,
    gain_of,
    rate_of,
    runner,
    setting_of,
    task_of,
)


@app.command()
def edge(task: TaskName, budget: Budget = None, seed: Seed = None, json_: Json = False) -> None:
    """Measure the edge of stability of TASK: the learning rate that multipliers count from.

    A handful of short annealed runs on common batches: 0.3 to 0.6 of a full run, more where the
    budget is under 300 steps.

    Example: lrsearch edge digits --budget 600
    """
    from lrsearch.sweeps import Live, task_edge

    with errors(json_):
        console = console_for(json_)
        found = task_of(task)
        steps = found.budget if budget is None else budget
        live = Live(console, trials=0, budget=steps)
        result = task_edge(found, budget=steps, seed=seed or 0, progress=live.note)
        live.edge(result, measured=True)
        if json_:
            print_json(result.to_dict())
            return
        say(console, f"cost {result.cost / steps:.2f} full runs of {steps} steps")
        if result.rho is not None:
            say(console, f"normalised sharpness while training at it: rho = {result.rho:.2g}")
        say(console, f"next: lrsearch sweep {task} --budget {steps}")


@app.command(cls=OptionalAddress)
def sweep(
    task: TaskName,
    budget: Budget = None,
    trials: Annotated[int, typer.Option(min=1, help="trials in the study in the end")] = 20,
    until: Until = None,
    dry_run: DryRun = False,
    timeout: Annotated[
        float | None, typer.Option(help="seconds after which no new trial begins")
    ] = None,
    families: Annotated[
        str | None,
        typer.Option(
            help="schedule families, comma-separated, see `lrsearch families`  "
            "[default: constant,linear,cosine,wsd,uba]"
        ),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="a shape parameter, such as wsd.cooldown=0.1..0.3: a value holds it, LOW..HIGH is "
            "a range to search, A,B,C are choices; may be repeated",
        ),
    ] = None,
    enqueue: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[FAMILY:]RATE",
            help="a known peak learning rate to try first, such as cosine:0.1; may be repeated",
        ),
    ] = None,
    seed: Seed = None,
    storage: Storage = LOCAL,
    study: Annotated[
        str | None, typer.Option(help="name of the study  [default: TASK-BUDGET]")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder for the best schedule and the report")] = Path(),
    confirm: Annotated[
        int, typer.Option(min=0, help="retrain the winner with this many fresh seeds")
    ] = 0,
    watch_share: Annotated[
        float, typer.Option(help="share of a run's cost that may go into watching it")
    ] = 0.02,
    disk_quota: Annotated[
        float | None,
        typer.Option(min=0.0, help="GiB that checkpoints may take; without, trials go on"),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help="run the trials on Ray: alone, on this machine; auto or HOST:PORT, on a cluster",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="with --ray: trials at a time  [default: as many as fit]"),
    ] = None,
    cpus: Annotated[
        float, typer.Option("--cpus-per-trial", help="with --ray: CPU cores of one trial")
    ] = 1.0,
    gpus: Annotated[
        float,
        typer.Option("--gpus-per-trial", help="with --ray: GPUs of one trial, such as 0.25"),
    ] = 0.0,
    place: Annotated[
        str | None,
        typer.Option(
            "--files",
            help="with --ray: folder or URI that every node reaches, for checkpoints  "
            "[default: beside the storage]",
        ),
    ] = None,
    patience: Annotated[
        float, typer.Option(help="with --ray: seconds of silence until a trial is taken for hung")
    ] = PATIENCE,
    checkpoint_seconds: Annotated[
        float,
        typer.Option(
            min=0.0, help="with --ray: seconds between a trial's checkpoints at the least"
        ),
    ] = CHECKPOINT_SECONDS,
    json_: Json = False,
) -> None:
    """Find the best schedule for TASK, and go on where an earlier sweep stopped.

    Measures the edge, searches schedule families and edge multipliers, stops runs that diverged,
    died or train far below the edge, and writes the best schedule. Stop it at any time; the same
    command continues. Several such processes may share a storage. Training uses one thread; set
    OMP_NUM_THREADS for more. With --ray only this process needs the storage; trials run on the
    nodes, and come back after the death of a process, a node or this command.

    Example: lrsearch sweep digits --budget 600

    Example: lrsearch sweep digits --until 1% --dry-run

    Example: lrsearch sweep digits --ray --workers 4

    Example: lrsearch sweep my_task.py:task --ray auto --gpus-per-trial 0.25 --files s3://bucket/runs

    Example: lrsearch sweep my_task.py:task --trials 30 --enqueue cosine:0.1 --storage sqlite:///runs.db
    """
    from lrsearch.schedules import Schedule
    from lrsearch.search import ScheduleSpace
    from lrsearch.sweeps import (
        Live,
        closing,
        estimate,
        interruptible,
        leaderboard,
        schedule_of,
        shown,
        summary,
        table_of,
        write_winner,
    )
    from lrsearch.sweeps import confirm as retrain

    with errors(json_):
        console = console_for(json_)
        found = task_of(task)
        names = tuple(n.strip() for n in (families or "").split(",") if n.strip())
        space = ScheduleSpace(
            found.budget if budget is None else budget,
            families=names,
            parameters=dict(setting_of(text) for text in parameter or ()),
        )
        name = study or f"{found.name}-{space.budget}"
        rates = [rate_of(text) for text in enqueue or ()]
        gain = gain_of(until)
        if dry_run:
            cost = estimate(found, space, trials=trials, share=watch_share)
            if json_:
                print_json(asdict(cost) | {"full_runs": cost.full_runs})
            else:
                say(console, *cost.sentences())
            return
        make_folder(out)
        run = runner(ray, workers, cpus, gpus, place, patience, checkpoint_seconds)
        live = Live(console, trials, space.budget, maximize=found.direction == "maximize")
        say(console, f"task {found.name}: {found.metric}, {space.budget} steps a run, study {name}")
        with interruptible(live.note) as interrupted:
            with live:
                result = run(
                    found,
                    space,
                    storage=storage,
                    study_name=name,
                    trials=trials,
                    until=gain,
                    timeout=timeout,
                    seed=seed,
                    share=watch_share,
                    disk_quota=None if disk_quota is None else int(disk_quota * 2**30),
                    rates=rates,
                    listener=live,
                    interrupted=interrupted,
                )
            with errors(json_, NOTHING_FINISHED):
                schedule_of(result.study, None)
            files = write_winner(result.study, out)
            again = None
            if confirm:
                winner = Schedule.load(files["schedule"])
                again = retrain(
                    result.study,
                    found,
                    winner,
                    seeds=confirm,
                    note=live.note,
                    interrupted=interrupted,
                )
            files |= write_report(result.study, out, storage, live.note)
        if json_:
            print_json(summary(result.study, edge=result.edge, confirmation=again, files=files))
            return
        board = leaderboard(result.study)
        console.print(table_of(board, found.metric, top=10))
        spent = float(board["cost"].sum())
        say(
            console,
            f"cost {spent:.1f} full runs for {len(board)} trials, "
            f"{result.edge.cost / space.budget:.1f} for the edge",
        )
        say(console, *closing(result.study))
        if again is not None:
            say(console, again.sentence(found.metric))
        if result.out_of_time:
            say(console, f"out of time after {timeout:g} s: the same command goes on")
        more = [("--families", families), *(("--parameter", text) for text in parameter or ())]
        more += [("--until", until), ("--out", None if out == Path() else str(out))]
        more += [("--ray", ray), ("--workers", str(workers) if workers else None)]
        say(
            console,
            "",
            *(f"{what}: {path}" for what, path in files.items()),
            *next_steps(
                task, space.budget, shown(storage), name, files["schedule"], 2 * trials, more
            ),
        )
