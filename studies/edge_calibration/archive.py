"""Raw results as compressed JSON, written whole or not at all."""

import gzip
import json
from pathlib import Path
from typing import Any

RAW = Path(__file__).parent / "raw"


def path_of(task: str) -> Path:
    """Where the ladder of a task lies."""
    return RAW / f"{task}.json.gz"


def alternatives_of(task: str) -> Path:
    """Where the other scales of a task lie."""
    return RAW / "alternatives" / f"{task}.json.gz"


def mup_of(task: str) -> Path:
    """Where the runs of a task in muP lie."""
    return RAW / "mup" / f"{task}.json.gz"


def shapes_of(task: str) -> Path:
    """Where the runs of a task with other schedule shapes lie."""
    return RAW / "shapes" / f"{task}.json.gz"


def load(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt") as file:
        found: dict[str, Any] = json.load(file)
    return found


def save(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    with gzip.GzipFile(scratch, "wb", mtime=0) as file:
        file.write(json.dumps(document).encode())
    scratch.replace(path)
