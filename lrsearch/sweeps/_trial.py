"""One trial of a sweep, from its suggestion to its end: whatever happens, the sweep goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState

from lrsearch.exceptions import CheckpointError, StorageError
from lrsearch.integrations.optuna import (
    COST_KEY,
    ERROR_KEY,
    SEED_KEY,
    VERDICT_KEY,
    OptunaHost,
    cost_of,
    plan_of,
    readings_of,
    verdict_of,
)
from lrsearch.schedules import get_family
from lrsearch.search import ScheduleSpace, trial_seed
from lrsearch.stability import Edge, Verdict
from lrsearch.sweeps._attempts import begin_attempt, cause_of_death, leave_attempt
from lrsearch.sweeps._disk import Quota
from lrsearch.sweeps._events import Listener, TrialEnd
from lrsearch.sweeps._lease import Lease, checkpoint_path
from lrsearch.sweeps._masked import masked
from lrsearch.sweeps._patient import first_line
from lrsearch.sweeps._weights import put_in_place, set_aside
from lrsearch.training import Task, TrainResult, load_checkpoint, train


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every trial of a sweep is run with."""

    task: Task
    space: ScheduleSpace
    edge: Edge
    seed: int
    share: float
    folder: Path
    listener: Listener
    checkpoint_every: int | None
    quota: Quota
    interrupted: Callable[[], bool]


def run_trial(bench: Bench, study: optuna.Study, trial: optuna.Trial, lease: Lease) -> TrialEnd:
    """Train one trial's schedule and tell the study how it ended.

    A task's own exception fails this trial alone, with the reason stored.

    Raises:
        KeyboardInterrupt: If the sweep is interrupted; the trial stays open with its checkpoint.
        StorageError: If the storage fails; likewise.
    """
    checkpoint = checkpoint_path(lease.path.parent, trial.number)  # where its first worker wrote
    elsewhere = False
    try:
        state, value, reason = _outcome(bench, trial, checkpoint)
        told = study.tell(trial, value, state=state, skip_if_finished=True)
        elsewhere = told.state != state
    except UpdateFinishedTrialError:
        elsewhere = True
    except StorageInternalError as error:
        raise StorageError(
            f"the storage failed in trial {trial.number}: {first_line(error).rstrip('.')}. Its "
            "checkpoint is kept: run the same command again once the storage answers."
        ) from error
    if elsewhere:
        bench.listener.note(f"trial {trial.number} was ended by another worker meanwhile")
        found = next(t for t in study.get_trials() if t.number == trial.number)
        state, value = found.state, found.values[0] if found.values else None
        reason = "ended by another worker"
    complete = state == TrialState.COMPLETE and not elsewhere
    put_in_place(bench.folder, trial.number, bench.task.direction, complete=complete)
    checkpoint.unlink(missing_ok=True)
    return TrialEnd(
        number=trial.number,
        state=state.name.lower(),
        metric=value,
        reason=reason,
        plan=plan_of(trial.user_attrs),
        cost=full_runs(trial.user_attrs.get(COST_KEY), bench.space.budget),
    )


def _outcome(
    bench: Bench, trial: optuna.Trial, checkpoint: Path
) -> tuple[TrialState, float | None, str]:
    """How the trial ends, with its reason; whatever tells why is stored in it."""
    state, value, reason = TrialState.FAIL, None, ""
    step = _step_of(checkpoint)
    if (cause := cause_of_death(trial.user_attrs, step)) is not None:
        _store_failure(trial, cause)
        return state, value, cause
    try:
        result = _train(bench, trial, checkpoint, step)
        if math.isfinite(result.metric):
            state, value, reason = TrialState.COMPLETE, result.metric, "finished"
            _set_aside(bench, trial.number, result)
        else:
            state, reason = TrialState.PRUNED, f"diverged: {bench.task.metric} is not finite"
            _store_verdict(trial, bench.space.budget, reason)
        further = result.tuner_cost, result.result_cost
        _store_cost(trial, result.steps, result.watch_cost, *further)
    except optuna.TrialPruned as pruned:
        state, reason = TrialState.PRUNED, str(pruned)
        verdict = verdict_of(trial.user_attrs)
        _store_cost_until(trial, verdict.step if verdict else 0)
    except (StorageInternalError, UpdateFinishedTrialError):
        raise
    except Exception as error:  # a user's task may raise anything
        reason = masked(f"{type(error).__name__}: {error}")
        _store_failure(trial, reason)
    return state, value, reason


def full_runs(cost: dict[str, float] | None, budget: int) -> float:
    """A trial's stored cost in full-run equivalents, watching and tuning included."""
    return 0.0 if not cost else sum(cost.values()) / budget


def _train(bench: Bench, trial: optuna.Trial, checkpoint: Path, step: int) -> TrainResult:
    schedule = bench.space.suggest(trial, bench.edge)
    plan = plan_of(trial.user_attrs)
    assert plan is not None
    seed = trial_seed(bench.seed, trial.number)
    trial.set_user_attr(SEED_KEY, seed)

    begun = left = False

    def on_step(step: int) -> None:
        nonlocal begun
        if not begun:  # only now is it known where its checkpoint stood
            bench.listener.begin(trial.number, plan, step - 1)
            begun = True
        bench.listener.step(trial.number, step)

    def interrupted() -> bool:
        nonlocal left
        left = bench.interrupted()
        return left

    def once() -> TrainResult:
        return train(
            bench.task,
            schedule,
            seed=seed,
            host=OptunaHost(trial),
            share=bench.share,
            checkpoint=checkpoint if bench.quota.allows(checkpoint) else None,
            checkpoint_every=bench.checkpoint_every,
            interrupted=interrupted,
            on_step=on_step,
            on_checkpoint=lambda step: bench.quota.written(checkpoint),
        )

    begin_attempt(trial, step)
    try:
        try:
            return once()
        except CheckpointError as error:
            if not checkpoint.exists():
                raise
            bench.listener.note(f"trial {trial.number} starts over: {error}")
            checkpoint.unlink()
            begin_attempt(trial, 0, instead=True)
            return once()
    except KeyboardInterrupt:
        if left:
            with suppress(StorageInternalError):
                leave_attempt(trial)
        raise


def _step_of(checkpoint: Path) -> int:
    """The step that a trial would go on from."""
    if not checkpoint.exists():
        return 0
    try:
        return int(load_checkpoint(checkpoint)["step"])
    except (CheckpointError, KeyError):  # it will start over, and say so
        return 0


def _set_aside(bench: Bench, number: int, result: TrainResult) -> None:
    model, direction = result.model.state_dict(), bench.task.direction
    try:
        set_aside(bench.folder, model, trial=number, metric=result.metric, direction=direction)
    except CheckpointError as error:  # a full disk must not cost the result
        bench.listener.note(f"the final weights of trial {number} are not kept: {error}")


def _store_failure(trial: optuna.Trial, reason: str) -> None:
    trial.set_user_attr(ERROR_KEY, reason)
    _store_cost_until(trial, max((r.step for r in readings_of(trial.user_attrs)), default=0))


def _store_verdict(trial: optuna.Trial, step: int, reason: str) -> None:
    verdict = Verdict(stop=True, regime="diverged", side="hot", step=step, reason=reason)
    trial.set_user_attr(VERDICT_KEY, verdict.to_dict())


def _store_cost_until(trial: optuna.Trial, step: int) -> None:
    """Store what a trial that was cut short has cost, in gradients, for it could not say."""
    readings = readings_of(trial.user_attrs)
    watch = max((r.cost for r in readings if r.step <= step), default=0.0)
    plan = plan_of(trial.user_attrs)
    tuner = 0.0 if plan is None else step * (get_family(plan.family).gradients - 1.0)
    _store_cost(trial, step, watch, tuner)


def _store_cost(trial: optuna.Trial, *cost: float) -> None:
    trial.set_user_attr(COST_KEY, cost_of(*cost))
