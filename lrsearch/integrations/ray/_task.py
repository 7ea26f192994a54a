"""A `Task` as a training function of Tune: watched, checkpointed, resumed bit for bit."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray import tune

from lrsearch.exceptions import CheckpointError
from lrsearch.integrations._task_edge import task_edge
from lrsearch.integrations.optuna._attributes import COST_KEY, ERROR_KEY, VERDICT_KEY, cost_of
from lrsearch.integrations.optuna._study import edge_key
from lrsearch.integrations.ray._board import shared_edge
from lrsearch.integrations.ray._memory import begin_memory, measured_memory
from lrsearch.integrations.ray._record import CONFIG_KEY
from lrsearch.integrations.ray._ship import by_value
from lrsearch.integrations.ray._trial import RayTrial
from lrsearch.schedules import Schedule
from lrsearch.search import PLAN_KEY, Plan, ScheduleSpace
from lrsearch.stability import Verdict
from lrsearch.training import Task, TrainResult, load_checkpoint, save_checkpoint, train

logger = logging.getLogger("lrsearch")

METRIC = "metric"  # what results call the task's metric
MEMORY_KEY = "lrsearch:memory"
RUN, WEIGHTS = "run.pt", "weights.pt"
CHECKPOINT_SECONDS = 10.0  # a run that is done again in less needs no checkpoint


def task_trainable(
    task: Task,
    space: ScheduleSpace,
    *,
    share: float = 0.02,
    evaluate_every: int | None = None,
    checkpoint_every: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    checkpoint_limit: int | None = None,
) -> Callable[[dict[str, Any]], Any]:
    """The training function that `tuner` makes of a task; `Tuner.restore` wants it again.

    Its results hold "metric" at the end, and on the way where it is asked for. A run that is no
    longer finite, and a task that raises, end the trial with their reason in the record; a process
    that dies is Tune's to start again, from the last checkpoint.

    Args:
        task: What to train. It travels by value; modules that it imports must be on every node.
        space: The space that trials are drawn from.
        share: Share of a run's cost for watching it.
        evaluate_every: Steps between evaluations on the way, which trial schedulers that compare
            metrics (ASHA) need.
        checkpoint_every: Steps between checkpoints; a tenth of the budget by default.
        checkpoint_seconds: Seconds between two checkpoints at the least.
        checkpoint_limit: Bytes that a checkpoint may have; a larger one is not kept.
    """

    def train_task(config: dict[str, Any], task: Task) -> None:
        with tempfile.TemporaryDirectory(prefix="lrsearch-") as scratch:
            folder = Path(scratch) / "checkpoint"
            folder.mkdir()
            own = config.get(CONFIG_KEY) or {}
            step = _fetch(folder / RUN, own.get("checkpoint"))
            trial, seed = RayTrial(config, resumed_from=step), int(own.get("seed") or 0)

            trial.report({})  # so that an attempt that dies before its first reading is known

            def keep(step: int) -> None:
                trial.step = step
                if checkpoint_limit and (folder / RUN).stat().st_size > checkpoint_limit:
                    logger.warning("a checkpoint is over the disk quota: training goes on without")
                    return
                trial.report({}, checkpoint=tune.Checkpoint.from_directory(folder))

            def evaluated(step: int, metric: float) -> None:
                trial.step = step
                trial.report({METRIC: metric})

            begin_memory()
            try:
                result = train(
                    task,
                    _schedule(task, space, trial),
                    seed=seed,
                    host=trial,
                    share=share,
                    checkpoint=folder / RUN,
                    checkpoint_every=checkpoint_every,
                    checkpoint_seconds=checkpoint_seconds,
                    evaluate_every=evaluate_every,
                    on_checkpoint=keep,
                    on_evaluation=evaluated,
                )
            except Exception as error:  # a user's task may raise anything
                trial.set_user_attr(ERROR_KEY, f"{type(error).__name__}: {error}")
                trial.report({"done": True})
                raise
            _finish(trial, task, result, folder)

    by_value(task)
    run: Callable[[dict[str, Any]], Any] = tune.with_parameters(train_task, task=task)
    return run


def _schedule(task: Task, space: ScheduleSpace, trial: RayTrial) -> Schedule:
    """The trial's schedule; its edge is measured by whoever comes first."""
    if (plain := trial.own.get("plan")) is not None:
        plan = Plan.from_dict(plain)
        trial.user_attrs[PLAN_KEY] = plain
        return plan.schedule()
    seed = int(trial.own.get("edge_seed") or 0)
    found = shared_edge(
        trial,
        edge_key(task.name, ""),
        lambda progress: task_edge(task, budget=space.budget, seed=seed, progress=progress),
    )
    return space.suggest(trial, found)


def _fetch(path: Path, earlier: str | None) -> int:
    """Bring the trial's checkpoint here; the step that it goes on from, 0 where there is none.

    Args:
        path: Where to put it.
        earlier: Where an earlier experiment of the same study left one.
    """
    checkpoint = tune.get_checkpoint()
    if checkpoint is None and earlier is None:
        return 0
    try:
        checkpoint = checkpoint or tune.Checkpoint(earlier)
        with checkpoint.as_directory() as folder:
            shutil.copyfile(Path(folder) / RUN, path)
        return int(load_checkpoint(path)["step"])
    except (CheckpointError, OSError, KeyError) as error:
        logger.warning("the trial starts over: %s", error)
        path.unlink(missing_ok=True)
        return 0


def _finish(trial: RayTrial, task: Task, result: TrainResult, folder: Path) -> None:
    """Report the end of a whole run; with its weights where they may be the best."""
    trial.step = result.steps
    cost = cost_of(result.steps, result.watch_cost, result.tuner_cost, result.result_cost)
    trial.set_user_attr(COST_KEY, cost)
    trial.set_user_attr(MEMORY_KEY, measured_memory(task.device))
    if result.metric != result.metric:
        reason = f"diverged: {task.metric} is not finite"
        verdict = Verdict(
            stop=True, regime="diverged", side="hot", step=result.steps, reason=reason
        )
        trial.set_user_attr(VERDICT_KEY, verdict.to_dict())
        trial.report({"done": True})
        return
    checkpoint = None
    if _may_be_best(result.metric, trial.own, task):
        (folder / RUN).unlink(missing_ok=True)
        state = {"trial": trial.number, "metric": result.metric, "model": result.model.state_dict()}
        save_checkpoint(folder / WEIGHTS, state)
        checkpoint = tune.Checkpoint.from_directory(folder)
    trial.report({METRIC: result.metric}, checkpoint=checkpoint)


def _may_be_best(metric: float, own: Mapping[str, Any], task: Task) -> bool:
    best = own.get("best")
    if best is None:
        return True
    return bool(metric <= best if task.direction == "minimize" else metric >= best)
