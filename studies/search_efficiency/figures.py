"""Figures of the report: how many sweeps have settled by a cost, and what stops save and lose."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import raw
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from pages_search import Tables, costs

# Okabe and Ito's colours; every line has a dash pattern and a label of its own as well.
LINES = {
    "oracle": ("#999999", ":"),
    "ours": ("#D55E00", "-"),
    "tpe [edge]": ("#009E73", "--"),
    "tpe [prior]": ("#0072B2", "--"),
    "1 rung, then 3 [wide]": ("#CC79A7", "-."),
    "tpe [wide]": ("#0072B2", "-"),
    "tpe + hyperband [wide]": ("#56B4E9", "-."),
    "tpe + our pruner [wide]": ("#D55E00", "--"),
    "random [wide]": ("#000000", ":"),
}
SIZE = "16"


def share_settled(axes: Axes, found: Tables) -> None:
    """Share of sweeps whose recommendation stays within the tolerance, by cost."""
    seen = costs(found)
    grid = np.geomspace(0.5, 40, 400)
    for name, (colour, dashes) in LINES.items():
        if name in seen:
            each = [[np.mean(np.asarray(v) <= c) for c in grid] for v in seen[name].values()]
            axes.plot(grid, np.mean(each, axis=0), color=colour, linestyle=dashes, label=name)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 40], ["1", "2", "5", "10", "20", "40"])
    axes.minorticks_off()
    axes.set_xlabel("cost of the sweep so far (full runs)")
    axes.set_ylabel("share of sweeps settled on a good schedule")
    axes.set_ylim(0, 1.02)
    if seen:
        axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def frontier(axes: Axes, found: Tables) -> None:
    """Wrong stops against the cost saved, mean over tables."""
    paths = [raw.path_of(table.name, "stops") for table in found.values()]
    documents = [raw.load(path) for path in paths if path.exists()]
    if not documents:
        return

    def mean(name: str, key: str) -> float:
        return float(np.mean([d["sizes"][SIZE][name][key] for d in documents]))

    names = list(documents[0]["sizes"][SIZE])
    kinds: dict[str, tuple[list[str], dict[str, Any]]] = {
        "k rungs, then n: validation loss": (
            [n for n in names if "then" in n and "averaged" not in n],
            {"color": "#0072B2", "marker": "s"},
        ),
        "k rungs, then n: averaged weights": (
            [n for n in names if "then" in n and "averaged" in n],
            {"color": "#009E73", "marker": "^"},
        ),
        "our pruner, runs compared": (
            ["ours, runs compared"],
            {"color": "#D55E00", "marker": "o"},
        ),
        "the same by the looks of other runs (control)": (
            ["ours, runs compared by looks of others"],
            {"color": "#D55E00", "marker": "v", "facecolors": "none"},
        ),
        "our pruner, each run alone": (
            ["ours"],
            {"color": "#D55E00", "marker": "o", "facecolors": "none"},
        ),
        "all in full, best by validation": (
            ["all in full, best by validation"],
            {"color": "#000000", "marker": "x"},
        ),
    }
    for kind, (group, style) in kinds.items():
        known = [n for n in group if n in names]
        if not known:
            continue
        x, y = ([100 * mean(n, key) for n in known] for key in ("saved", "wrong"))
        axes.scatter(x, y, label=kind, **style)
        for name, a, b in zip(known, x, y, strict=True):
            if "then" in name:
                words = name.split()
                label = f"{words[0]}/{words[3].rstrip(',')}"
                axes.annotate(label, (a, b), (4, 3), textcoords="offset points", fontsize=7)
    axes.set_xlabel("cost saved (%)")
    axes.set_ylabel("streams that lost their best run (%)")
    axes.legend(fontsize=8, frameon=False)


def draw(found: Tables, folder: Path) -> None:
    """settled.png and stops.png."""
    for name, plot in (("settled", share_settled), ("stops", frontier)):
        figure, axes = plt.subplots(figsize=(8, 4.4), layout="constrained")
        plot(axes, found)
        figure.savefig(folder / f"{name}.png", dpi=140, metadata={"Software": None})
        plt.close(figure)
