"""Record what other schedule shapes want, with the warm-up that the judge's tables do not have.

    python shapes.py [--tasks NAME ...] [--jobs 2]     # resumes; one file a task in raw/shapes/

Each shape over the task's own budget, at rates around its best one, warmed up over a twentieth of
it, as `ladder.py` records linear decay, with the same seeds. Half of the tasks are of the
development half and half of the evaluation half.
"""

import os
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import archive
import pool
import rates
import torch
from ladder import climb, environment, log_loss
from specs import BY_NAME, DEVELOPMENT, EVALUATION

SHAPES = ("constant", "wsd", "uba-5")
NAMES = (
    "fashion-mlp128-sgd-b64-t500",
    "fashion-mlp64-sgd-b256-t500",
    "fashion-mlp128-momentum-b64-t500",
    "fashion-mlp256-x0.5-momentum95-b128-t500",
    "fashion-mlp128-adam-b64-t500",
    "fashion-mlp256-x2-adam-b256-t500",
    "mnist-mlp128-sgd-b32-t500",
    "mnist-mlp256-x2-sgd-b512-t500",
    "mnist-mlp128-nesterov-b32-t500",
    "mnist-mlp512-x0.5-nesterov95-b128-t500",
    "mnist-mlp128-rmsprop-b64-t500",
    "mnist-mlp256-adamw-b2-b128-t500",
)
HALVES = {
    "Development": [s.name for s in DEVELOPMENT if s.name in NAMES],
    "Evaluation": [s.name for s in EVALUATION if s.name in NAMES],
}


def record(name: str) -> str:
    """Every shape of a task that is not there yet; each is written in one stroke."""
    torch.set_num_threads(1)
    spec, path = BY_NAME[name], archive.shapes_of(name)
    kept: dict[str, Any] = archive.load(path) if path.exists() else {"task": name, "shapes": {}}
    kept["environment"] = environment()
    start = rates.place(archive.load(archive.path_of(name))["usual_rate"])
    for shape in SHAPES:
        if shape in kept["shapes"]:
            continue
        found = climb(spec, spec.budget, "full", start, shape)
        kept["shapes"][shape] = {str(k): found[k] for k in sorted(found)}
        archive.save(path, kept)
        best = rates.lowest({k: log_loss(runs) for k, runs in found.items()})
        print(f"{name}: {shape}: best rate {rates.rate(1) ** best:.4g}", flush=True)
    return name


def main() -> None:
    assert __doc__ is not None
    pool.run(__doc__, record, NAMES)


if __name__ == "__main__":
    main()
