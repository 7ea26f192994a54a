"""The edge of a task: its model, its first batches, its optimizer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch

from lrsearch.exceptions import LrsearchError, TaskError
from lrsearch.integrations._face import edge as measure_edge
from lrsearch.search import calibration_seed
from lrsearch.stability import Edge
from lrsearch.training import Task

BATCHES = 256  # of one epoch, so that those held out to judge by are not trained on
ANY_RATE = 1e-3  # an optimizer is built with some rate; calibration sets its own


def optimizer_kind(task: Task) -> str:
    """Class name of the task's optimizer.

    Raises:
        TaskError: If the task cannot build it.
    """
    with blamed(task, "its edge was measured"):
        return type(task.optimizer(task.model(), ANY_RATE)).__name__


def task_edge(
    task: Task, *, budget: int, seed: int = 0, progress: Callable[[str], None] | None = None
) -> Edge:
    """Measure the edge learning rate of a task at fresh weights.

    Args:
        task: The task.
        budget: Optimizer steps of a run; longer runs get a longer calibration.
        seed: Seed of weights and batches.
        progress: Told one line for every annealed run.

    Raises:
        CalibrationError: If no rate trains the task.
        TaskError: If the task itself raises.

    Cost: about 0.2 runs of ``budget`` steps; more under 1,000 and less over 2,000, for annealed
    runs have 40 to 80 steps.
    """
    seed = calibration_seed(seed)
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    with blamed(task, "its edge was measured"):
        model = task.model().to(task.device)
        optimizer = task.optimizer(model, ANY_RATE)
        data = list(islice(task.stream(seed, 0), BATCHES))
        return measure_edge(
            None, model, optimizer, task.loss, data, budget=budget, progress=progress
        )


@contextmanager
def blamed(task: Task, doing: str) -> Iterator[None]:
    """Turn what a user's task raises into one sentence about it.

    Raises:
        TaskError: If it raises anything that is not ours.
    """
    try:
        yield
    except LrsearchError:
        raise
    except Exception as error:  # a user's task may raise anything
        raise TaskError(
            f"task {task.name!r} failed while {doing}: "
            f"{type(error).__name__}: {error}. Mend the task, then run the command again."
        ) from error
