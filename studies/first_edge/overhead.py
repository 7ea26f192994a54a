"""Wall time of watching: paired runs with and without a watch, in turn, on one thread.

python studies/first_edge/overhead.py [PAIRS]
"""

import json
import platform
import sys
import time
from pathlib import Path
from statistics import median

import torch

from lrsearch.schedules import Schedule
from lrsearch.training import train

sys.path.insert(0, str(Path(__file__).parent))
from tasks import tasks

NAMES = ("digits-momentum", "digits-momentum-2400", "cnn-adamw", "fashion-momentum")
RATES = {"momentum": 0.05, "adam": 0.003}


def seconds(name: str, share: float | None) -> tuple[float, float]:
    """Wall time of one run, and the watch's own account of its share."""
    task, budget, kind = tasks()[name]
    schedule = Schedule("linear", RATES[kind], budget)
    begun = time.perf_counter()
    result = train(task, schedule, seed=0, share=share)
    return time.perf_counter() - begun, result.watch_cost / budget


if __name__ == "__main__":
    torch.set_num_threads(1)
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    found = {}
    for name in NAMES:
        ratios = []
        for _ in range(pairs):
            plain, _ = seconds(name, None)
            watched, account = seconds(name, 0.02)
            ratios.append(watched / plain)
        steps = tasks()[name][1]
        found[name] = {
            "steps": steps,
            "milliseconds_per_step": 1000 * plain / steps,
            "own_account": account,
            "wall_ratio_median": median(ratios),
            "wall_ratios": ratios,
        }
        print(name, {k: v for k, v in found[name].items() if k != "wall_ratios"}, flush=True)
    document = {"torch": str(torch.__version__), "machine": platform.machine(), "pairs": pairs}
    path = Path(__file__).parent / "raw" / "overhead.json"
    path.write_text(json.dumps(document | {"tasks": found}, indent=1) + "\n")
