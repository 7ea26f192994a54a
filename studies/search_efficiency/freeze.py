"""What is fitted on development tables, and frozen with its hash before evaluation is looked at.

    python freeze.py                  # tables/ of the development tasks -> frozen.json

For each class of optimizers, and for all: the median best rate of linear decay in units of each
scale (of the raw rate: the usual rate). For all: the shapes that won, and what is left between a
signal at a rung and the final loss.
"""

import hashlib
import json
from collections import Counter
from typing import Any

import forecasts
import measures
import numpy as np
import tasks
from raw import HERE, recorded
from scales import Scales, scales
from table import Table

FROZEN = HERE / "frozen.json"
ALL = "all"
WINNERS = 3  # shapes that a prior keeps


def fitted(tables: list[Table], classes: list[str], known: list[Scales]) -> dict[str, Any]:
    """Constants of these tables.

    Args:
        tables: Of development tasks.
        classes: Their optimizers' classes.
        known: Their scales.
    """
    octaves: dict[str, dict[str, list[float]]] = {}
    wins: Counter[str] = Counter()
    for table, kind, found in zip(tables, classes, known, strict=True):
        for scale, measured in found.items():
            off = measures.transfer(table, measured["rates"], 1.0).octaves
            for group in (kind, ALL):
                octaves.setdefault(scale, {}).setdefault(group, []).append(float(np.mean(off)))
        best = {s: min(mu for c, mu in table.truth.items() if c[0] == s) for s in table.shapes}
        wins.update(sorted(best, key=lambda s: (best[s], s))[:WINNERS])
    return {
        "tasks": [table.name for table in tables],
        "multipliers": {
            scale: {group: float(2 ** np.median(v)) for group, v in groups.items()}
            for scale, groups in octaves.items()
        },
        "forecasts": forecasts.fitted(tables),
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


def refitted() -> dict[str, Any]:
    """Constants of the development tables, with their hash."""
    known = recorded(tasks.DEVELOPMENT)
    found = list(known.values())
    constants = fitted(found, [tasks.CLASSES[n] for n in known], [scales(t) for t in found])
    plain: dict[str, Any] = json.loads(json.dumps(constants))
    return {**plain, "hash": digest(plain)}


def main() -> None:
    constants = refitted()
    FROZEN.write_text(json.dumps(constants, indent=1) + "\n")
    print(json.dumps(constants, indent=1))


if __name__ == "__main__":
    main()
