"""A task's regime map: runs at fixed rates, one after the other, remembered in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsearch.exceptions import (
    CalibrationError,
    StudyMismatchError,
    TaskError,
    UnsupportedError,
)
from lrsearch.integrations import blamed, task_edge
from lrsearch.stability import Edge, FixedRate, RegimeMap, next_rate, regime_map
from lrsearch.sweeps._events import Listener, Silent
from lrsearch.sweeps._memory import CHECKPOINT_SECONDS, file_stem, recall, remember, unreadable
from lrsearch.training import Task, check_fixed_rate, fixed_rate, forget_fixed_rate

VERSION = 1
# Of the edge: an octave under where convergence ended on the development tables (median 0.57).
FIRST = 0.25
SAME = 1e-3  # relative difference between the first losses of one seed that is rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedRegimes:
    """A regime map and the edge that it was begun at.

    Attributes:
        task: Name of the task.
        budget: Optimizer steps of a run.
        seed: Of every run.
        edge: The edge learning rate.
        regimes: The map.
    """

    task: str
    budget: int
    seed: int
    edge: Edge
    regimes: RegimeMap

    @property
    def cost(self) -> float:
        """Full runs, the edge included."""
        return self.regimes.cost + self.edge.cost / self.budget

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-safe form."""
        return {
            "task": self.task,
            "budget": self.budget,
            "seed": self.seed,
            "edge": self.edge.to_dict(),
            **self.regimes.to_dict(),
            "cost": self.cost,
        }


def map_regimes(
    task: Task,
    *,
    budget: int | None = None,
    seed: int = 0,
    edge: Edge | None = None,
    resolution: float = 0.5,
    folder: Path | None = None,
    listener: Listener | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> MappedRegimes:
    """Find where fixed learning rates converge, hang in noise, and diverge, by bracketing.

    Cost: the edge, and about ten full runs; those that diverge end early.

    Args:
        task: What to train.
        budget: Optimizer steps of a run; the task's own by default. Thresholds fall as it grows.
        seed: Of every run: the same weights and batches, so that differences are the rate's.
        edge: The edge, where it is known; else it is measured.
        resolution: Octaves to which thresholds are bracketed: 1, 1/2, 1/4, ...
        folder: Where finished runs and the one in work are kept; the same call goes on there.
        listener: Told what happens.
        interrupted: Asked after every step.

    Raises:
        CalibrationError: If no rate trains.
        DocumentError: If what the folder holds cannot be read, or it cannot be written to.
        StudyMismatchError: If the folder holds the map of another seed, edge or task of this name.
        TaskError: If the task itself raises, or its training loss is not positive.
        UnsupportedError: If the budget is too short, or the resolution none.
        KeyboardInterrupt: If ``interrupted`` said so.
    """
    steps = task.budget if budget is None else budget
    tell = listener or Silent()
    try:
        check_fixed_rate(steps)
        next_rate((), 1.0, resolution=resolution)
    except ValueError as error:
        raise UnsupportedError(f"task {task.name!r}: {error}.") from error
    memory = _Memory(folder, {"task": task.name, "budget": steps, "seed": seed})
    known = memory.edge
    if known is not None and edge is not None and known.learning_rate != edge.learning_rate:
        raise StudyMismatchError(
            f"{memory.path} holds a map that began at an edge of {known.learning_rate:.6g}, not "
            f"{edge.learning_rate:.6g}: leave the edge out, or name another folder."
        )
    if known is None:
        known = edge or task_edge(task, budget=steps, seed=seed, progress=tell.note)
        memory.keep(known, [])
    tell.edge(known, measured=memory.new and edge is None)
    runs = list(memory.runs)
    for run in runs:  # a start that died after it had stored a run left its checkpoint
        forget_fixed_rate(memory.checkpoint(run.rate))
    maximize = task.direction == "maximize"
    while True:
        try:
            rate = next_rate(
                runs, FIRST * known.learning_rate, resolution=resolution, maximize=maximize
            )
        except ValueError as error:
            raise CalibrationError(
                f"task {task.name!r}: {error}. Try more steps, or an edge from elsewhere."
            ) from error
        if rate is None:
            break
        run = _run(task, rate, steps, seed, memory.checkpoint(rate), tell, len(runs), interrupted)
        for other in memory.runs[:1]:
            if abs(run.start - other.start) > SAME * abs(other.start):
                forget_fixed_rate(memory.checkpoint(rate))
                raise StudyMismatchError(
                    f"task {task.name!r} starts at a training loss of {run.start:.6g}, and at "
                    f"{other.start:.6g} in the runs that {memory.path} holds, with the same seed: "
                    "give the changed task another name, or another folder."
                )
        runs.append(run)
        memory.keep(known, runs)
        forget_fixed_rate(memory.checkpoint(rate))
        tell.note(_sentence(run, known, task.metric))
    found = regime_map(runs, maximize=maximize)
    return MappedRegimes(task=task.name, budget=steps, seed=seed, edge=known, regimes=found)


def _run(
    task: Task,
    rate: float,
    steps: int,
    seed: int,
    checkpoint: Path | None,
    tell: Listener,
    number: int,
    interrupted: Callable[[], bool],
) -> FixedRate:
    tell.work(number, f"run {number + 1}: rate {rate:.3g}", steps)
    with blamed(task, f"it was trained at a rate of {rate:.3g}"):
        run = fixed_rate(
            task,
            rate,
            budget=steps,
            seed=seed,
            checkpoint=checkpoint,
            checkpoint_seconds=CHECKPOINT_SECONDS,
            interrupted=interrupted,
            on_step=lambda step: tell.step(number, step),
        )
    tell.done(number)
    if run.losses and not (run.start > 0 and min(run.losses) >= 0):
        raise TaskError(
            f"task {task.name!r}: a regime map compares training losses by their ratio, and needs "
            f"them to be positive; the first one is {run.start:.4g}, and the last ones at a rate "
            f"of {rate:.3g} {run.loss:.4g}. Add a constant to the loss: its lowest possible value "
            "should be zero."
        )
    return run


def _sentence(run: FixedRate, edge: Edge, metric: str) -> str:
    multiplier = f"{run.rate:.4g} (edge x {run.rate / edge.learning_rate:.3g})"
    if not run.losses:
        return f"rate {multiplier}: diverged after {run.cost:.2f} of a run"
    if run.diverged:
        kept = f"training loss {run.loss:.3g} of {run.start:.3g} at the start"
        return f"rate {multiplier}: {kept}, after {run.cost:.2f} of a run"
    return (
        f"rate {multiplier}: training loss {run.loss:.3g}, {metric} {run.plain:.4g}, "
        f"{run.annealed:.4g} after annealing"
    )


def stem_of(task: str, budget: int) -> str:
    """What a map's files are called."""
    return f"regimes-{file_stem(task)}-{budget}"


class _Memory:
    """What a map remembers between two calls."""

    def __init__(self, folder: Path | None, identity: dict[str, Any]) -> None:
        self.identity = identity
        self.edge: Edge | None = None
        self.runs: tuple[FixedRate, ...] = ()
        stem = stem_of(identity["task"], identity["budget"])
        self.path = None if folder is None else folder / f"{stem}.state.json"
        self.new = self.path is None or not self.path.exists()
        if self.path is None or self.new:
            return
        document = recall(self.path, VERSION)
        try:
            self.edge = Edge.from_dict(document["edge"])
            self.runs = tuple(FixedRate.from_dict(run) for run in document["runs"])
            held = {name: document[name] for name in identity}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise unreadable(self.path, error) from error
        if held != identity:
            raise StudyMismatchError(
                f"{self.path} holds the map of {held}, not of {identity}: name another folder, or "
                "delete it."
            )

    def keep(self, edge: Edge, runs: list[FixedRate]) -> None:
        if self.path is None:
            return
        told = {"edge": edge.to_dict(), "runs": [run.to_dict() for run in runs]}
        remember(self.path, {"version": VERSION, **self.identity, **told})

    def checkpoint(self, rate: float) -> Path | None:
        return None if self.path is None else self.path.with_name(f"{self.path.stem}-{rate:.6g}.pt")
