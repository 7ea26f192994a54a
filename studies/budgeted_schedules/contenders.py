"""The schedules that are compared; all of them come from `lrsearch.schedules`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrsearch.schedules import Schedule, get_family

WARMUP = 0.05  # of the budget, where a schedule starts at its peak
PHIS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Shape:
    """A family with its shape parameters fixed.

    Attributes:
        label: What tables call it.
        family: The schedule family.
        parameters: Its shape parameters.
    """

    label: str
    family: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def values(self, budget: int) -> NDArray[np.float64]:
        """Learning rates of the budget's steps at peak 1."""
        warmup = round(WARMUP * budget) if get_family(self.family).starts_at_peak else 0
        schedule = Schedule(self.family, 1.0, budget, dict(self.parameters), warmup_steps=warmup)
        return np.asarray(schedule.values())


BASELINES = (
    Shape("constant", "constant"),
    Shape("step", "step", {"drops": 2, "factor": 0.1, "spacing": "halving"}),
    Shape("cosine", "cosine"),
    Shape("linear", "linear"),
    Shape("one-cycle", "one_cycle", {"momentum": "kept"}),
    Shape("rex", "rex"),
    Shape("wsd", "wsd", {"cooldown": 0.2, "cooldown_shape": "1-sqrt"}),
    Shape("cyclic", "cyclic"),
)
UBAS = tuple(Shape(f"uba {phi:g}", "uba", {"phi": phi}) for phi in PHIS)
SHAPES = {shape.label: shape for shape in (*BASELINES, *UBAS)}
