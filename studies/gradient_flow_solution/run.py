"""The whole study: raw results, page, figure. Resumes; what is there is not computed again.

python studies/gradient_flow_solution/run.py [--quick] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import alarms
import exact
import figure
import networks
import proxies
import regression
import report
import scalar
from common import HERE

PARTS = {
    "scalar": scalar,
    "regression": regression,
    "alarms": alarms,
    "networks": networks,
    "proxies": proxies,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="something tiny of each part, in seconds"
    )
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args(arguments)
    raw = options.out / "raw"
    for name, module in PARTS.items():
        print(f"{name}:", flush=True)
        module.main([*(["--quick"] if options.quick else []), "--out", str(raw / name)])
        if module is regression:
            exact.main([*(["--quick"] if options.quick else []), "--out", str(raw / name)])
    report.main(["--raw", str(raw), "--out", str(options.out / "results.md")])
    figure.main(["--raw", str(raw), "--out", str(options.out)])


if __name__ == "__main__":
    main()
