"""Tables of measured condition numbers, and of the rule phi = 2 kappa."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from contenders import PHIS as OWN
from outcomes import LABELS, Array, Outcome, drawn, draws, interval, mean, percent
from run import read
from scipy.stats import spearmanr
from shape_tables import PHIS, Rule, budgets, chosen, head, row

FIRST = 0.1  # of the budget: a rule that is of use must decide early
QUANTILES = {"median size": 0.5, "90 % of sizes": 0.9, "99 % of sizes": 0.99}
VALUES = dict(zip(PHIS, (*OWN[:3], 2.0, *OWN[3:]), strict=True))


def readings(raw: Path) -> list[dict]:
    """All readings, with their task and optimizer."""
    cells = [read(path) for path in sorted((raw / "condition").glob("*.json.gz"))]
    return [
        {"task": c["task"], "optimizer": c["optimizer"], **r} for c in cells for r in c["readings"]
    ]


def kappas(reading: dict) -> dict[str, float]:
    """Largest eigenvalue over what a definition takes for the smallest; infinite where that is not
    positive."""
    values, weights = np.array(reading["values"]), np.array(reading["weights"])
    sizes = np.abs(values)
    order = np.argsort(sizes)
    share = np.cumsum(weights[order])
    low = {
        name: float(sizes[order][min(int(np.searchsorted(share, q)), len(order) - 1)])
        for name, q in QUANTILES.items()
    }
    low["mean"] = float(values @ weights)
    low["along the gradient"] = reading["along_gradient"]
    low["batch sharpness"] = reading["batch_sharpness"]
    top = float(values.max())
    return {name: top / v if v > 0 else math.inf for name, v in low.items()}


def nearest(phi: float) -> str:
    """The trained shape with the nearest phi (in its logarithm)."""
    inside = min(max(phi, min(VALUES.values())), max(VALUES.values()))
    return min(VALUES, key=lambda label: abs(math.log(VALUES[label] / inside)))


def measured(raw: Path) -> list[str]:
    """kappa by definition, task and optimizer; medians over budgets."""
    found = readings(raw)
    names = list(kappas(found[0]))
    lines = head(["task, optimizer", "share of the budget", *names])
    for key in dict.fromkeys((r["task"], r["optimizer"], r["share"]) for r in found):
        part = [kappas(r) for r in found if (r["task"], r["optimizer"], r["share"]) == key]
        medians = [float(np.median([k[name] for k in part])) for name in names]
        lines.append(row([f"{key[0]}, {key[1]}", f"{100 * key[2]:.0f} %",
                          *(f"{m:.3g}" for m in medians)]))  # fmt: skip
    return lines


def rules(found: list[Outcome], raw: Path) -> list[str]:
    """Loss over searching phi: of every fixed phi, and of the rule by each definition."""
    read_at = {(r["task"], r["optimizer"], r["budget"]): kappas(r) for r in readings(raw)
               if r["share"] == FIRST}  # fmt: skip
    found = [o for o in found if (o.task, o.optimizer, o.budget) in read_at]
    weights = draws(found)
    names = list(next(iter(read_at.values())))

    def losses(pick: list[Rule]) -> list[Array]:
        return [o.losses[chosen(o, rule)] for o, rule in zip(found, pick, strict=True)]

    searched = losses([PHIS] * len(found))
    entries: dict[str, list[Rule]] = {f"phi = {VALUES[p]:g}": [p] * len(found) for p in PHIS}
    for name in names:
        entries[f"2 kappa: {name}"] = [
            nearest(2 * read_at[o.task, o.optimizer, o.budget][name]) for o in found
        ]
    lines = head(["phi", "loss over searching phi (95 %)", *(f"{b} %" for b in budgets(found)),
                  "phi taken, median"])  # fmt: skip
    for name, pick in entries.items():
        each = [a - b for a, b in zip(losses(pick), searched, strict=True)]
        low, high = interval(drawn(weights, each))
        parts = [
            mean([e for e, o in zip(each, found, strict=True) if o.budget == b])
            for b in budgets(found)
        ]
        taken = float(np.median([VALUES[str(p)] for p in pick]))
        whole = f"{percent(mean(each)):+.1f} ({percent(low):+.1f} to {percent(high):+.1f})"
        lines.append(row([name, whole, *(f"{percent(p):+.1f}" for p in parts), f"{taken:g}"]))
    return lines


def best_against_kappa(found: list[Outcome], raw: Path) -> list[str]:
    """Does the best phi move with kappa at all? Rank correlation over outcomes."""
    read_at = {(r["task"], r["optimizer"], r["budget"]): kappas(r) for r in readings(raw)
               if r["share"] == FIRST}  # fmt: skip
    found = [o for o in found if (o.task, o.optimizer, o.budget) in read_at]
    at = [LABELS.index(label) for label in PHIS]
    tops = [list(VALUES.values())[int(o.losses[at].mean(axis=1).argmin())] for o in found]
    lines = head(["kappa", "rank correlation with the best phi"])
    for name in kappas(readings(raw)[0]):
        said = [min(read_at[o.task, o.optimizer, o.budget][name], 1e9) for o in found]
        lines.append(row([name, f"{spearmanr(said, tops).statistic:+.2f}"]))
    return lines
