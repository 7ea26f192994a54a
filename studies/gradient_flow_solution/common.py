"""What the parts of this study share: raw files, the environment record, arguments, data."""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import math
import os
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from torch import Tensor

import lrsearch

HERE = Path(__file__).resolve().parent
RAW = HERE / "raw"
NEIGHBOUR = HERE.parent / "search_efficiency"


def environment() -> dict[str, str]:
    return {
        "lrsearch": lrsearch.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": str(torch.get_num_threads()),
    }


def short(value: Any) -> Any:
    """Plain values with seven digits; what is not finite becomes ``None``."""
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: short(v) for k, v in value.items()}
    return [short(v) for v in value] if isinstance(value, list | tuple) else value


def write(path: Path, document: dict[str, Any]) -> None:
    """In one stroke, so that a killed run leaves whole files only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    text = json.dumps(short(document), separators=(",", ":")).encode()
    scratch.write_bytes(gzip.compress(text, mtime=0))
    scratch.replace(path)


def read(path: Path) -> dict[str, Any]:
    with gzip.open(path) as file:
        document: dict[str, Any] = json.load(file)
    return document


def fill(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is in a file, made first if it is missing."""
    if not path.exists():
        write(path, {**make(), "environment": environment()})
        print(f"{path.name.removesuffix('.json.gz')}: done", flush=True)
    return read(path)


def parsed(about: str, arguments: list[str] | None, part: str) -> argparse.Namespace:
    """What a script was asked for; it resumes, so that it may be stopped at any time."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="something tiny, in seconds")
    parser.add_argument("--out", type=Path, default=RAW / part)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1], help="of networks.py")
    torch.set_num_threads(1)
    return parser.parse_args(arguments)


@cache
def images(name: str, examples: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """Training, validation and test part of a data set, by the neighbouring study's helper."""
    spec = importlib.util.spec_from_file_location("search_efficiency_data", NEIGHBOUR / "data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: tuple[tuple[Tensor, Tensor], ...] = module.images(name, examples)
    return found
