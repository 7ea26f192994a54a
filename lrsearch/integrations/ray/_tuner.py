"""`tuner`: an ordinary `ray.tune.Tuner` with our searcher and trial scheduler in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from optuna.storages import BaseStorage
from ray import tune

from lrsearch.exceptions import UnsupportedError
from lrsearch.integrations.ray._ending import Ending
from lrsearch.integrations.ray._housekeeping import Housekeeping
from lrsearch.integrations.ray._scheduler import StabilityTrialScheduler
from lrsearch.integrations.ray._searcher import EdgeSearcher
from lrsearch.integrations.ray._task import METRIC, task_trainable
from lrsearch.search import ScheduleSpace
from lrsearch.stability import Edge
from lrsearch.training import Task

RETRIES = 3  # times that Tune starts a trial again whose process died

Trainable = Callable[[dict[str, Any]], Any] | type


def tuner(
    trainable: Task | Trainable,
    space: ScheduleSpace,
    *,
    metric: str | None = None,
    mode: str | None = None,
    num_samples: int = 20,
    edge: Edge | float | None = None,
    storage: str | BaseStorage | None = None,
    study_name: str | None = None,
    seed: int | None = None,
    resources: Mapping[str, float] | None = None,
    param_space: Mapping[str, Any] | None = None,
    tune_config: tune.TuneConfig | None = None,
    run_config: tune.RunConfig | None = None,
    **task_options: Any,
) -> tune.Tuner:
    """A Tuner that searches a schedule space: ``lrsearch.ray.tuner(task, space).fit()``.

    What ``tune_config`` and ``run_config`` say stands; what they leave open is ours:
    `EdgeSearcher`, `StabilityTrialScheduler`, three retries of a trial whose process died, one
    checkpoint a trial.

    Args:
        trainable: A `Task`, or a training function of Tune that uses `lrsearch.ray.trial`.
        space: The schedule space.
        metric: What the training function reports; a task's metric is called "metric".
        mode: "min" or "max"; a task knows its own.
        num_samples: Number of trials, where there is no ``tune_config`` to say it.
        edge: The edge, if it is known; else the first worker that needs it measures it.
        storage: Optuna storage for the study that remembers everything; by default it lives in the
            driver and in Tune's snapshots.
        study_name: Its name.
        seed: Seed of everything.
        resources: Of one trial, such as ``{"cpu": 1, "gpu": 0.25}``.
        param_space: Other parameters to search, in Tune's own words.
        tune_config: Tune's own configuration.
        run_config: Tune's own configuration.
        **task_options: Of `task_trainable`, for a task.

    Raises:
        UnsupportedError: If metric or mode are missing, or contradict a task's.
    """
    config, run = tune_config or tune.TuneConfig(), run_config or tune.RunConfig()
    if isinstance(trainable, Task):
        ours = METRIC, "min" if trainable.direction == "minimize" else "max"
        if (metric or ours[0], mode or ours[1]) != ours:
            raise UnsupportedError(
                f"task {trainable.name!r} reports {ours[0]!r} with mode {ours[1]!r}, got "
                f"{metric!r} and {mode!r}: leave both out."
            )
        metric, mode = ours
        function: Any = task_trainable(trainable, space, **task_options)
        run = replace(run, callbacks=[*(run.callbacks or []), Housekeeping(metric, mode)])
        if tune_config is None:  # a new process takes seconds to import torch
            config = replace(config, reuse_actors=True)
    else:
        metric, mode, function = metric or config.metric, mode or config.mode, trainable
        if task_options:
            raise UnsupportedError(
                f"{sorted(task_options)} are options of a Task; a training function of your own "
                "does these things itself."
            )
    if metric is None or mode is None:
        raise UnsupportedError(
            "tuner needs metric= and mode='min' or 'max': the name that the training function "
            f"reports its result by, got {metric!r} and {mode!r}."
        )
    config = replace(config, metric=metric, mode=mode)
    if tune_config is None:
        config = replace(config, num_samples=num_samples)
    if config.search_alg is None:
        searcher = EdgeSearcher(
            space,
            metric=metric,
            mode=mode,
            edge=edge,
            storage=storage,
            study_name=study_name,
            seed=seed,
        )
        config = replace(config, search_alg=searcher)
    elif edge is not None or storage is not None or study_name is not None:
        raise UnsupportedError(
            "edge=, storage= and study_name= belong to EdgeSearcher: give them to the searcher in "
            "tune_config, or leave it out."
        )
    run = replace(run, callbacks=[*(run.callbacks or []), Ending(config.search_alg)])
    if config.scheduler is None:
        config = replace(config, scheduler=StabilityTrialScheduler())
    if run.failure_config is None or run.failure_config == tune.FailureConfig():
        run = replace(run, failure_config=tune.FailureConfig(max_failures=RETRIES))
    if run.checkpoint_config is None or run.checkpoint_config == tune.CheckpointConfig():
        run = replace(run, checkpoint_config=tune.CheckpointConfig(num_to_keep=1))
    if config.trial_dirname_creator is None:  # Tune's own names spell out the whole config
        config = replace(config, trial_dirname_creator=_directory)
    if resources is not None:
        function = tune.with_resources(function, dict(resources))
    return tune.Tuner(
        function, param_space=dict(param_space or {}), tune_config=config, run_config=run
    )


def _directory(trial: Any) -> str:
    return f"trial_{trial.trial_id}"
