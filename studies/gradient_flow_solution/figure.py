"""The figures: loss, sharpness and phi (sharpness of the flow's solution) along descent.

python studies/gradient_flow_solution/figure.py [--raw FOLDER] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
from common import HERE, read
from network_tables import readings

COLOURS = ("tab:blue", "tab:green", "tab:orange", "tab:red")
ROWS = ("loss", "rate × sharpness", "rate × phi")


def canvas(columns: int) -> tuple[Any, Any]:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = plt.subplots(3, columns, figsize=(2.9 * columns + 1, 7.5), squeeze=False,
                         sharex="col", layout="constrained")  # fmt: skip
    for row, name in enumerate(ROWS):
        found[1][row, 0].set_ylabel(name)
    return found


def draw(axes: Any, column: int, series: list[list[tuple[float, float]]], **style: Any) -> None:
    """One curve in each of the three rows of a column."""
    for row, points in enumerate(series):
        known = [(x + 1, y) for x, y in points if y is not None]
        axes[row, column].plot(*zip(*known, strict=True), **style) if known else None


def finish(axes: Any, column: int, title: str) -> None:
    axes[0, column].set(title=title, xscale="log", yscale="log")
    axes[0, column].set_ylim(1e-14, 1e4)
    for row in (1, 2):
        axes[row, column].axhline(2.0, color="0.6", lw=0.8)
        axes[row, column].set(xscale="log", ylim=(0, 6))
    axes[2, column].set_xlabel("step + 1")
    axes[0, column].legend(fontsize=7, title="rate × phi at start", title_fontsize=7)


def theory(raw: Path, out: Path) -> None:
    cells = {p.name[5:-8]: read(p)["curves"] for p in sorted((raw / "scalar").glob("scan_*"))}
    cells = {f"scalar, {name}": curves for name, curves in cells.items()}
    for path in (raw / "regression").glob("curves*"):
        cells["squared regression"] = read(path)["curves"]
    if not cells:
        return
    sheet, axes = canvas(len(cells))
    for column, (name, curves) in enumerate(cells.items()):
        for colour, curve in zip(COLOURS, curves, strict=True):
            series = [[(p[0], p[i]) for p in curve["points"]] for i in (1, 2, 3)]
            draw(axes, column, series, color=colour, lw=1.0, label=f"{curve['product']:g}")
        finish(axes, column, name)
    sheet.savefig(out / "theory.png", dpi=75, metadata={"Software": None})


def perceptrons(raw: Path, out: Path) -> None:
    documents = [read(p) for p in sorted((raw / "networks").glob("*.json.gz"))]
    cells = [c for c in documents if len(c.get("flows", {})) > 1]
    columns = sorted({(c["net"], c["seed"]) for c in cells})
    if not cells:
        return
    sheet, axes = canvas(len(columns))
    for c in cells:
        column, rate = columns.index((c["net"], c["seed"])), c["rate"]
        series = [list(enumerate(c["losses"])), [(s, rate * v) for s, v in c["readings"]],
                  [(s, rate * v) for s, _, v in readings(c)]]  # fmt: skip
        colour = COLOURS[0 if c["product"] < 3 else 3]
        draw(axes, column, series[:2], color=colour, lw=1.0, label=f"{c['product']:g}")
        draw(axes, column, [[], [], series[2]], color=colour, lw=1.0, marker="o", ms=3)
    for column, (net, seed) in enumerate(columns):
        finish(axes, column, f"{net}, seed {seed}")
        axes[0, column].set_ylim(1e-4, 10)
    sheet.savefig(out / "perceptrons.png", dpi=75, metadata={"Software": None})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=HERE / "raw")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args(arguments)
    theory(options.raw, options.out)
    perceptrons(options.raw, options.out)


if __name__ == "__main__":
    main()
