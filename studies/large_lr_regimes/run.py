"""Where do large learning rates lead? All cells of both tasks, one raw file each.

    python studies/large_lr_regimes/run.py [--quick] [--out FOLDER] [KIND/SEED ...]
    python studies/large_lr_regimes/report.py && python studies/large_lr_regimes/figure.py

A tick cell is five data sets; `double` repeats some of its rates in double precision. Cells that
exist are skipped; one that was killed goes on after its last whole stage.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
import image_run
import tick_run
from files import HERE
from protocol import Cell, fill

CELLS = ("tick/0", "image/0", "image/1", "double/0")
QUICK = ("tick/0", "image/0")


def cell(kind: str, seed: int, quick: bool) -> Cell:
    if kind == "tick":
        return tick_run.TickCell(tick_run.QUICK if quick else tick_run.PAPER, seed)
    if kind == "image":
        return image_run.ImageCell(image_run.QUICK if quick else image_run.FASHION, seed)
    if kind == "double":
        return tick_run.TickCell(tick_run.DOUBLE, seed)
    raise ValueError(f"a cell is tick/SEED, image/SEED or double/SEED, not {kind}/{seed}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny cells, seconds")
    parser.add_argument("--out", type=Path, default=HERE / "raw")
    parser.add_argument("cells", nargs="*", help="tick/SEED, image/SEED or double/SEED")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for label in options.cells or (QUICK if options.quick else CELLS):
        kind, _, seed = label.partition("/")
        path = options.out / f"{kind}_{seed}.json.gz"
        if not path.exists():
            fill(path, cell(kind, int(seed), options.quick))


if __name__ == "__main__":
    main()
