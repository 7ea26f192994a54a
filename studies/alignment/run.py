"""Record the best peak of several schedule shapes on development tasks.

    python studies/alignment/run.py [TASK ...]   # resumes; one file a task in raw/
    python studies/alignment/report.py           # tables from raw/

One thread, no watch. Nine peaks half an octave apart, around linear decay's best rate of
studies/first_edge times half of the octaves that the convex bound says; four seeds, the same for
all shapes and peaks.
"""

import gzip
import json
import platform
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

import lrsearch
from lrsearch.schedules import Schedule
from lrsearch.theory import optimal_peak
from lrsearch.training import train

HERE = Path(__file__).parent
EDGE = HERE.parent / "first_edge"
sys.path.insert(0, str(EDGE))
from tasks import tasks  # noqa: E402

RAW = HERE / "raw"
SEEDS = 4
GRID = np.arange(-4, 5) / 2  # octaves
TASKS = (
    "fashion-sgd", "fashion-momentum", "fashion-adam",
    "digits-sgd-batch128", "digits-momentum", "digits-adam",
)  # fmt: skip
SHAPES = {
    "linear": ("linear", {}),
    "constant": ("constant", {}),
    "wsd 20 % linear": ("wsd", {"cooldown": 0.2, "cooldown_shape": "linear"}),
    "wsd 20 % 1-sqrt": ("wsd", {"cooldown": 0.2}),
    "rex": ("rex", {}),
    "polynomial 3": ("polynomial", {"power": 3.0}),
    "exponential 0.01": ("exponential", {"ratio": 0.01}),
    "step, 2 drops": ("step", {}),
    "cosine, 4 cycles": ("cosine_restarts", {"cycles": 4}),
}


def linear_best(name: str) -> float:
    """The grid rate of linear decay with the least mean log metric, from first_edge."""
    with gzip.open(EDGE / "raw" / f"{name}.json.gz") as file:
        runs = json.load(file)["runs"]
    rates = sorted({run["peak"] for run in runs})
    mean = [
        np.mean([np.log(r["metric"]) if r["metric"] else 9.0 for r in runs if r["peak"] == rate])
        for rate in rates
    ]
    return float(rates[int(np.argmin(mean))])


def octaves(family: str, parameters: dict) -> float:
    """The bound's relative optimal peak, 400 steps, no warm-up."""
    linear = optimal_peak(Schedule("linear", 1.0, 400))
    return float(np.log2(optimal_peak(Schedule(family, 1.0, 400, parameters)) / linear))


def record(name: str) -> None:
    """All runs of one task, written in one stroke."""
    path = RAW / f"{name}.json"
    if path.exists():
        return
    task, budget, kind = tasks()[name]
    middle = linear_best(name)
    runs = []
    for shape, (family, parameters) in SHAPES.items():
        center = middle * 2.0 ** (0.5 * octaves(family, parameters))
        for octave in GRID:
            peak = float(center * 2.0**octave)
            schedule = Schedule(family, peak, budget, parameters, round(0.05 * budget))
            metrics = [
                train(task, schedule, seed=1000 + s, share=None).metric for s in range(SEEDS)
            ]
            finite = [m if np.isfinite(m) else None for m in metrics]
            runs.append({"shape": shape, "peak": peak, "metrics": finite})
        print(f"{name}: {shape}", flush=True)
    document = {
        "task": name,
        "class": kind,
        "budget": budget,
        "seeds": SEEDS,
        "runs": runs,
        "environment": {
            "lrsearch": lrsearch.__version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "machine": platform.machine(),
        },
    }
    RAW.mkdir(exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(document, indent=1) + "\n")
    scratch.replace(path)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="training diverged")
    torch.set_num_threads(1)
    for name in sys.argv[1:] or TASKS:
        record(name)
