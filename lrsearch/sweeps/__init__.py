"""Running a sweep over a task: storage, leases, resume, leaderboard, confirmation."""

from lrsearch.integrations import task_edge as task_edge
from lrsearch.sweeps._confirm import Confirmation as Confirmation
from lrsearch.sweeps._confirm import confirm as confirm
from lrsearch.sweeps._confirm import confirmations as confirmations
from lrsearch.sweeps._confirm import recorded_confirmation as recorded_confirmation
from lrsearch.sweeps._costs import Costs as Costs
from lrsearch.sweeps._costs import costs as costs
from lrsearch.sweeps._estimate import Estimate as Estimate
from lrsearch.sweeps._estimate import estimate as estimate
from lrsearch.sweeps._events import Listener as Listener
from lrsearch.sweeps._events import Silent as Silent
from lrsearch.sweeps._events import TrialEnd as TrialEnd
from lrsearch.sweeps._interrupt import interruptible as interruptible
from lrsearch.sweeps._leaderboard import leaderboard as leaderboard
from lrsearch.sweeps._leaderboard import row_of as row_of
from lrsearch.sweeps._leaderboard import total_cost as total_cost
from lrsearch.sweeps._live import Live as Live
from lrsearch.sweeps._live import table_of as table_of
from lrsearch.sweeps._masked import masked as masked
from lrsearch.sweeps._memory import file_stem as file_stem
from lrsearch.sweeps._patient import PatientStorage as PatientStorage
from lrsearch.sweeps._regime_words import regime_sentences as regime_sentences
from lrsearch.sweeps._regime_words import regime_table as regime_table
from lrsearch.sweeps._regime_words import write_regimes as write_regimes
from lrsearch.sweeps._regimes import MappedRegimes as MappedRegimes
from lrsearch.sweeps._regimes import map_regimes as map_regimes
from lrsearch.sweeps._savings import Saving as Saving
from lrsearch.sweeps._savings import kind_of_stop as kind_of_stop
from lrsearch.sweeps._savings import savings as savings
from lrsearch.sweeps._solution import Solutions as Solutions
from lrsearch.sweeps._solution import solution_remarks as solution_remarks
from lrsearch.sweeps._solution import solution_table as solution_table
from lrsearch.sweeps._solution import solutions as solutions
from lrsearch.sweeps._storage import only_study as only_study
from lrsearch.sweeps._storage import open_storage as open_storage
from lrsearch.sweeps._storage import open_study as open_study
from lrsearch.sweeps._storage import shown as shown
from lrsearch.sweeps._story import sentences as sentences
from lrsearch.sweeps._story import story as story
from lrsearch.sweeps._summary import closing as closing
from lrsearch.sweeps._summary import schedule_of as schedule_of
from lrsearch.sweeps._summary import summary as summary
from lrsearch.sweeps._summary import write_winner as write_winner
from lrsearch.sweeps._sweep import SweepResult as SweepResult
from lrsearch.sweeps._sweep import sweep as sweep
from lrsearch.sweeps._weights import best_weights as best_weights
from lrsearch.sweeps._weights import keep_best as keep_best

__all__ = [
    "Confirmation",
    "Costs",
    "Estimate",
    "Listener",
    "Live",
    "MappedRegimes",
    "PatientStorage",
    "Saving",
    "Silent",
    "Solutions",
    "SweepResult",
    "TrialEnd",
    "best_weights",
    "closing",
    "confirm",
    "confirmations",
    "costs",
    "estimate",
    "file_stem",
    "interruptible",
    "keep_best",
    "kind_of_stop",
    "leaderboard",
    "map_regimes",
    "masked",
    "only_study",
    "open_storage",
    "open_study",
    "recorded_confirmation",
    "regime_sentences",
    "regime_table",
    "row_of",
    "savings",
    "schedule_of",
    "sentences",
    "shown",
    "solution_remarks",
    "solution_table",
    "solutions",
    "story",
    "summary",
    "sweep",
    "table_of",
    "task_edge",
    "total_cost",
    "write_regimes",
    "write_winner",
]
