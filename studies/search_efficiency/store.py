"""Where recorded runs are kept until a table is made of them: one small file a run."""

import importlib.metadata
import json
import math
import os
import platform
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import rungs
from training import Record

import lrsearch

VERSION = 1


def path_of(folder: Path, label: str, k: int, seed: int) -> Path:
    return folder / label / f"{k:+04d}-{seed}.npz"


def save(folder: Path, label: str, k: int, seed: int, record: Record) -> None:
    """In one stroke: a killed recording leaves whole files only."""
    path = path_of(folder, label, k, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = np.full((rungs.RUNGS, len(rungs.COLUMNS)), np.nan, np.float32)
    for i, row in enumerate(record.rows):
        table[i] = [row.get(name, math.nan) for name in rungs.COLUMNS]
    final = np.array([record.final.get(name, math.nan) for name in rungs.FINAL])
    seconds = np.array([record.clock.seconds[part] for part in rungs.PARTS])
    counts = np.array([record.clock.counts[part] for part in rungs.PARTS])
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    with open(scratch, "wb") as file:
        np.savez_compressed(file, rungs=table, final=final, seconds=seconds, counts=counts)
    scratch.replace(path)


def load(path: Path) -> dict[str, np.ndarray] | None:
    """A run's arrays; ``None`` where the file is not whole (its disk was full, say)."""
    try:
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def results(folder: Path, label: str) -> dict[tuple[int, int], float]:
    """Final losses on the validation split by place and seed; infinite where the run diverged."""
    found = {}
    at = list(rungs.FINAL).index("final_loss")
    for path in sorted((folder / label).glob("*.npz")):
        arrays = load(path)
        if arrays is None:
            path.unlink()  # recorded anew
            continue
        k, _, seed = path.stem.rpartition("-")
        loss = float(arrays["final"][at])
        found[int(k), int(seed)] = loss if math.isfinite(loss) else math.inf
    return found


def environment() -> dict[str, Any]:
    """What the numbers depend on; no name of a host and no path."""
    return {
        "lrsearch": lrsearch.__version__,
        **{name: importlib.metadata.version(name) for name in ("torch", "numpy")},
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(s.split(":", 1)[1].strip() for s in lines if "model name" in s)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def begin(folder: Path, manifest: dict[str, Any]) -> None:
    """Write what a table is of, or make sure that a begun one is of the same.

    Raises:
        SystemExit: If the folder holds another table.
    """
    path = folder / "table.json"
    manifest = {"version": VERSION} | json.loads(json.dumps(manifest))
    if path.exists():
        before = json.loads(path.read_text())
        other = [k for k in manifest if k != "environment" and before.get(k) != manifest[k]]
        if other:
            raise SystemExit(
                f"{folder} holds another table ({', '.join(other)} differ): choose another --out."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest, indent=1) + "\n")
