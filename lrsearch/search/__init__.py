"""What to try next and what to stop: space, records, engine, decide. Pure (numpy, scipy)."""

from lrsearch.search._decide import RULES as RULES
from lrsearch.search._decide import decide as decide
from lrsearch.search._dimension import Dimension as Dimension
from lrsearch.search._dimension import Setting as Setting
from lrsearch.search._engine import Engine as Engine
from lrsearch.search._finished import FinishedRun as FinishedRun
from lrsearch.search._finished import believed as believed
from lrsearch.search._finished import earlier as earlier
from lrsearch.search._outlook import Outlook as Outlook
from lrsearch.search._plan import Plan as Plan
from lrsearch.search._records import TrialRecord as TrialRecord
from lrsearch.search._records import ranked as ranked
from lrsearch.search._seeds import calibration_seed as calibration_seed
from lrsearch.search._seeds import confirmation_seed as confirmation_seed
from lrsearch.search._seeds import trial_seed as trial_seed
from lrsearch.search._space import FAMILY as FAMILY
from lrsearch.search._space import MULTIPLIER as MULTIPLIER
from lrsearch.search._space import PLAN_KEY as PLAN_KEY
from lrsearch.search._space import RATE_KEY as RATE_KEY
from lrsearch.search._space import REQUEST_KEY as REQUEST_KEY
from lrsearch.search._space import WARMUP as WARMUP
from lrsearch.search._space import ScheduleSpace as ScheduleSpace
from lrsearch.search._standings import Standing as Standing
from lrsearch.search._stored_space import space_of as space_of

__all__ = [
    "FAMILY",
    "MULTIPLIER",
    "PLAN_KEY",
    "RATE_KEY",
    "REQUEST_KEY",
    "RULES",
    "WARMUP",
    "Dimension",
    "Engine",
    "FinishedRun",
    "Outlook",
    "Plan",
    "ScheduleSpace",
    "Setting",
    "Standing",
    "TrialRecord",
    "believed",
    "calibration_seed",
    "confirmation_seed",
    "decide",
    "earlier",
    "ranked",
    "space_of",
    "trial_seed",
]
