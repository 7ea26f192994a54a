"""What sweeps recommend after as little as one run with a tuner costs, by replay.

    python studies/lr_tuners/versus_sweeps.py     # resumes; raw/versus/TASK/sweeps.json

The judge keeps recommendations at 3, 10 and 40 full runs; these are the same replays, cut short.
"""

import json
import math
from typing import Any

import versus  # puts the judge's folder on the path
from freeze import frozen
from methods import methods
from table import Table

METHODS = ("ours", "tpe [edge]", "tpe [wide]")
COSTS = (1.0, 2.0, 3.5)
SWEEPS = 20


def replay(function: str, method: str) -> dict[str, list[Any]]:
    """Cost -> regret of every sweep's recommendation; "inf" where it has none yet."""
    table = Table.read(versus.judge.table_path(function))
    sweep = methods(frozen(), versus.tasks.CLASSES[function])[method]
    traces = [sweep(table, seed=seed, cost=4.0, workers=1) for seed in range(SWEEPS)]
    found = {}
    for cost in COSTS:
        at = [trace.at(cost) for trace in traces]
        regrets = [math.inf if one is None else one.regret for one in at]
        found[f"{cost:g}"] = [round(r, 5) if math.isfinite(r) else "inf" for r in regrets]
    return found


def main() -> None:
    for function in (*versus.EVALUATION, *versus.DEVELOPMENT):
        path = versus.path_of(function, "sweeps")
        document = json.loads(path.read_text()) if path.exists() else {}
        document.setdefault("task", function.replace("_", "-"))
        document.setdefault("environment", versus.environment())
        for method in METHODS:
            if method not in document:
                document[method] = replay(function, method)
                versus.judge.save(path, document)
                print(f"{function}: {method}", flush=True)


if __name__ == "__main__":
    main()
