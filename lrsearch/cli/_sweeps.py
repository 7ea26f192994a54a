"""edge, sweep, show: measuring and searching. Parsing and printing, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrsearch.cli._app import (
    LOCAL,
    Budget,
    Json,
    Seed,
    Storage,
    StudyName,
    TaskName,
    app,
    opened,
)
from lrsearch.cli._terminal import (
    NOTHING_FINISHED,
    console_for,
    errors,
    make_folder,
    next_steps,
    print_json,
    say,
)
from lrsearch.exceptions import UnsupportedError

if TYPE_CHECKING:
    from lrsearch.search import Setting
    from lrsearch.training import Task


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
        found = _task(task)
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


@app.command()
def sweep(
    task: TaskName,
    budget: Budget = None,
    trials: Annotated[int, typer.Option(min=1, help="trials in the study in the end")] = 20,
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
    out: Annotated[
        Path, typer.Option(help="folder for the best schedule and its picture")
    ] = Path(),
    confirm: Annotated[
        int, typer.Option(min=0, help="retrain the winner with this many fresh seeds")
    ] = 0,
    watch_share: Annotated[
        float, typer.Option(help="share of a run's cost that may go into watching it")
    ] = 0.02,
    json_: Json = False,
) -> None:
    """Find the best schedule for TASK, and go on where an earlier sweep stopped.

    Measures the edge, searches schedule families and edge multipliers, stops runs that diverged,
    died or train far below the edge, and writes the best schedule. Stop it at any time; the same
    command continues. Several such processes may share a storage. Training uses one thread; set
    OMP_NUM_THREADS for more.

    Example: lrsearch sweep digits --budget 600

    Example: lrsearch sweep my_task.py:task --trials 30 --enqueue cosine:0.1 --storage sqlite:///runs.db
    """
    from lrsearch.schedules import Schedule
    from lrsearch.search import ScheduleSpace
    from lrsearch.sweeps import (
        Live,
        interruptible,
        leaderboard,
        schedule_of,
        shown,
        summary,
        table_of,
        write_winner,
    )
    from lrsearch.sweeps import confirm as retrain
    from lrsearch.sweeps import sweep as run

    with errors(json_):
        console = console_for(json_)
        found = _task(task)
        names = tuple(n.strip() for n in (families or "").split(",") if n.strip())
        space = ScheduleSpace(
            found.budget if budget is None else budget,
            families=names,
            parameters=dict(_setting(text) for text in parameter or ()),
        )
        name = study or f"{found.name}-{space.budget}"
        rates = [_rate(text) for text in enqueue or ()]
        make_folder(out)
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
                    timeout=timeout,
                    seed=seed,
                    share=watch_share,
                    rates=rates,
                    listener=live,
                    interrupted=interrupted,
                )
            with errors(json_, NOTHING_FINISHED):
                schedule_of(result.study, None)
            files = write_winner(result.study, found.metric, out, live.note)
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
        if again is not None:
            say(console, again.sentence(found.metric))
        if result.out_of_time:
            say(console, f"out of time after {timeout:g} s: the same command goes on")
        more = [("--families", families), *(("--parameter", text) for text in parameter or ())]
        more.append(("--out", None if out == Path() else str(out)))
        say(
            console,
            "",
            *(f"{what} of the winner: {path}" for what, path in files.items()),
            *next_steps(
                task, space.budget, shown(storage), name, files["schedule"], 2 * trials, more
            ),
        )


@app.command()
def show(
    storage: Storage = LOCAL,
    study: StudyName = None,
    top: Annotated[int | None, typer.Option(min=1, help="only the first rows")] = None,
    json_: Json = False,
) -> None:
    """Show a study: peak rates, cost, and why each trial ended.

    Example: lrsearch show --storage sqlite:///lrsearch.db --study digits-600
    """
    from lrsearch.sweeps import leaderboard, summary, table_of

    with errors(json_):
        found = opened(storage, study)
        if json_:
            print_json(summary(found))
            return
        metric = found.user_attrs.get("lrsearch:task", {}).get("metric", "value")
        board = leaderboard(found)
        console = console_for(False)
        console.print(table_of(board, metric, top))
        say(console, f"study {found.study_name}: cost {board['cost'].sum():.1f} full runs")


def _task(spec: str) -> Task:
    from lrsearch.tasks import EMBEDDED
    from lrsearch.training import find_task

    return find_task(spec, EMBEDDED)


def _setting(text: str) -> tuple[str, Setting]:
    """A shape parameter and what is said of it."""
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise UnsupportedError(
            f"--parameter takes NAME=VALUE, such as wsd.cooldown=0.2 or phi=0.5..5, got {text!r}."
        )
    low, dots, high = value.partition("..")
    ends = _word(low), _word(high)
    if dots and isinstance(ends[0], float) and isinstance(ends[1], float):
        return name, (ends[0], ends[1])
    words = [_word(word.strip()) for word in value.split(",")]
    return name, words if len(words) > 1 else words[0]


def _word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _rate(text: str) -> tuple[str | None, float]:
    family, _, number = text.rpartition(":")
    try:
        return family or None, float(number)
    except ValueError:
        raise UnsupportedError(
            f"--enqueue takes [FAMILY:]RATE, such as cosine:0.1 or 0.1, got {text!r}."
        ) from None
