"""Wrong stops of every rule on every table, as raw results.

python stops.py [--tables fashion_sgd ...] [--streams 300]
"""

from typing import Any

import raw
import streams
from methods import CURVATURE
from rounds import VARIANTS
from streams import Rule
from table import Table

SIZES = (8, 16, 32)
LOOKED = frozenset({"annealed_validation"})


def rules() -> dict[str, Rule]:
    """What is compared, by name."""
    found: dict[str, Rule] = {
        "all in full, best by validation": streams.untouched,
        "ours": streams.ours(),
        "ours, no curvature": streams.ours(CURVATURE),
        "ours, runs compared": streams.ours(compared=True),
        "ours, runs compared, no curvature": streams.ours(CURVATURE, compared=True),
        "ours, runs compared, curvature of others": streams.ours(shuffled=CURVATURE, compared=True),
        "ours, runs compared by looks of others": streams.ours(shuffled=LOOKED, compared=True),
    }
    return found | {name: streams.staged(*variant) for name, variant in VARIANTS.items()}


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
    return {"tolerance": tolerance, "streams": count, "sizes": found}


def main() -> None:
    parser = raw.arguments(__doc__)
    parser.add_argument("--streams", type=int, default=300)
    options = parser.parse_args()
    raw.fill("stops", options.tables, lambda _, table: run(table, options.streams))


if __name__ == "__main__":
    main()
