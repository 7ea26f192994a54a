"""Recorded runs to tables: one parquet file a task, which is what replays read.

    python convert.py recorded/fashion-sgd tables/fashion-sgd.parquet

Needs pyarrow. A row is one rung of one run; what holds for the whole run repeats in its rows, and
compresses to nothing. A run that diverged has its later rungs empty. The table's metadata holds
task, environment, measured edges and prices.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
import edges
import rungs
import store

KEY = b"lrsearch"


def prices(folder: Path) -> dict[str, float]:
    """What each part cost, in gradients: medians over runs of its time over a training step's."""
    found: dict[str, list[float]] = {part: [] for part in rungs.PARTS}
    for path in sorted(folder.glob("*/*.npz")):
        arrays = store.load(path)
        if arrays is None or not arrays["counts"].all():
            continue
        each = arrays["seconds"] / arrays["counts"]
        for part, seconds in zip(rungs.PARTS, each, strict=True):
            found[part].append(float(seconds / each[0]))
    return {part: round(float(np.median(v)), 4) for part, v in found.items() if v}


def columns(folder: Path, labels: list[str]) -> dict[str, Any]:
    """All runs, one row a rung."""
    names, shape, places, seeds = list(rungs.COLUMNS), [], [], []
    tables, finals = [], []
    for label in labels:
        for path in sorted((folder / label).glob("*.npz")):
            arrays = store.load(path)
            if arrays is None:
                raise SystemExit(f"{path} is not whole: run record.py again.")
            k, _, seed = path.stem.rpartition("-")
            n = len(arrays["rungs"])
            shape += [label] * n
            places += [int(k)] * n
            seeds += [int(seed)] * n
            tables.append(arrays["rungs"])
            finals.append(np.repeat(arrays["final"][None], n, axis=0))
    if not tables:
        raise SystemExit(f"{folder} holds no recorded runs.")
    table, final = np.concatenate(tables), np.concatenate(finals).astype(np.float32)
    found: dict[str, Any] = {
        "shape": pa.array(shape).dictionary_encode(),
        "k": np.array(places, np.int16),
        "seed": np.array(seeds, np.int8),
        "rung": np.tile(np.arange(1, rungs.RUNGS + 1, dtype=np.int8), len(tables)),
    }
    found |= {name: table[:, i] for i, name in enumerate(names)}
    return found | {name: final[:, i] for i, name in enumerate(rungs.FINAL)}


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    manifest = json.loads((folder / "table.json").read_text())
    made = pa.table(columns(folder, manifest["families"]))
    about = manifest | {"edges": edges.load(folder), "prices": prices(folder)}
    about["describes"] = rungs.COLUMNS | rungs.FINAL
    made = made.replace_schema_metadata({KEY: json.dumps(about).encode()})
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, out, compression="zstd", compression_level=19)
    runs = made.num_rows // rungs.RUNGS
    print(f"{out}: {runs} runs, {out.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
