"""lrsearch in Optuna: sampler, pruner, host, and what a study knows."""

from lrsearch.integrations.optuna._attributes import ATTEMPTS_KEY as ATTEMPTS_KEY
from lrsearch.integrations.optuna._attributes import COST_KEY as COST_KEY
from lrsearch.integrations.optuna._attributes import ERROR_KEY as ERROR_KEY
from lrsearch.integrations.optuna._attributes import SEED_KEY as SEED_KEY
from lrsearch.integrations.optuna._attributes import SPACE_KEY as SPACE_KEY
from lrsearch.integrations.optuna._attributes import TUNE_KEY as TUNE_KEY
from lrsearch.integrations.optuna._attributes import VERDICT_KEY as VERDICT_KEY
from lrsearch.integrations.optuna._attributes import cost_of as cost_of
from lrsearch.integrations.optuna._attributes import plan_of as plan_of
from lrsearch.integrations.optuna._attributes import readings_of as readings_of
from lrsearch.integrations.optuna._attributes import verdict_of as verdict_of
from lrsearch.integrations.optuna._earlier import RawStudy as RawStudy
from lrsearch.integrations.optuna._host import OptunaHost as OptunaHost
from lrsearch.integrations.optuna._pruner import StabilityPruner as StabilityPruner
from lrsearch.integrations.optuna._rank_trial import RankTrial as RankTrial
from lrsearch.integrations.optuna._ranks import optimize as optimize
from lrsearch.integrations.optuna._sampler import EdgeSampler as EdgeSampler
from lrsearch.integrations.optuna._sampler import refuse_other_space as refuse_other_space
from lrsearch.integrations.optuna._study import best_schedule as best_schedule
from lrsearch.integrations.optuna._study import edge_key as edge_key
from lrsearch.integrations.optuna._study import enqueue as enqueue
from lrsearch.integrations.optuna._study import recommended as recommended
from lrsearch.integrations.optuna._study import store_edge as store_edge
from lrsearch.integrations.optuna._study import stored_edge as stored_edge
from lrsearch.integrations.optuna._study import stored_edges as stored_edges
from lrsearch.integrations.optuna._until import SettledCallback as SettledCallback
from lrsearch.integrations.optuna._until import check_tolerance as check_tolerance
from lrsearch.integrations.optuna._until import study_outlook as study_outlook
from lrsearch.integrations.optuna._until import study_standings as study_standings

__all__ = [
    "ATTEMPTS_KEY",
    "COST_KEY",
    "ERROR_KEY",
    "SEED_KEY",
    "SPACE_KEY",
    "TUNE_KEY",
    "VERDICT_KEY",
    "EdgeSampler",
    "OptunaHost",
    "RankTrial",
    "RawStudy",
    "SettledCallback",
    "StabilityPruner",
    "best_schedule",
    "check_tolerance",
    "cost_of",
    "edge_key",
    "enqueue",
    "optimize",
    "plan_of",
    "readings_of",
    "recommended",
    "refuse_other_space",
    "store_edge",
    "stored_edge",
    "stored_edges",
    "study_outlook",
    "study_standings",
    "verdict_of",
]
