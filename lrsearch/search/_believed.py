"""Which of the finished runs would be the best once more: the lowest loss is partly luck."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lrsearch.search._levels import levels
from lrsearch.search._plan import Plan
from lrsearch.search._records import TrialRecord
from lrsearch.search._shapes import shape_point
from lrsearch.search._surrogate import Points, Surrogate

FEWEST = 4  # runs from which neighbours tell more than a run's own loss
MOST = 100  # runs of the lowest losses that are looked at


def believed(plans: Sequence[Plan], values: Sequence[float]) -> int | None:
    """Which of these runs has the least expected loss by the surrogate; ``None`` if too few ended.

    Args:
        plans: What each run trained.
        values: What came of each, to be minimised; one that is not finite does not count.

    Cost: a Gaussian process of at most 100 runs; no gradients.
    """
    ended = [i for i, value in enumerate(values) if math.isfinite(value)]
    ended = sorted(ended, key=lambda i: values[i])[:MOST]
    if len(ended) < FEWEST:
        return None
    shapes = [
        shape_point(p.family, p.parameters, p.warmup_steps / p.budget)
        for p in (plans[i] for i in ended)
    ]
    points = Points(
        np.log2(np.array([plans[i].multiplier for i in ended])),
        np.array([shape.place for shape in shapes]),
        np.array([shape.belief for shape in shapes]),
        np.zeros(len(ended), dtype=np.intp),
    )
    records = [TrialRecord(number=i, state="complete", values=(values[i],)) for i in ended]
    process = Surrogate(points, levels(records), np.zeros(len(ended)))
    return ended[int(np.argmin(process.mean(points)))]
