"""The edge as the package measures it at the start of a sweep, and what that cost.

    python edges.py [--tables fashion_sgd ...] [--seeds 8]

Recording measures it too; this measures it anew, into `tables/NAME.edges.json`, when the package
has another way to. Replays take the newer one.
"""

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import raw
import store
import tasks
import torch
from table import Table, edges_beside

from lrsearch.exceptions import LrsearchError
from lrsearch.integrations._task_edge import task_edge
from lrsearch.training import Task


def measured(task: Task, seed: int, budget: int) -> dict[str, Any]:
    """The edge with this seed; where none can be measured, why."""
    try:
        edge = task_edge(task, budget=budget, seed=seed)
    except LrsearchError as error:
        return {"seed": seed, "error": str(error)}
    return {"seed": seed, "learning_rate": edge.learning_rate, "cost": edge.cost}


def path_of(folder: Path, seed: int) -> Path:
    return folder / "edges" / f"{seed}.json"


def save(folder: Path, seed: int, edge: dict[str, Any]) -> None:
    path = path_of(folder, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(edge) + "\n")
    scratch.replace(path)


def load(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in sorted((folder / "edges").glob("*.json"))]


def measured_anew(function: str, seeds: int) -> str:
    """Edges of a recorded task, as the package measures them now."""
    torch.set_num_threads(1)
    path = raw.table_path(function)
    budget, task = Table.read(path).budget, getattr(tasks, function)()
    found = [measured(task, seed, budget) for seed in range(seeds)]
    about = {"table": task.name, "environment": store.environment(), "edges": found}
    raw.save(edges_beside(path), about)
    rates = ", ".join(f"{e['learning_rate']:.3g}" if "cost" in e else "none" for e in found)
    return f"{task.name}: {rates}"


def main() -> None:
    assert __doc__ is not None
    parser = raw.arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    raw.in_processes(measured_anew, options.tables, options.seeds, options.jobs)


if __name__ == "__main__":
    main()
