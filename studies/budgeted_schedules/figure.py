"""The figure: losses given up by budget, by phi, and against what the search believes.

python studies/budgeted_schedules/figure.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from condition_tables import VALUES
from outcomes import LABELS, Outcome, outcomes
from prior_tables import LINEAR, believed
from shape_tables import PHIS, budgets, of_budget

HERE = Path(__file__).parent
SHOWN = ("rex", "linear", "cosine", "wsd", "one-cycle", "uba 0.5", "uba 5", "step", "constant")


def by_budget(axis, found: list[Outcome]) -> None:
    known = budgets(found)
    for label in SHOWN:
        i = LABELS.index(label)
        mean = [100 * np.mean([o.given_up[i] for o in of_budget(found, b)]) for b in known]
        axis.plot(known, mean, marker="o", ms=3, lw=1.2, label=label)
    axis.set(xscale="log", xlabel="budget, % of 1,200 steps", ylabel="loss given up, %")
    axis.set_xticks(known, [str(b) for b in known])
    axis.minorticks_off()
    axis.legend(fontsize=7)


def by_phi(axis, found: list[Outcome]) -> None:
    at = [LABELS.index(label) for label in PHIS]
    for kind, style in (("momentum", "-"), ("adamw", "--")):
        for n, budget in enumerate(budgets(found)):
            part = [o for o in of_budget(found, budget) if o.optimizer == kind]
            if part:
                mean = np.mean([o.losses[at].mean(axis=1) for o in part], axis=0)
                name = f"{kind}, {budget} %"
                axis.plot(list(VALUES.values()), 100 * (mean - mean.min()), style, color=f"C{n}",
                          lw=1.2, label=name)  # fmt: skip
    axis.set(xscale="log", xlabel="phi (2 is cosine)", ylabel="loss over the best phi's, %")
    axis.legend(fontsize=6, ncol=2)


def by_belief(axis, found: list[Outcome]) -> None:
    said = 100 * (believed() - believed()[LINEAR])
    seen = 100 * np.mean([(o.losses - o.losses[LINEAR]).mean(axis=1) for o in found], axis=0)
    axis.axline((0, 0), slope=1, color="0.8", lw=0.8)
    axis.plot(said, seen, "o", ms=4)
    for label, x, y in zip(LABELS, said, seen, strict=True):
        axis.annotate(label, (x, y), fontsize=6, xytext=(3, -3), textcoords="offset points")
    axis.set(xlabel="believed, % over linear decay", ylabel="measured, % over linear decay")


def main() -> None:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = outcomes(HERE / "raw")
    canvas, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for axis, draw in zip(axes, (by_budget, by_phi, by_belief), strict=True):
        draw(axis, found)
    canvas.savefig(HERE / "figure.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
