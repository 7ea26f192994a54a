"""One recorded run: trained as anybody would, read at its rungs, copied where shapes part."""

import copy
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import families
import numpy as np
import probing
import rungs
import torch
from probing import Clock, Row
from torch import Tensor, nn
from torch.optim import Optimizer

from lrsearch.curvature import WeightAverage
from lrsearch.curvature._displacement import Displacement
from lrsearch.curvature._losses import LossMeter
from lrsearch.curvature._probe import Step
from lrsearch.schedules import Schedule
from lrsearch.training import Task, batches


@dataclass
class Record:
    """What is stored of one run of one shape.

    Attributes:
        rows: One for each rung reached.
        final: The values of `rungs.FINAL`.
        clock: Where its time went; a branch's holds its own part only.
    """

    rows: list[Row] = field(default_factory=list)
    final: Row = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)


@dataclass
class State:
    """A run in its course."""

    model: nn.Module
    optimizer: Optimizer
    average: WeightAverage
    moved: Displacement
    record: Record
    step: int = 0
    losses: list[Tensor] = field(default_factory=list)

    def twin(self) -> "State":
        """A copy that goes on independently; its clock begins anew."""
        model, optimizer = copy.deepcopy((self.model, self.optimizer))  # together: shared tensors
        average = WeightAverage(model)
        average.load(self.average.average, self.average.updates)
        moved = Displacement(model)
        moved.origin = self.moved.origin
        record = Record(rows=[dict(row) for row in self.record.rows], final=dict(self.record.final))
        return State(model, optimizer, average, moved, record, self.step, list(self.losses))


def record_run(
    task: Task, group: tuple[str, ...], peak: float, seed: int, budget: int
) -> dict[str, Record]:
    """Train the shapes of a group at one peak and seed.

    The first shape is the trunk; each other one goes on from a copy where its rates first differ.

    Returns:
        A record for each shape. A diverged run has the rungs that it reached.
    """
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    model = task.model().to(task.device)
    optimizer = task.optimizer(model, peak)
    moved = Displacement(model)
    moved.begin()
    state = State(model, optimizer, WeightAverage(model), moved, Record())
    schedules = {label: families.SHAPES[label].schedule(peak, budget) for label in group}
    trunk = schedules[group[0]]
    found = {}
    branches = sorted((families.parting(trunk, schedules[b]), b) for b in group[1:])
    for at, label in branches:
        _advance(task, state, trunk, seed, until=at)
        with torch.random.fork_rng(probing.devices(task)):
            branch = state.twin()
            _advance(task, branch, schedules[label], seed, until=budget)
            found[label] = _ended(task, branch)
    _advance(task, state, trunk, seed, until=budget)
    return {group[0]: _ended(task, state), **found}


def _advance(task: Task, state: State, schedule: Schedule, seed: int, until: int) -> None:
    """Train up to a step, or to where the loss is lost."""
    if state.record.final.get("diverged_at") or state.step >= until:
        return
    clock, marks = state.record.clock, rungs.steps_of(schedule.budget)
    rates = schedule.values()
    stream = batches(task, seed, state.step)
    while state.step < until:
        state.step += 1
        rate, at_rung = float(rates[state.step - 1]), state.step in marks
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        batch = next(stream)
        before = _copies(state) if at_rung else []
        with clock.on("train"):
            state.losses.append(probing.one_step(task, state.model, state.optimizer, batch))
        state.average.update(state.step)
        if not at_rung:
            continue
        rung = marks.index(state.step) + 1
        if not _read(task, state, schedule, seed, rung, batch, before):
            return


def _read(
    task: Task,
    state: State,
    schedule: Schedule,
    seed: int,
    rung: int,
    batch: Any,
    before: list[Tensor],
) -> bool:
    """Record a rung; whether the run is still alive."""
    clock = state.record.clock
    seen = torch.stack(state.losses).float().cpu().numpy()
    state.losses.clear()
    first = state.step - len(seen) + 1
    if rung == 1:
        state.record.final |= _initial(seen)
    if not np.isfinite(seen).all():
        state.record.final["diverged_at"] = float(first + np.flatnonzero(~np.isfinite(seen))[0])
        return False
    row: Row = {
        "step": state.step,
        "learning_rate": float(state.optimizer.param_groups[0]["lr"]),
        "train_loss": float(seen.mean()),
        "displacement": state.moved.distance() or 0.0,
    }
    row |= probing.losses(task, state.model, state.average, clock)
    if not math.isfinite(row["loss"]):
        state.record.final["diverged_at"] = float(state.step)
        return False
    params = [p for g in state.optimizer.param_groups for p in g["params"]]
    step = Step.seen(state.optimizer, params, before)
    if step is not None:
        row |= probing.forward_only(task, state.model, step, batch, state.average, clock)
    fresh = _fresh(task, seed, rung)
    row |= probing.curvature(task, state.model, state.optimizer, fresh, rung, clock)
    if rung in rungs.COOLED:
        steps = max(1, round(rungs.COOLDOWN * schedule.budget))
        row |= probing.cooled(task, state.model, state.optimizer, fresh, steps, clock)
    state.record.rows.append(row)
    return True


def _initial(seen: np.ndarray) -> Row:
    """Level and noise of the first losses, as the package's watch takes them."""
    meter = LossMeter()
    for loss in seen:
        meter.add(float(loss))
    middle, spread = meter.initial()
    if middle is None or spread is None:
        return {}
    return {"initial_loss": middle, "initial_spread": spread}


def _copies(state: State) -> list[Tensor]:
    """Weights before a step."""
    return [p.detach().clone() for g in state.optimizer.param_groups for p in g["params"]]


def _fresh(task: Task, seed: int, rung: int) -> Iterator[Any]:
    """Batches for readings: others at every rung."""
    return probing.fresh_batches(task, 1_000 * seed + rung)


def _ended(task: Task, state: State) -> Record:
    record = state.record
    record.final.setdefault("diverged_at", 0.0)
    if record.final["diverged_at"]:
        return record
    test = getattr(task, "test", None)
    last = record.rows[-1]
    record.final |= {
        "final_loss": last["loss"],
        "final_averaged_loss": last["averaged_loss"],
    }
    if test is not None:
        record.final["final_test"] = test(state.model)
        with state.average.swapped_in():
            record.final["final_averaged_test"] = test(state.model)
    return record
