"""What kind of solution a schedule leads to: trained with several seeds, remembered in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.markup import escape
from rich.table import Table

from lrsearch.curvature import solution_kind
from lrsearch.exceptions import TaskError
from lrsearch.integrations import blamed
from lrsearch.schedules import Schedule
from lrsearch.sweeps._events import Listener, Silent
from lrsearch.sweeps._memory import CHECKPOINT_SECONDS, file_stem, recall, remember, unreadable
from lrsearch.training import Task, batches, train

VERSION = 1
MEASURED_ON = 8  # batches
COLUMNS = ("metric", "sharpness", "rise", "sparsity", "dead")


@dataclass(frozen=True, slots=True)
class Solutions:
    """What one schedule led to, seed by seed.

    Attributes:
        schedule: The schedule.
        runs: For every seed its metric ("metric"), and the kind of solution by name.
    """

    schedule: Schedule
    runs: tuple[dict[str, Any], ...]

    def mean(self, name: str) -> float:
        """Mean over seeds of a number; NaN where a seed has none."""
        values = self._values(name)
        return fmean(values) if values else math.nan

    def deviation(self, name: str) -> float:
        """Standard deviation over seeds (n - 1); NaN with fewer than two."""
        values = self._values(name)
        return stdev(values) if len(values) > 1 else math.nan

    def _values(self, name: str) -> list[float]:
        values = [run[name] for run in self.runs]
        return [] if any(value is None for value in values) else values


def solutions(
    task: Task,
    schedules: Sequence[Schedule],
    *,
    seeds: int = 3,
    on: int = MEASURED_ON,
    folder: Path | None = None,
    listener: Listener | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[Solutions]:
    """Train every schedule with the same seeds, and measure what kind of solution it leads to.

    Cost: a full run for every schedule and seed, and `lrsearch.curvature.solution_kind` after it;
    nothing that the folder remembers.

    Args:
        task: What to train.
        schedules: To compare.
        seeds: Number of seeds, 0 and up.
        on: Training batches to measure on.
        folder: Where finished runs, and the one in work, are kept; the same call goes on there.
            Several calls may share it; a changed task needs another name.
        listener: Told what happens.
        interrupted: Asked after every step.

    Raises:
        DocumentError: If what the folder holds cannot be read, or it cannot be written to.
        MeasurementError: If a solution cannot be measured (see `lrsearch.curvature.solution_kind`).
        TaskError: If the task itself raises, or a run diverges.
        KeyboardInterrupt: If ``interrupted`` said so.
    """
    tell = listener or Silent()
    path = None if folder is None else folder / f"solutions-{file_stem(task.name)}.json"
    known = _read(path)
    found: list[Solutions] = []
    for schedule in schedules:
        runs = []
        for seed in range(seeds):
            key = json.dumps([_plain(schedule), seed, on], sort_keys=True)
            if key not in known:
                place = _checkpoint(path, key)
                number = len(found) * seeds + seed
                tell.work(number, f"{_name(schedule)}, seed {seed}", schedule.budget)
                step = partial(tell.step, number)
                known[key] = _one(task, schedule, seed, on, place, interrupted, step)
                tell.done(number)
                known = _merged(path, known)
                if place is not None:
                    place.unlink(missing_ok=True)
                tell.note(f"{_name(schedule)}, seed {seed}: {_words(task, known[key])}")
            runs.append(known[key])
        found.append(Solutions(schedule, tuple(runs)))
    return found


def solution_table(
    found: Sequence[Solutions], metric: str, names: Sequence[str] | None = None
) -> Table:
    """Schedules one under the other: mean and deviation over seeds of every number.

    Args:
        found: What `solutions` told.
        metric: Name of the metric.
        names: What to call each, such as its file; by default only family and peak are told.
    """
    table = Table(box=None, pad_edge=False)
    for heading in () if names is None else ("file",):
        table.add_column(heading, no_wrap=True)
    table.add_column("schedule", no_wrap=True)
    for heading in (escape(metric), "sharpness", "rise when perturbed", "sparsity", "dead units"):
        table.add_column(heading, justify="right", no_wrap=True)
    for i, one in enumerate(found):
        named = [] if names is None else [escape(names[i])]
        cells = (_cell(one, name) for name in COLUMNS)
        table.add_row(*named, _name(one.schedule), *cells)
    return table


def solution_remarks(found: Sequence[Solutions]) -> list[str]:
    """Why numbers are missing or not to be trusted, each reason once."""
    remarks = []
    for one in found:
        for seed, run in enumerate(one.runs):
            if run["rise"] is None:
                remarks.append(f"{_name(one.schedule)}, seed {seed}: a perturbation broke the loss")
            if run["reason"] and run["reason"] not in remarks:
                remarks.append(run["reason"])
    return remarks


def _one(
    task: Task,
    schedule: Schedule,
    seed: int,
    on: int,
    checkpoint: Path | None,
    interrupted: Callable[[], bool],
    on_step: Callable[[int], None],
) -> dict[str, Any]:
    with blamed(task, f"{schedule.family} was trained"):
        result = train(
            task,
            schedule,
            seed=seed,
            share=None,
            checkpoint=checkpoint,
            checkpoint_seconds=CHECKPOINT_SECONDS,
            interrupted=interrupted,
            on_step=on_step,
        )
        if not math.isfinite(result.metric):
            raise TaskError(
                f"task {task.name!r}: {_name(schedule)} diverged with seed {seed}: there is no "
                "solution to look at. Leave it out, or lower its peak."
            )
        kind = solution_kind(result.model, task.loss, *islice(batches(task, seed), on))
    return {"metric": result.metric, **kind.to_dict()}


def _words(task: Task, run: dict[str, Any]) -> str:
    shown = [("sharpness", "sharpness"), ("rise", "rise when perturbed"), ("sparsity", "sparsity")]
    more = [f"{word} {run[name]:.3g}" for name, word in shown if run[name] is not None]
    return ", ".join([f"{task.metric} {run['metric']:.4g}", *more])


def _cell(one: Solutions, name: str) -> str:
    mean, deviation = one.mean(name), one.deviation(name)
    if math.isnan(mean):
        return "-"
    return f"{mean:.4g}" + ("" if math.isnan(deviation) else f" +- {deviation:.2g}")


def _name(schedule: Schedule) -> str:
    return f"{schedule.family}, peak {schedule.peak:.4g}"


def _plain(schedule: Schedule) -> dict[str, Any]:
    return {name: v for name, v in schedule.to_dict().items() if name != "provenance"}


def _read(path: Path | None) -> dict[str, dict[str, Any]]:
    if path is None or not path.exists():
        return {}
    document = recall(path, VERSION)
    try:
        return {str(key): dict(run) for key, run in document["runs"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(path, error) from error


def _merged(path: Path | None, known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Store what is known, with what others have stored meanwhile."""
    both = _read(path) | known
    if path is not None:
        remember(path, {"version": VERSION, "runs": both})
    return both


def _checkpoint(path: Path | None, key: str) -> Path | None:
    digest = sha256(key.encode()).hexdigest()[:12]
    return None if path is None else path.with_name(f"{path.stem}-{digest}.pt")
