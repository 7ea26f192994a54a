"""The edge as the package measures it at the start of a sweep, and what that cost."""

import json
from pathlib import Path
from typing import Any

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
