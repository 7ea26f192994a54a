"""The figure: quality, geometry and features of what comes of each first rate.

python studies/large_lr_regimes/figure.py [--raw FOLDER] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from bands import NAMES
from files import HERE
from report import TITLES
from results import Results, error

SHADES = {"1": "#e8f0fa", "2A": "#dff3df", "2B": "#fdf1dc", "3": "#f8e1e1"}
COLOURS = ("tab:blue", "tab:cyan", "tab:purple", "tab:red")


def shade(axis: Any, r: Results) -> None:
    """Each rate's regime behind it, half a step to both sides."""
    logs = np.log(r.rates)
    middle = (logs[1:] + logs[:-1]) / 2
    ends = np.exp([logs[0] - (middle[0] - logs[0]), *middle, 2 * logs[-1] - middle[-1]])
    for i, label in enumerate(r.labels):
        axis.axvspan(ends[i], ends[i + 1], color=SHADES[label], lw=0)
        if r.labels.index(label) == i:
            axis.text(ends[i], 1.0, f" {label}", transform=axis.get_xaxis_transform(), va="top")
    axis.set(xscale="log", xlim=(ends[0], ends[-1]))


def quality(axis: Any, r: Results) -> None:
    shown = [("first rate alone", r.points("pretrained", "test_accuracy"), "0.4", ":")]
    for n, (rate, values) in enumerate(zip(r.second, r.tuned_accuracy, strict=True)):
        colour = COLOURS[-1] if n == len(r.second) - 1 else COLOURS[n]
        shown.append((f"fine-tuned at {rate:.2g}", values, colour, "-"))
    for name in (r.averages[1], r.averages[-1]):
        style = "--" if name == r.averages[1] else "-."
        shown.append((f"{name} checkpoints", r.points(name, "test_accuracy"), "tab:green", style))
    for label, values, colour, style in shown:
        mean, wide = 100 * values.mean(axis=0), 100 * error(values)
        axis.plot(r.rates, mean, style, color=colour, label=label, lw=1.3)
        axis.fill_between(r.rates, mean - wide, mean + wide, color=colour, alpha=0.15, lw=0)
    axis.axhline(100 * r.best_of_1, color="0.6", lw=0.8)
    # averages and runs that have lost everything may leave the axes below
    low = 100 * r.tuned_accuracy.mean(axis=1).min()
    axis.set(ylabel="test accuracy, %", ylim=(low - 4, None))
    axis.legend(fontsize=7, loc="lower left")


def geometry(axis: Any, r: Results) -> None:
    """Between what the lowest and the highest second rate lead to."""
    axis.plot(r.rates, r.pair(0, "angle").mean(axis=0), color="0.3", label="angle")
    axis.set(ylabel="angle, radians", ylim=(0, np.pi / 2 + 0.1))
    other = axis.twinx()
    for part, colour in (("train", "tab:red"), ("test", "tab:orange")):
        height = 100 * r.pair(0, f"{part}_barrier").mean(axis=0)
        other.plot(r.rates, height, color=colour, label=f"barrier, {part} error")
    other.set(ylabel="barrier, points", ylim=(0, None))
    lines = axis.get_lines() + other.get_lines()
    axis.legend(lines, [str(line.get_label()) for line in lines], fontsize=7, loc="center left")


def features(axis: Any, r: Results) -> None:
    """Accuracy on single features or bands after the lowest second rate."""
    low = r.tuned[0]
    if r.kind == "tick":
        values = np.sort(r.points(low, "single"), axis=-1)[..., ::-1].mean(axis=0)
        names = ["best feature", "second", "third"]
    else:
        values, names = r.points(low, "bands").mean(axis=0), [f"band: {n}" for n in NAMES]
    for k, name in enumerate(names):
        axis.plot(r.rates, 100 * values[:, k], label=name, lw=1.3)
    axis.set(ylabel="accuracy, %", xlabel="first rate (effective, unit sphere)")
    axis.legend(fontsize=7, loc="center left")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=HERE / "raw")
    parser.add_argument("--out", type=Path, default=HERE / "figure.png")
    options = parser.parse_args(arguments)
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = [Results.load(options.raw, kind) for kind in TITLES]
    found = [r for r in found if r.cells]
    canvas, axes = plt.subplots(
        3, len(found), figsize=(5.5 * len(found), 9), sharex="col", squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for column, r in enumerate(found):
        for row, draw in enumerate((quality, geometry, features)):
            shade(axes[row, column], r)
            draw(axes[row, column], r)
        axes[0, column].set_title(f"{TITLES[r.kind]} ({r.seeds} seeds)", fontsize=10)
    canvas.savefig(options.out, dpi=110, metadata={"Software": None})
    plt.close(canvas)


if __name__ == "__main__":
    main()
