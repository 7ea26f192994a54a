"""Columns of raw/ with bootstrap intervals: tasks resampled, then sweeps within them."""

import gzip
import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
DRAWS = 1000


class Results:
    """All tasks' columns as (tasks, sweeps) arrays."""

    def __init__(self, prefix: str = "") -> None:
        paths = sorted((HERE / "raw").glob(f"{prefix}*.json.gz"))
        self.documents = [json.loads(gzip.decompress(path.read_bytes())) for path in paths]
        self.setting = json.loads((HERE / "raw" / "environment.json").read_text())
        rng = np.random.default_rng(0)
        tasks, count = len(self.documents), self.setting["sweeps"]
        self.tasks = rng.integers(tasks, size=(DRAWS, tasks))
        self.sweeps = rng.integers(count, size=(DRAWS, tasks, count))

    def get(self, part: str, policy: str, column: str, price: float = 0.0) -> np.ndarray:
        """One column; missing is infinite. Costs include ``price`` a pause and resumption."""
        tables = [d[part][policy] for d in self.documents]
        if column.startswith(("found", "regret")):
            priced = f"{column} {price:g}"
            column = priced if priced in tables[0] else f"{column} 0"
        rows = [[np.inf if v is None else float(v) for v in t[column]] for t in tables]
        found = np.array(rows)
        if column == "cost":
            found = found + 0.5 * price * self.get(part, policy, "transfers")
        return found

    def spent(self, policy: str, price: float) -> np.ndarray:
        """Equal cost: what was spent until the find, the limit where there was none."""
        return np.minimum(self.get("equal", policy, "found raised", price), self.setting["limit"])

    def _drawn(self, values: np.ndarray) -> np.ndarray:
        return values[self.tasks[:, :, None], self.sweeps].reshape(DRAWS, -1)

    def mean(self, values: np.ndarray, scale: float = 1.0, digits: int = 2) -> str:
        """Mean with its interval."""
        low, high = np.quantile(self._drawn(values).mean(axis=1), (0.025, 0.975)) * scale
        return f"{values.mean() * scale:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"

    def quantile(self, values: np.ndarray, q: float) -> str:
        """Quantile over sweeps with its interval."""
        drawn = np.sort(self._drawn(values), axis=1)[:, int(np.ceil(q * values.size)) - 1]
        low, high = np.sort(drawn)[[int(0.025 * DRAWS), int(0.975 * DRAWS) - 1]]
        return f"{quantile(values, q)} [{_cost(low)}, {_cost(high)}]"


def _cost(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else "-"


def quantile(values: np.ndarray, q: float) -> str:
    """Quantile over sweeps; "-" where it is infinite."""
    return _cost(np.sort(values.ravel())[int(np.ceil(q * values.size)) - 1])
