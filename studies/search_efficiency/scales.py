"""Scales that a learning rate could be a multiple of, measured for real beside our edge.

    python scales.py [--tables fashion_sgd ...] [--seeds 8]

- the rate of the lowest smoothed loss in a range test (Smith 2015), over a fifth of the budget
- 2 over the largest eigenvalue of the Hessian at initialisation, two batches
- the raw rate: then a multiplier is the usual rate

Every scale gets its multiplier from the development tables (`freeze.py`).
"""

import math
import os
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import raw
import tasks
import torch
from judged import Judged
from oneshot import SHARE, range_test
from probing import fresh_batches
from rungs import TOP_BATCHES
from table import Table

from lrsearch.curvature import sharpness

HVPS = 30
SEED = 100  # of the first measurement: no recorded run's
EDGE, RAW_RATE = "our edge", "raw rate"
Scales = dict[str, dict[str, Any]]  # name -> rates of the measurements, cost in full runs


def ranged(task: Judged, seed: int) -> tuple[float, float]:
    """Rate of the lowest smoothed loss, and the steps that finding it took."""
    rates, losses = range_test(task, seed, max(20, round(SHARE * task.budget)))
    if not len(rates):
        return math.nan, 1.0
    return float(rates[int(np.argmin(losses))]), float(len(rates))


def initial(task: Judged, seed: int) -> tuple[float, float]:
    """2 over the sharpness at initialisation, and its cost in gradients."""
    torch.manual_seed(seed)
    model = task.model().to(task.device)
    stream = fresh_batches(task, seed)
    held = [next(stream) for _ in range(TOP_BATCHES)]
    found = sharpness(model, task.loss, *held, max_hvps=HVPS)
    return (2 / found.value if found.value > 0 else math.nan), found.cost


WAYS = {"range test": ranged, "2 / sharpness at initialisation": initial}


def measured(function: str, seeds: int) -> Scales:
    """The scales that take a model, by name."""
    torch.set_num_threads(1)
    task: Judged = getattr(tasks, function)()
    found: Scales = {}
    for name, way in WAYS.items():
        runs = [way(task, SEED + seed) for seed in range(seeds)]
        found[name] = {
            "rates": [rate for rate, _ in runs if math.isfinite(rate)],
            "cost": round(float(np.mean([cost for _, cost in runs])) / task.budget, 4),
        }
    return found


def scales(table: Table) -> Scales:
    """All scales of a table: the measured ones, our edge, and none.

    Raises:
        SystemExit: If its others have not been measured.
    """
    path = raw.path_of(table.name, "scales")
    if not path.exists():
        raise SystemExit(f"no scales of {table.name}: run scales.py first.")
    edges = [e for e in table.about["edges"] if "learning_rate" in e]
    ours = {
        "rates": [e["learning_rate"] for e in edges],
        "cost": float(np.mean([e["cost"] for e in edges])) / table.budget if edges else math.nan,
    }
    return {EDGE: ours, RAW_RATE: {"rates": [1.0], "cost": 0.0}, **raw.load(path)["scales"]}


def main() -> None:
    parser = raw.arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    raw.fill("scales", options.tables, lambda name, _: {"scales": measured(name, options.seeds)})


if __name__ == "__main__":
    main()
