"""lrsearch for Ray Tune: ``lrsearch.ray.tuner(task, space).fit()``, or its parts for a Tuner.

Raises:
    MissingExtraError: On import, where Ray is not installed.
"""

from __future__ import annotations

from lrsearch.exceptions import MissingExtraError

try:
    import ray.tune  # noqa: F401
except ImportError as error:
    raise MissingExtraError(
        f"lrsearch.ray needs Ray Tune, which cannot be imported ({error}): "
        "pip install 'lrsearch[ray]'."
    ) from error

from lrsearch.integrations.ray import EdgeSearcher as EdgeSearcher
from lrsearch.integrations.ray import RayTrial as RayTrial
from lrsearch.integrations.ray import StabilityTrialScheduler as StabilityTrialScheduler
from lrsearch.integrations.ray import best_schedule as best_schedule
from lrsearch.integrations.ray import data_parallel as data_parallel
from lrsearch.integrations.ray import edge as edge
from lrsearch.integrations.ray import param_space as param_space
from lrsearch.integrations.ray import task_trainable as task_trainable
from lrsearch.integrations.ray import trial as trial
from lrsearch.integrations.ray import tuner as tuner
from lrsearch.integrations.ray import watch as watch

__all__ = [
    "EdgeSearcher",
    "RayTrial",
    "StabilityTrialScheduler",
    "best_schedule",
    "data_parallel",
    "edge",
    "param_space",
    "task_trainable",
    "trial",
    "tuner",
    "watch",
]
