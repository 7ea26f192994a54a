"""Wrong stops of every rule on every table, as raw results.

python stops.py [--tables fashion_sgd ...] [--streams 300]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import streams
import tasks
from compare import RAW
from freeze import table_path
from methods import ALL_BUT_LOSS, CURVATURE
from streams import Rule
from table import Table

SIZES = (8, 16, 32)


def rules() -> dict[str, Rule]:
    """What is compared, by name."""
    found: dict[str, Rule] = {
        "ours": streams.ours(),
        "ours, no curvature": streams.ours(CURVATURE),
        "ours, divergence only": streams.ours(ALL_BUT_LOSS),
        "ours, curvature of other runs": streams.ours(shuffled=True),
    }
    for signal, label in (("loss", ""), ("averaged_loss", ", averaged")):
        for rungs in (1, 3, 5):
            for kept in (3, 5):
                found[f"{rungs} rungs, then {kept}{label}"] = streams.staged(rungs, kept, signal)
    return found


def path_of(table: str) -> Path:
    return RAW / table / "stops.json"


def run(table: Table, count: int) -> dict[str, Any]:
    """Share of streams with a wrong stop, and share of cost saved, by size and rule."""
    tolerance = table.tolerance()
    found: dict[str, dict[str, Any]] = {}
    for size in SIZES:
        found[str(size)] = {}
        for name, rule in rules().items():
            seen = [streams.outcome(table, rule, size, seed, tolerance) for seed in range(count)]
            found[str(size)][name] = {
                "wrong": sum(s.wrong for s in seen) / count,
                "saved": round(sum(s.saved for s in seen) / count, 4),
            }
    return {"table": table.name, "tolerance": tolerance, "streams": count, "sizes": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    everything = [*tasks.DEVELOPMENT, *tasks.EVALUATION]
    parser.add_argument("--tables", nargs="*", default=everything, help="functions of tasks.py")
    parser.add_argument("--streams", type=int, default=300)
    options = parser.parse_args()
    for function in options.tables:
        if not table_path(function).exists():
            continue
        table = Table.read(table_path(function))
        path = path_of(table.name)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run(table, options.streams), indent=1) + "\n")
        print(table.name, flush=True)


if __name__ == "__main__":
    main()
