"""Reading raw/, and writing tables."""

import gzip
import json
import math
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
GAPS = (1, 5, 10, 20)
SETTLED = 20  # "after the first 20 steps"
CADENCES = (1, 5, 10, 20, 50)
ROW = dict[str, object]


def load(device: str, part: str) -> dict[str, dict]:
    paths = sorted((HERE / "raw" / device / part).glob("*.json.gz"))
    return {
        p.name.removesuffix(".json.gz"): json.loads(gzip.decompress(p.read_bytes())) for p in paths
    }


def table(head: list[str], rows: list[list[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(str(c) for c in row) + " |" for row in rows), ""]


def spread(values: list[float], form: str = "{:.0f}") -> str:
    """Median / 90th percentile / largest."""
    if not values:
        return "-"
    found = [float(np.median(values)), float(np.quantile(values, 0.9)), max(values)]
    return " / ".join("never" if math.isinf(x) else form.format(x) for x in found)


def percent(x: float) -> str:
    return f"{100 * x:.2g} %" if x < 0.1 else f"{100 * x:.0f} %"


def share(flags: list[bool]) -> str:
    return f"{sum(flags)} of {len(flags)}"
