"""The edge of a task, measured in a worker of the cluster, with what one trial takes."""

from __future__ import annotations

from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from lrsearch.exceptions import LrsearchError, TaskError
from lrsearch.integrations import task_edge
from lrsearch.integrations.ray import begin_memory, by_value, measured_memory
from lrsearch.stability import Edge
from lrsearch.training import Task

Measured = tuple[Edge, dict[str, float], list[str]]


def cluster_edge(task: Task, budget: int, seed: int, resources: dict[str, float]) -> Measured:
    """`task_edge` in a worker: the edge, the memory that it took in GiB, and its progress lines.

    Raises:
        CalibrationError: If no rate trains the task.
        TaskError: If the task itself raises, or the worker died again and again.
    """
    by_value(task)
    measure = ray.remote(
        num_cpus=resources["cpu"], num_gpus=resources.get("gpu", 0), max_retries=2
    )(_measure)
    try:
        found: Measured | LrsearchError = ray.get(measure.remote(task, budget, seed))
    except RayTaskError as error:
        raise TaskError(
            f"task {task.name!r} cannot be used on the cluster: {error.cause or error}. What it "
            "imports must be installed on every node."
        ) from error
    except RayError as error:
        raise TaskError(
            f"the worker that measured the edge of task {task.name!r} died: "
            f"{str(error).splitlines()[0]}. Does the task fit the memory of a node?"
        ) from error
    if isinstance(found, LrsearchError):
        raise found
    return found


def _measure(task: Task, budget: int, seed: int) -> Any:
    lines: list[str] = []
    begin_memory()
    try:
        edge = task_edge(task, budget=budget, seed=seed, progress=lines.append)
    except LrsearchError as error:
        return type(error)(str(error))  # without the traceback, which may not travel
    return edge, measured_memory(task.device), lines
