"""Make results.md of parts A and B from raw/.

python studies/lr_tuners/report.py [--raw FOLDER] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from batch_tables import minibatch
from models import read
from run_tables import full_batch

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=HERE / "raw")
    parser.add_argument("--out", type=Path, default=HERE / "results.md")
    options = parser.parse_args(arguments)
    parts = {
        part: [read(path) for path in sorted((options.raw / part).glob("*.json.gz"))]
        for part in ("short_long", "minibatch")
    }
    lines = ["# Tuners of the learning rate: results", "", "# A. Full batch"]
    lines += full_batch(parts["short_long"]) if parts["short_long"] else ["", "Not recorded."]
    lines += ["", "# B. Mini-batches"]
    lines += minibatch(parts["minibatch"]) if parts["minibatch"] else ["", "Not recorded."]
    kinds = {str(c["environment"]): c["environment"] for cells in parts.values() for c in cells}
    for environment in kinds.values():
        lines += ["", "Environment: " + ", ".join(f"{k} {v}" for k, v in environment.items()) + "."]
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
