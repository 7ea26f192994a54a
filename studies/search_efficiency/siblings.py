"""What an earlier study on a sibling task saves: another budget, or another width and batch.

    python siblings.py [--sweeps 50]

Our own sweeps begin with the study that one of twelve trials left on the sibling's table, by
`EdgeSampler(prior_studies=[...])`, beside the same sweeps without it.
"""

import os
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
import raw
from ours import Ours
from simulate import replay
from table import Table

from lrsearch import EdgeSampler

# Task -> its sibling. The first pair is of the development half.
SIBLINGS = {
    "fashion_sgd_4000": "fashion_sgd",
    "mnist_nesterov_4000": "mnist_nesterov",
    "mnist_nesterov_wide": "mnist_nesterov",
    "mnist_nesterov": "mnist_nesterov_4000",
}
EARLIER_COST = 12.0  # full runs of the sibling
COST = 20.0


class Kept(Ours):
    """Ours, whose study is kept."""

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        self.study, spent = super().begin(table, seed)
        return self.study, spent


class After(Ours):
    """Ours, after an earlier study."""

    def __init__(self, study: optuna.Study) -> None:
        super().__init__(name="ours, after a sibling")
        self.earlier = study

    def begin(self, table: Table, seed: int) -> tuple[optuna.Study, float]:
        study, spent = super().begin(table, seed)
        study.sampler = EdgeSampler(self.space, seed=seed, prior_studies=[self.earlier])
        return study, spent


def measured(function: str, sweeps: int) -> dict[str, Any]:
    """Costs until the recommendation settles, with and without the sibling's study."""
    table, sibling = (Table.read(raw.table_path(f)) for f in (function, SIBLINGS[function]))
    tolerance = table.tolerance()
    found: dict[str, list[float]] = {"alone": [], "after": []}
    for seed in range(sweeps):
        first = Kept()
        replay(sibling, first, seed=seed + sweeps, cost=EARLIER_COST)
        for name, method in (("alone", Ours()), ("after", After(first.study))):
            trace = replay(table, method, seed=seed, cost=COST)
            found[name].append(round(trace.settled(tolerance), 4))
    return {"table": table.name, "sibling": sibling.name, "tolerance": tolerance, **found}


def rows() -> list[str]:
    """The report's table."""
    lines = [
        "| task | earlier study on | T50 alone | T50 after it | T75 alone | T75 after it |",
        "|---|---|---|---|---|---|",
    ]
    for function in SIBLINGS:
        path = raw.path_of(function.replace("_", "-"), "siblings")
        if not path.exists():
            continue
        document = raw.load(path)
        costs = [np.array([float(v) for v in document[k]]) for k in ("alone", "after")]
        cells = [
            f"{np.quantile(cost, q, method='higher'):.1f}" for q in (0.5, 0.75) for cost in costs
        ]
        lines.append(f"| {document['table']} | {document['sibling']} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    assert __doc__ is not None
    parser = raw.arguments(__doc__)
    parser.add_argument("--sweeps", type=int, default=50)
    options = parser.parse_args()
    for function in SIBLINGS:
        path = raw.path_of(function.replace("_", "-"), "siblings")
        if function in options.tables and not path.exists():
            raw.save(path, measured(function, options.sweeps))
            print("\n".join(rows()), flush=True)


if __name__ == "__main__":
    main()
