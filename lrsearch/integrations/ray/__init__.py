"""lrsearch in Ray Tune: searcher, trial scheduler, tuner, and a trial as its worker sees it."""

from lrsearch.integrations.ray._face import edge as edge
from lrsearch.integrations.ray._face import trial as trial
from lrsearch.integrations.ray._face import watch as watch
from lrsearch.integrations.ray._memory import advice as advice
from lrsearch.integrations.ray._scheduler import StabilityTrialScheduler as StabilityTrialScheduler
from lrsearch.integrations.ray._searcher import EdgeSearcher as EdgeSearcher
from lrsearch.integrations.ray._space import param_space as param_space
from lrsearch.integrations.ray._task import MEMORY_KEY as MEMORY_KEY
from lrsearch.integrations.ray._task import METRIC as METRIC
from lrsearch.integrations.ray._task import task_trainable as task_trainable
from lrsearch.integrations.ray._trial import RayTrial as RayTrial
from lrsearch.integrations.ray._tuner import tuner as tuner

__all__ = [
    "MEMORY_KEY",
    "METRIC",
    "EdgeSearcher",
    "RayTrial",
    "StabilityTrialScheduler",
    "advice",
    "edge",
    "param_space",
    "task_trainable",
    "trial",
    "tuner",
    "watch",
]
