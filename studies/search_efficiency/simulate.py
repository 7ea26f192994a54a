"""Search methods on a recorded table: unmodified samplers and pruners through Optuna's own API.

A suggestion becomes the nearest recorded cell and one of its recorded seeds, drawn at random: noise
is part of the game. Several workers run in simulated time, in which a gradient takes one unit.
Everything is accounted in full-run equivalents: steps, evaluations, readings and the calibration,
at the prices that the table has measured. The same seed gives the same sweep.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import families
import numpy as np
import optuna
from optuna.trial import TrialState
from table import Cell, Run, Table

from lrsearch.integrations.optuna import VERDICT_KEY, recommended
from lrsearch.stability import Verdict

# What the watch says of a run that diverged; only our sampler reads it.
LOST = Verdict(stop=True, regime="diverged", side="hot").to_dict()
CELL_KEY = "cell"  # of a trial that was trained to its end
Choice = tuple[str, float]  # shape, peak learning rate


class Method(Protocol):
    """What is replayed.

    Attributes:
        name: What tables call it.
        values_lost: Whether a diverged run is given a value, the loss that it began with. Else it
            is pruned, which some samplers (GP, CMA-ES) learn nothing from.
    """

    name: str
    values_lost: bool

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        """A study, and what was spent before its first trial (in gradients)."""
        ...

    def choose(self, trial: optuna.Trial) -> Choice:
        """The trial's shape and peak, from its suggestions."""
        ...

    def looks_at(self, rung: int) -> bool:
        """Whether it looks at a running trial there."""
        ...

    def look(self, trial: optuna.Trial, run: Run, rung: int) -> tuple[bool, float]:
        """Look at a running trial: whether it stops, and what the look cost (in gradients)."""
        ...


@dataclass(frozen=True)
class Recommendation:
    """What a method would train with, from this much cost on.

    Attributes:
        cost: Full-run equivalents spent by then.
        cell: The cell.
        regret: Its truth over the best of the table, in log loss, by seeds held out of the sweep.
        seen: The loss that the method saw of it, on the validation split.
    """

    cost: float
    cell: Cell
    regret: float
    seen: float


@dataclass
class Trace:
    """A replayed sweep.

    Attributes:
        recommendations: In order of their cost, one whenever a trial is done.
        lowest: The same if it recommended the lowest loss that it has seen.
        cost: Full-run equivalents in the end.
        trials: Number of trials begun.
        stopped: How many of them were stopped early.
        stops: Cells stopped early.
    """

    recommendations: list[Recommendation] = field(default_factory=list)
    lowest: list[Recommendation] = field(default_factory=list)
    cost: float = 0.0
    trials: int = 0
    stopped: int = 0
    stops: list[Cell] = field(default_factory=list)

    def settled(self, tolerance: float, *, lowest: bool = False) -> float:
        """Cost from which on every recommendation is within the tolerance; infinite if none."""
        since = math.inf
        for one in self.lowest if lowest else self.recommendations:
            good = one.regret <= math.log1p(tolerance)
            since = min(since, one.cost) if good else math.inf
        return since

    def at(self, cost: float) -> Recommendation | None:
        """What is recommended once this much has been spent; ``None`` while no trial is done."""
        return next((r for r in reversed(self.recommendations) if r.cost <= cost), None)


@dataclass
class _Live:
    """A running trial."""

    trial: optuna.Trial
    cell: Cell
    run: Run
    rung: int = 0


def replay(
    table: Table,
    method: Method,
    *,
    seed: int,
    cost: float = 40.0,
    workers: int = 1,
    told: Callable[[], object] = lambda: None,
) -> Trace:
    """One sweep of a method on a table, until it has spent ``cost`` full-run equivalents.

    ``told`` is called after every recommendation.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng = np.random.default_rng([7, seed])
    study, before = method.begin(table, seed)
    whole = table.budget + table.price("evaluate")
    trace, spent = Trace(), before
    marks = table.marks
    queue: list[tuple[float, int, float, _Live]] = []  # end, order, begin
    count = 0

    def begin(now: float) -> None:
        nonlocal count
        trial = study.ask()
        cell = table.snap(*method.choose(trial))
        chosen = int(rng.choice(table.split(cell, seed)[0]))
        trace.trials += 1
        push(now, _Live(trial, cell, table.runs[cell][chosen]))

    def push(now: float, live: _Live) -> None:
        """Train it up to its next rung, with the evaluation at its end, or to where it is lost."""
        nonlocal count
        count += 1
        done, mark = marks[live.rung - 1] if live.rung else 0, marks[live.rung]
        lost = 0 < live.run.diverged_at <= mark
        takes = (live.run.diverged_at if lost else mark) - done
        if mark == table.budget and not lost:
            takes += table.price("evaluate")
        heapq.heappush(queue, (now + takes, count, now, live))

    def so_far(now: float) -> float:
        """Full runs spent, with what other workers have done of the rungs they are at."""
        return (spent + sum(max(0.0, now - begun) for _, _, begun, _ in queue)) / whole

    for _ in range(workers):
        begin(0.0)
    while queue:
        now, _, begun, live = heapq.heappop(queue)
        live.rung += 1
        spent += now - begun
        lost = 0 < live.run.diverged_at <= marks[live.rung - 1]
        last, stop = live.rung == len(marks), lost
        if lost:
            if method.values_lost:
                study.tell(live.trial, table.start)
            else:
                live.trial.set_user_attr(VERDICT_KEY, LOST)
                study.tell(live.trial, state=TrialState.PRUNED)
        elif last:
            live.trial.set_user_attr(CELL_KEY, list(live.cell))
            study.tell(live.trial, live.run.final)
            known = len(trace.recommendations)
            recommend(trace, table, seed, study, so_far(now))
            if len(trace.recommendations) > known:
                told()
        elif method.looks_at(live.rung):
            stop, price = method.look(live.trial, live.run, live.rung)
            spent, now = spent + price, now + price
            if stop:
                study.tell(live.trial, state=TrialState.PRUNED)
        if stop and not last:
            trace.stopped += 1
            trace.stops.append(live.cell)
        if not (stop or last):
            push(now, live)
        elif spent / whole < cost:
            begin(now)
    trace.cost = spent / whole
    return trace


def recommend(trace: Trace, table: Table, sweep: int, study: optuna.Study, cost: float) -> None:
    """Note what the study recommends once a trial is done.

    That is what `lrsearch.best_schedule` would export: where trials are our space's, the one that
    is expected to be the best, and else the best one seen.
    """
    for best, found in (
        (recommended(study), trace.recommendations),
        (study.best_trial, trace.lowest),
    ):
        if CELL_KEY not in best.user_attrs:
            continue  # a diverged run that was given a value
        shape, k = best.user_attrs[CELL_KEY]
        regret = table.judged((shape, k), sweep) - table.best
        found.append(Recommendation(cost, (shape, k), regret, best.values[0]))


def shape_of(family: str, parameters: dict[str, Any]) -> str:
    """The recorded shape that is nearest to a family with parameters."""
    if family == "uba":
        phis = {s.label: s.parameters["phi"] for s in families.SHAPES.values() if s.family == "uba"}
        wanted = math.log(float(parameters["phi"]))
        return min(phis, key=lambda label: abs(math.log(phis[label]) - wanted))
    return next(s.label for s in families.SHAPES.values() if s.family == family)
