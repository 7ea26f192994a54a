"""Learning-rate schedules: pure functions from the step to the learning rate.

This room needs the standard library and numpy only; torch is imported inside `Schedule.torch`.
"""

from lrsearch.schedules._averaging import Averaging
from lrsearch.schedules._distill import distilled
from lrsearch.schedules._document import write as write_document
from lrsearch.schedules._export import (
    EXPORT_FORMATS,
    export,
    to_csv,
    to_json,
    to_transformers,
)
from lrsearch.schedules._family import Family, Span
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._schedule import Schedule
from lrsearch.schedules._snippet import to_numpy, to_optax, to_torch
from lrsearch.schedules._transformers import scheduler_arguments, training_arguments
from lrsearch.schedules.shapes._join import join
from lrsearch.schedules.shapes._registry import families, get_family, tuner_families

__all__ = [
    "EXPORT_FORMATS",
    "Averaging",
    "Family",
    "Parameter",
    "Schedule",
    "Span",
    "distilled",
    "export",
    "families",
    "get_family",
    "join",
    "scheduler_arguments",
    "to_csv",
    "to_json",
    "to_numpy",
    "to_optax",
    "to_torch",
    "to_transformers",
    "training_arguments",
    "tuner_families",
    "write_document",
]
