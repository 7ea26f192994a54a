"""Learning-rate schedules: pure functions from the step to the learning rate.

This room needs the standard library and numpy only; torch is imported inside `Schedule.torch`.
"""

from lrsearch.schedules._export import EXPORT_FORMATS, export, to_csv, to_json
from lrsearch.schedules._family import Family, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._registry import families, get_family
from lrsearch.schedules._schedule import Schedule
from lrsearch.schedules._snippet import to_torch

__all__ = [
    "EXPORT_FORMATS",
    "Family",
    "Parameter",
    "Schedule",
    "Span",
    "export",
    "families",
    "get_family",
    "to_csv",
    "to_json",
    "to_torch",
]
