"""What theory says about schedules: convex bounds, loss-curve laws, and schedules made from them.

This room needs numpy and scipy only.
"""

from lrsearch.theory._annealing_law import AnnealingLaw
from lrsearch.theory._bound import (
    Bound,
    RankedFamily,
    convex_bound,
    optimal_peak,
    rank_families,
)
from lrsearch.theory._curve import Curve
from lrsearch.theory._fit import LawFit, fit_annealing_law, fit_multi_power_law, r_squared
from lrsearch.theory._horizon import longer_cooldown, lower_second_stage, second_stage_factor
from lrsearch.theory._law import LossLaw
from lrsearch.theory._multi_power_law import MultiPowerLaw
from lrsearch.theory._optimal import optimal_levels, optimal_schedule
from lrsearch.theory._refine import refine, refined_shape

__all__ = [
    "AnnealingLaw",
    "Bound",
    "Curve",
    "LawFit",
    "LossLaw",
    "MultiPowerLaw",
    "RankedFamily",
    "convex_bound",
    "fit_annealing_law",
    "fit_multi_power_law",
    "longer_cooldown",
    "lower_second_stage",
    "optimal_levels",
    "optimal_peak",
    "optimal_schedule",
    "r_squared",
    "rank_families",
    "refine",
    "refined_shape",
    "second_stage_factor",
]
