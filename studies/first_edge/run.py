"""Record runs over a grid of rates, with readings, around the calibrated edge of every task.

    python studies/first_edge/run.py            # resumes; one file a task in raw/
    python studies/first_edge/report.py         # tables from raw/

One thread. Linear decay with 5 % warm-up, rates half an octave apart from 5 octaves under the
calibration to 2.5 octaves over it, several seeds each; three calibrations with fresh seeds.
"""

import gzip
import json
import platform
import sys
from pathlib import Path

import numpy as np
import torch

import lrsearch
from lrsearch.schedules import Schedule
from lrsearch.sweeps import task_edge
from lrsearch.training import train

sys.path.insert(0, str(Path(__file__).parent))
from tasks import tasks

RAW = Path(__file__).parent / "raw"
SEEDS = 4
GRID = np.arange(-10, 6) / 2  # octaves


def record(name: str) -> None:
    """Everything about one task, written in one stroke."""
    path = RAW / f"{name}.json.gz"
    if path.exists():
        return
    task, budget, kind = tasks()[name]
    edges = [task_edge(task, budget=budget, seed=seed) for seed in range(3)]
    middle = float(np.median([e.proxy_rate for e in edges]))
    runs = []
    for octave in GRID:
        peak = middle * 2.0**octave
        schedule = Schedule("linear", peak, budget, warmup_steps=round(0.05 * budget))
        for seed in range(SEEDS):
            result = train(task, schedule, seed=1000 + seed)
            readings = [r.to_dict() for r in result.readings]
            metric = result.metric if np.isfinite(result.metric) else None
            runs.append({"peak": peak, "seed": seed, "metric": metric, "readings": readings})
        print(f"{name}: rate {peak:.3g}: {[r['metric'] for r in runs[-SEEDS:]]}", flush=True)
    document = {
        "task": name,
        "class": kind,
        "budget": budget,
        "edges": [e.to_dict() for e in edges],
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
    with gzip.GzipFile(scratch, "wb", mtime=0) as file:
        file.write(json.dumps(document).encode())
    scratch.replace(path)


if __name__ == "__main__":
    import warnings

    warnings.filterwarnings("ignore", message="training diverged")
    torch.set_num_threads(1)
    for name in sys.argv[1:] or tasks():
        record(name)
