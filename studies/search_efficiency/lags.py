"""What is left at the end of a run's lag behind another, from the development tables.

    python lags.py                 # prints what stands in lrsearch/search/_forecast.py

At each rung, over runs that end within three times the best: the share of a difference in the log
validation loss of averaged weights that is left in the log of the final one (least squares within
tables, each table weighing the same), and the deviation about it. For one run of the two.
"""

import math

import numpy as np
import raw
import rungs
import tasks
from forecasts import contenders, logs
from table import Table

from lrsearch.search._forecast import MEASURED

WITHIN = math.log(3.0)
RUNGS = (1, 2, 4, 8, 12, 16)
SIGNAL = "averaged weights"
Lags = dict[float, tuple[float, float]]  # share of the run -> share of a lag left, deviation


def left(tables: list[Table]) -> Lags:
    """What stands in the package."""
    found: Lags = {}
    for rung in RUNGS:
        seen, final = [], []
        for table in tables:
            signal, end, _ = logs(contenders(table, WITHIN), SIGNAL, rung)
            weight = 1 / math.sqrt(len(end))
            seen.append(weight * (signal - signal.mean()))
            final.append(weight * (end - end.mean()))
        x, y = np.concatenate(seen), np.concatenate(final)
        share = float(x @ y / (x @ x))
        deviation = math.sqrt(float(((y - share * x) ** 2).sum()) / len(tables))
        found[round(rung / rungs.RUNGS, 3)] = (round(share, 2), round(deviation, 3))
    return found


def main() -> None:
    for share, (slope, deviation) in left(list(raw.recorded(tasks.DEVELOPMENT).values())).items():
        print(f"    ({share}, {slope}, {deviation}),  # shipped: {MEASURED.get(share)}")


if __name__ == "__main__":
    main()
