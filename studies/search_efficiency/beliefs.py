"""What the package believes of schedule shapes before a trial, from the development tables.

    python beliefs.py                 # prints what stands in lrsearch/search/_shapes.py

The log loss that a shape gives up at its best rate, against the best cell: mean over the tables.
"""

import numpy as np
import raw
import tasks
from families import SHAPES
from table import Table

from lrsearch.search._shapes import MEASURED

DIGITS = 3


def given_up(tables: list[Table]) -> dict[str, float]:
    """Shape -> log loss."""
    found = {}
    for label in SHAPES:
        lost = [min(mu for c, mu in t.truth.items() if c[0] == label) - t.best for t in tables]
        found[label] = round(float(np.mean(lost)), DIGITS)
    return found


def shipped() -> dict[str, float]:
    """What stands in the package, by the same names."""
    plain = {(s.family, tuple(sorted(s.parameters.items()))): s.label for s in SHAPES.values()}
    found = {}
    for family, parameters, lost in MEASURED:
        own = tuple(sorted((n, v) for n, v in parameters.items() if n != "cycles"))
        found[plain[family, own]] = lost
    return found


def main() -> None:
    for label, lost in given_up(list(raw.recorded(tasks.DEVELOPMENT).values())).items():
        print(f"{label}: {lost}")


if __name__ == "__main__":
    main()
