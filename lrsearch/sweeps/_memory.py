"""What a command remembers between two starts: one JSON file, replaced in one stroke."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from lrsearch.exceptions import DocumentError
from lrsearch.schedules import write_document

CHECKPOINT_SECONDS = 10.0  # a run that is done again in less needs no checkpoint
AGAIN = "Delete it: everything is trained again."


def recall(path: Path, version: int) -> dict[str, Any]:
    """What `remember` wrote.

    Raises:
        DocumentError: If it cannot be read, or was written by a newer version.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        newer = document["version"] > version
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unreadable(path, error) from error
    if newer:
        raise DocumentError(f"{path} was written by a newer lrsearch: upgrade, or delete it.")
    found: dict[str, Any] = document
    return found


def unreadable(path: Path, error: Exception) -> DocumentError:
    """The error of a file that does not hold what it should."""
    return DocumentError(f"cannot read {path}: {type(error).__name__}: {error}. {AGAIN}")


def remember(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON document; several processes may do so at a time, the last one's stays.

    Raises:
        DocumentError: If it cannot be written; what was there stays.
    """
    with suppress(OSError):  # then it cannot be written to either, which is told
        path.parent.mkdir(parents=True, exist_ok=True)
    write_document(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def file_stem(name: str) -> str:
    """A task's or study's name as part of a file's: a task may be called cifar/resnet."""
    return name.replace("/", "-")
