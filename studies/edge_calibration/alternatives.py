"""Other scales that a learning rate could be a multiple of, measured on the tasks of `specs.py`.

    python alternatives.py [--tasks NAME ...] [--jobs 2]     # resumes; one file a task

- the rate of the lowest smoothed loss in a range test (Smith 2015, 1506.01186) over 100 steps
- 2 over the largest eigenvalue of the Hessian at initialisation, two batches
- the curvature-aware tuner (CDAT, Roulet et al. 2024, 2407.06183; sigma 2, moving averages 0.9),
  begun at a hundredth of the usual rate and growing by at most a fifth a step, without which the
  first steps of Adam explode: the median of its rates over the last third of 100 steps
"""

import math
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import archive
import numpy as np
import pool
import torch
from ladder import ANY_RATE, SEEDS
from specs import BY_NAME, Spec  # puts the judge's folder on the path

from oneshot import range_test  # isort: skip
from scales import initial  # isort: skip

from lrsearch.curvature import curvature_along, usual_rate
from lrsearch.curvature._guard import copy_
from lrsearch.training import Task, batches

STEPS = 100
SIGMA, EMA = 2.0, 0.9
START, GROWTH = 0.01, 1.2  # of the usual rate; a step
STEP_COST = 3.0  # gradients: one, and a Hessian-vector product

Scale = tuple[float, float]  # the rate, nan where there is none; cost in gradients


def ranged(task: Task, seed: int) -> Scale:
    """Rate of the lowest smoothed loss."""
    found, losses = range_test(task, seed, STEPS)
    if not len(found):
        return math.nan, 1.0
    return float(found[int(np.argmin(losses))]), float(len(found))


def tuned(task: Task, seed: int) -> Scale:
    """The level that the tuner reaches: ``sigma * mean(-g'u) / mean(|u'Hu|)``, ``u`` the update."""
    torch.manual_seed(seed)
    model = task.model()
    optimizer = task.optimizer(model, 1.0)
    usual = usual_rate(task.optimizer(task.model(), ANY_RATE))
    assert usual is not None
    params = [p for p in model.parameters() if p.requires_grad]
    stream, last, seen = batches(task, seed), START * usual, []
    falls = bends = 0.0
    for _ in range(STEPS):
        batch = next(stream)
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss(model, batch)
        if not math.isfinite(float(loss.detach())):
            return math.nan, STEP_COST * len(seen)
        loss.backward()
        before = [p.detach().clone() for p in params]
        optimizer.step()
        update = [p.detach() - b for p, b in zip(params, before, strict=True)]
        copy_(params, before)
        along = curvature_along(model, task.loss, batch, direction=update)
        falls = EMA * falls + (1 - EMA) * max(-along.slope, 0.0)
        bends = EMA * bends + (1 - EMA) * abs(along.curvature)
        last = min(SIGMA * falls / bends if bends > 0 else math.inf, GROWTH * last)
        seen.append(last)
        copy_(params, [b + last * u for b, u in zip(before, update, strict=True)])
    return float(np.median(seen[2 * STEPS // 3 :])), STEP_COST * STEPS


WAYS: dict[str, Callable[[Any, int], Scale]] = {
    "range test": ranged,
    "2 / sharpness at initialisation": initial,
    "curvature-aware tuner": tuned,
}


def measure(name: str) -> str:
    """All scales of a task, from the seeds of its calibrations."""
    torch.set_num_threads(1)
    spec: Spec = BY_NAME[name]
    path = archive.alternatives_of(name)
    if not path.exists():
        task = spec.task()
        found = {}
        for way, scale in WAYS.items():
            runs = [scale(task, seed) for seed in range(SEEDS)]
            rates = [rate if math.isfinite(rate) else None for rate, _ in runs]
            found[way] = {"rates": rates, "cost": float(np.mean([cost for _, cost in runs]))}
        archive.save(path, {"task": name, "scales": found})
    return name


def main() -> None:
    assert __doc__ is not None
    pool.run(__doc__, measure, BY_NAME)


if __name__ == "__main__":
    main()
