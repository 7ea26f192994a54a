"""Make results.md from raw/.

python studies/gradient_flow_solution/report.py [--raw FOLDER] [--out FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import alarm_tables
import network_tables
import theory_tables
from common import HERE, read

Cells = dict[str, dict[str, Any]]


def part(raw: Path, name: str, start: str) -> Cells:
    """Raw documents of a part whose names begin so, by the rest of the name."""
    paths = sorted((raw / name).glob(f"{start}*.json.gz"))
    return {p.name.removesuffix(".json.gz").removeprefix(start): read(p) for p in paths}


def scalar(raw: Path) -> list[str]:
    lines: list[str] = []
    for start, table in (("scan_", theory_tables.scans), ("cell_", theory_tables.grid),
                         ("edge_", theory_tables.edges)):  # fmt: skip
        if cells := list(part(raw, "scalar", start).values()):
            lines += table(cells)
    for cell in part(raw, "scalar", "pairs").values():
        lines += theory_tables.pairs(cell)
    return lines


def networks(raw: Path) -> list[str]:
    every = part(raw, "networks", "")
    runs = [cell for cell in every.values() if len(cell.get("flows", {})) > 1]
    runs.sort(key=lambda c: (c["net"], c["seed"], c["product"]))
    checks = {n.removesuffix("_check"): c for n, c in every.items() if n.endswith("_check")}
    lines = network_tables.networks(runs) + network_tables.points(runs) if runs else []
    lines += network_tables.again(runs)
    return lines + (network_tables.checks(checks) if checks else [])


def signals(raw: Path) -> list[str]:
    cells = sorted(part(raw, "alarms", "until_").values(), key=lambda c: c["until"])
    lines = [line for cell in cells for line in alarm_tables.recorded(cell)]
    fresh = part(raw, "proxies", "")
    return lines + (alarm_tables.fresh(fresh) if fresh else [])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=HERE / "raw")
    parser.add_argument("--out", type=Path, default=HERE / "results.md")
    options = parser.parse_args(arguments)
    raw = options.raw
    regression = list(part(raw, "regression", "cell_").values())
    lines = ["# Sharpness of gradient-flow solutions: results", "", "# A. Scalar networks"]
    lines += scalar(raw)
    lines += ["", "# B. Squared regression"]
    lines += theory_tables.regression(regression) if regression else []
    for cell in part(raw, "regression", "exact").values():
        lines += theory_tables.real(cell)
    lines += ["", "# C. Perceptrons", *networks(raw), "", "# D. Alarms", *signals(raw)]
    documents = [read(path) for path in sorted(raw.glob("*/*.json.gz"))]
    kinds = {str(d["environment"]): d["environment"] for d in documents}
    for environment in kinds.values():
        lines += ["", "Environment: " + ", ".join(f"{k} {v}" for k, v in environment.items()) + "."]
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
