"""Raw results and the states of unfinished runs, written in one stroke."""

from __future__ import annotations

import gzip
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lrsearch

HERE = Path(__file__).parent


def environment() -> dict[str, str]:
    return {
        "lrsearch": lrsearch.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": str(torch.get_num_threads()),
    }


def short(value: Any) -> Any:
    """Plain values with five digits; what is not finite becomes ``None``."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return short(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.5g}") if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {k: short(v) for k, v in value.items()}
    return [short(v) for v in value] if isinstance(value, list | tuple) else value


def write(path: Path, document: dict[str, Any]) -> None:
    """A gzipped JSON document; a killed run leaves whole files only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(short(document), separators=(",", ":")).encode()
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_bytes(gzip.compress(text, mtime=0))
    scratch.replace(path)


def read(path: Path) -> dict[str, Any]:
    with gzip.open(path) as file:
        return json.load(file)


class State:
    """Arrays by name, kept in a folder while a cell is unfinished."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, name: str, **arrays: torch.Tensor) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / f"{name}.tmp"
        with scratch.open("wb") as file:
            np.savez(file, **{k: v.numpy() for k, v in arrays.items()})
        scratch.replace(self.folder / f"{name}.npz")

    def get(self, name: str) -> dict[str, torch.Tensor] | None:
        path = self.folder / f"{name}.npz"
        if not path.exists():
            return None
        with np.load(path) as found:
            return {k: torch.from_numpy(found[k]) for k in found.files}

    def forget(self) -> None:
        for path in self.folder.glob("*"):
            path.unlink()
        if self.folder.exists():
            self.folder.rmdir()
