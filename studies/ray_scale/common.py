"""What the parts share: the environment record, files written whole, the machine's load."""

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import lrsearch

RAW = Path(__file__).parent / "raw"
# One thread a process, and Ray quiet: four raylets and their workers share this machine.
QUIET = {
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def environment() -> dict[str, Any]:
    """What the numbers depend on; no name of a host and no path."""
    packages = ("ray", "optuna", "torch", "numpy", "sqlalchemy")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(s.split(":", 1)[1].strip() for s in lines if "model name" in s)
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    return {
        "lrsearch": lrsearch.__version__,
        **{name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": processor,
        "cores": os.cpu_count(),
    }


def write(name: str, document: Any) -> None:
    """Into raw/, in one stroke, so that a part that was killed is done again."""
    RAW.mkdir(exist_ok=True)
    scratch = RAW / f"{name}.tmp"
    scratch.write_text(json.dumps(document, separators=(",", ":")) + "\n")
    scratch.replace(RAW / f"{name}.json")


def read(name: str) -> Any:
    """From raw/; ``None`` where the part has not been run."""
    path = RAW / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def load() -> float:
    """Processes that wanted a core in the last minute, ours included."""
    return round(os.getloadavg()[0], 2)
