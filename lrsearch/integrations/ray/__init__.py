"""lrsearch in Ray Tune: searcher, trial scheduler, tuner, and a trial as its worker sees it."""

from lrsearch.integrations.ray._best import best_schedule as best_schedule
from lrsearch.integrations.ray._data_parallel import data_parallel as data_parallel
from lrsearch.integrations.ray._face import edge as edge
from lrsearch.integrations.ray._face import trial as trial
from lrsearch.integrations.ray._face import watch as watch
from lrsearch.integrations.ray._housekeeping import Housekeeping as Housekeeping
from lrsearch.integrations.ray._housekeeping import delete_trial_folder as delete_trial_folder
from lrsearch.integrations.ray._memory import advice as advice
from lrsearch.integrations.ray._memory import begin_memory as begin_memory
from lrsearch.integrations.ray._memory import measured_memory as measured_memory
from lrsearch.integrations.ray._record import CHECKPOINT_KEY as CHECKPOINT_KEY
from lrsearch.integrations.ray._record import CONFIG_KEY as CONFIG_KEY
from lrsearch.integrations.ray._record import START_KEY as START_KEY
from lrsearch.integrations.ray._record import address_of as address_of
from lrsearch.integrations.ray._record import pairs_of as pairs_of
from lrsearch.integrations.ray._record import step_of as step_of
from lrsearch.integrations.ray._scheduler import StabilityTrialScheduler as StabilityTrialScheduler
from lrsearch.integrations.ray._searcher import EdgeSearcher as EdgeSearcher
from lrsearch.integrations.ray._ship import by_value as by_value
from lrsearch.integrations.ray._space import param_space as param_space
from lrsearch.integrations.ray._task import MEMORY_KEY as MEMORY_KEY
from lrsearch.integrations.ray._task import METRIC as METRIC
from lrsearch.integrations.ray._task import WEIGHTS as WEIGHTS
from lrsearch.integrations.ray._task import task_trainable as task_trainable
from lrsearch.integrations.ray._trial import RayTrial as RayTrial
from lrsearch.integrations.ray._tuner import tuner as tuner

__all__ = [
    "CHECKPOINT_KEY",
    "CONFIG_KEY",
    "MEMORY_KEY",
    "METRIC",
    "START_KEY",
    "WEIGHTS",
    "EdgeSearcher",
    "Housekeeping",
    "RayTrial",
    "StabilityTrialScheduler",
    "address_of",
    "advice",
    "begin_memory",
    "best_schedule",
    "by_value",
    "data_parallel",
    "delete_trial_folder",
    "edge",
    "measured_memory",
    "pairs_of",
    "param_space",
    "step_of",
    "task_trainable",
    "trial",
    "tuner",
    "watch",
]
