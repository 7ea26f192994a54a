"""Find a learning rate schedule: measure the edge of stability, search in its units.

The public names live in the rooms of the package and are fetched on first use, so that
`import lrsearch` costs nothing and pulls in neither torch nor optuna.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lrsearch._version import __version__

if TYPE_CHECKING:
    from lrsearch import exceptions as exceptions
    from lrsearch import integrations as integrations
    from lrsearch import schedules as schedules
    from lrsearch import search as search
    from lrsearch import stability as stability
    from lrsearch import theory as theory
    from lrsearch import training as training
    from lrsearch.exceptions import LrsearchError as LrsearchError
    from lrsearch.integrations import edge as edge
    from lrsearch.integrations import watch as watch
    from lrsearch.integrations.optuna import EdgeSampler as EdgeSampler
    from lrsearch.integrations.optuna import RawStudy as RawStudy
    from lrsearch.integrations.optuna import SettledCallback as SettledCallback
    from lrsearch.integrations.optuna import StabilityPruner as StabilityPruner
    from lrsearch.integrations.optuna import best_schedule as best_schedule
    from lrsearch.integrations.optuna import enqueue as enqueue
    from lrsearch.integrations.optuna import optimize as optimize
    from lrsearch.schedules import Schedule as Schedule
    from lrsearch.search import ScheduleSpace as ScheduleSpace
    from lrsearch.stability import Edge as Edge
    from lrsearch.stability import Reading as Reading
    from lrsearch.stability import Verdict as Verdict
    from lrsearch.training import Task as Task

__all__ = [
    "Edge",
    "EdgeSampler",
    "LrsearchError",
    "RawStudy",
    "Reading",
    "Schedule",
    "ScheduleSpace",
    "SettledCallback",
    "StabilityPruner",
    "Task",
    "Verdict",
    "__version__",
    "best_schedule",
    "edge",
    "enqueue",
    "optimize",
    "watch",
]

# Public name -> the module it lives in.
_HOMES = {
    "Edge": "lrsearch.stability",
    "EdgeSampler": "lrsearch.integrations.optuna",
    "LrsearchError": "lrsearch.exceptions",
    "RawStudy": "lrsearch.integrations.optuna",
    "Reading": "lrsearch.stability",
    "Schedule": "lrsearch.schedules",
    "ScheduleSpace": "lrsearch.search",
    "SettledCallback": "lrsearch.integrations.optuna",
    "StabilityPruner": "lrsearch.integrations.optuna",
    "Task": "lrsearch.training",
    "Verdict": "lrsearch.stability",
    "best_schedule": "lrsearch.integrations.optuna",
    "edge": "lrsearch.integrations",
    "enqueue": "lrsearch.integrations.optuna",
    "optimize": "lrsearch.integrations.optuna",
    "watch": "lrsearch.integrations",
}

# Modules that `lrsearch.<name>` reaches without an import statement of their own.
_SUBMODULES = frozenset(
    {
        "cli",
        "curvature",
        "exceptions",
        "integrations",
        "ray",
        "schedules",
        "search",
        "stability",
        "sweeps",
        "tasks",
        "testing",
        "theory",
        "training",
        "tuners",
        "visualization",
    }
)

# Hidden from type checkers: they would take every misspelt name for an object.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in _SUBMODULES:
            return import_module(f"{__name__}.{name}")
        if name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
            globals()[name] = value
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
