"""What is fitted on development tables, and frozen with its hash before evaluation is looked at.

    python freeze.py                  # tables/ of the development tasks -> frozen.json

For each class of optimizers: the usual rate (median best rate of linear decay) and the multiplier
of the measured edge (the same in its units). For all: the shapes that won.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import grid
import measures
import numpy as np
import tasks
from table import Table

HERE = Path(__file__).parent
FROZEN = HERE / "frozen.json"
WINNERS = 3  # shapes that a prior keeps


def table_path(function: str) -> Path:
    return HERE / "tables" / f"{function.replace('_', '-')}.parquet"


def fitted(tables: list[Table], classes: list[str]) -> dict[str, Any]:
    """Constants of these tables."""
    rates: dict[str, list[float]] = {}
    octaves: dict[str, list[float]] = {}
    wins: Counter[str] = Counter()
    for table, kind in zip(tables, classes, strict=True):
        own = {cell: mu for cell, mu in table.truth.items() if cell[0] == "linear"}
        rates.setdefault(kind, []).append(grid.rate(min(own, key=lambda c: (own[c], c))[1]))
        mean = float(np.mean(measures.transfer(table, 1.0).octaves))
        octaves.setdefault(kind, []).append(mean)
        best = {s: min(mu for c, mu in table.truth.items() if c[0] == s) for s in table.shapes}
        wins.update(sorted(best, key=lambda s: (best[s], s))[:WINNERS])
    every = [v for values in octaves.values() for v in values]
    return {
        "tasks": [table.name for table in tables],
        "usual_rate": {kind: float(2 ** np.median(np.log2(v))) for kind, v in rates.items()},
        "multiplier": {kind: float(2 ** np.median(v)) for kind, v in octaves.items()},
        "multiplier_of_all": float(2 ** np.median(every)),
        "shapes": [name for name, _ in sorted(wins.items(), key=lambda w: (-w[1], w[0]))[:WINNERS]],
    }


def digest(constants: dict[str, Any]) -> str:
    """Hash of the constants."""
    plain = json.dumps({k: v for k, v in constants.items() if k != "hash"}, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def frozen() -> dict[str, Any]:
    """The constants.

    Raises:
        SystemExit: If there are none yet.
    """
    if not FROZEN.exists():
        raise SystemExit("there is no frozen.json: record the development tables, run freeze.py.")
    found: dict[str, Any] = json.loads(FROZEN.read_text())
    return found


def main() -> None:
    names = [name for name in tasks.DEVELOPMENT if table_path(name).exists()]
    tables = [Table.read(table_path(name)) for name in names]
    constants = fitted(tables, [tasks.CLASSES[name] for name in names])
    constants["hash"] = digest(constants)
    FROZEN.write_text(json.dumps(constants, indent=1) + "\n")
    print(json.dumps(constants, indent=1))


if __name__ == "__main__":
    main()
