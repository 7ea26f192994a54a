"""The figure of part A: loss, rate and edge along full-batch gradient descent, one seed.

python studies/lr_tuners/figure.py [SEED]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

sys.path.insert(0, str(Path(__file__).parent))
from models import read
from run_tables import RATE, STEP, TOP, TYPICAL, best_constant, name_of

HERE = Path(__file__).parent
SHOWN = {"line search": "tab:green", "CDAT 1": "tab:red", "CDAT 2": "tab:blue"}
NAMES = {"CDAT 1": "greedy (CDAT, sigma 1)", "CDAT 2": "CDAT, sigma 2"}
PROBLEMS = ("relu-ce", "tanh-sq", "conv-ce")


def main(seed: str = "0") -> None:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    canvas, axes = plt.subplots(3, 3, figsize=(10.5, 7.5), sharex="col", layout="constrained")
    for column, problem in enumerate(PROBLEMS):
        cell = read(HERE / "raw" / "short_long" / f"{problem}_gd_{seed}.json.gz")
        constant = best_constant(cell)
        shown = [(constant, "best constant rate", "0.3")]
        for run in cell["runs"]:
            if run["rule"] != "constant" and name_of(run) in SHOWN:
                name = name_of(run)
                shown.append((run, NAMES.get(name, name), SHOWN[name]))
        for run, label, colour in shown:
            curve = [p for p in run["curve"] if p[TOP] and p[TOP] > 0]
            steps = [p[STEP] for p in curve]
            edge = [p[RATE] * p[TOP] / run["threshold"] for p in curve]
            series = ([p[TYPICAL] for p in curve], [p[RATE] for p in curve], edge)
            for row, values in enumerate(series):
                axes[row, column].plot(steps, values, color=colour, label=label, lw=1.2)
        axes[0, column].set_title(f"{problem}, gradient descent")
        axes[2, column].axhline(1.0, color="0.7", lw=0.8)
        axes[2, column].set_xlabel("step")
        for row in range(3):
            axes[row, column].set(xscale="log", yscale="log")
    for row, name in enumerate(("training loss", "learning rate", "rate × eigenvalue / threshold")):
        axes[row, 0].set_ylabel(name)
    axes[0, 0].legend(fontsize=7)
    canvas.savefig(HERE / "figure.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
