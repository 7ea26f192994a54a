"""lrsearch in Optuna: sampler, pruner, host, and what a study knows."""

from lrsearch.integrations.optuna._attributes import ERROR_KEY as ERROR_KEY
from lrsearch.integrations.optuna._attributes import SPACE_KEY as SPACE_KEY
from lrsearch.integrations.optuna._attributes import VERDICT_KEY as VERDICT_KEY
from lrsearch.integrations.optuna._attributes import plan_of as plan_of
from lrsearch.integrations.optuna._attributes import readings_of as readings_of
from lrsearch.integrations.optuna._attributes import verdict_of as verdict_of
from lrsearch.integrations.optuna._host import OptunaHost as OptunaHost
from lrsearch.integrations.optuna._pruner import StabilityPruner as StabilityPruner
from lrsearch.integrations.optuna._sampler import EdgeSampler as EdgeSampler
from lrsearch.integrations.optuna._sampler import refuse_other_space as refuse_other_space
from lrsearch.integrations.optuna._study import best_schedule as best_schedule
from lrsearch.integrations.optuna._study import edge_key as edge_key
from lrsearch.integrations.optuna._study import enqueue as enqueue
from lrsearch.integrations.optuna._study import store_edge as store_edge
from lrsearch.integrations.optuna._study import stored_edge as stored_edge

__all__ = [
    "ERROR_KEY",
    "SPACE_KEY",
    "VERDICT_KEY",
    "EdgeSampler",
    "OptunaHost",
    "StabilityPruner",
    "best_schedule",
    "edge_key",
    "enqueue",
    "plan_of",
    "readings_of",
    "refuse_other_space",
    "store_edge",
    "stored_edge",
    "verdict_of",
]
