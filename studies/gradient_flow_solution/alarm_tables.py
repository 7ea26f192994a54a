"""Tables of part D: alarms on recorded tables and on new runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from alarms import BAD, GOOD, LOSS, SIGNALS, area, levels_for, rise, share
from flows import Array

Cell = dict[str, Any]
NEW_RISES = {
    "training loss": "train_loss",
    LOSS: "loss",
    "averaged weights": "averaged_loss",
    "loss after a descent": "descended_loss",
    "sharpness, rises": "sharpness",
    "sharpness of averaged weights, rises": "averaged_sharpness",
    "sharpness after a descent, rises": "descended_sharpness",
}
NEW_LEVELS = {
    "sharpness": "sharpness",
    "sharpness of averaged weights": "averaged_sharpness",
    "sharpness after a descent": "descended_sharpness",
}
OTHERS = {
    "loss after a descent, of another run": "loss after a descent",
    "averaged weights, of another run": "averaged weights",
    "sharpness after a descent, of another run": "sharpness after a descent",
}
UNTIL = 0.4  # of the budget
RESAMPLES = 1_000


def mean(own: dict[str, Cell], key: str) -> float:
    values = [row[key] for row in own.values() if row[key] is not None]
    return float(np.mean(values)) if values else math.nan


def span(gap: Cell) -> str:
    return f"{gap['gap']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f})" if gap else "-"


def recorded(cell: Cell) -> list[str]:
    share_of = cell["until"] / 20
    lines = ["", f"## Until {share_of:.0%} of the budget", "",
             "Means over evaluation tasks; gaps are to the validation loss, intervals (95 %) "
             "resample "
             "tasks. Hot: bad at a rate above the best.", "",
             "| signal | level | false alarms | true, hot | gap | chance that hot scores above "
             "good "
             "| gap | false at any rise | gap | true, hot, at any rise | gap "
             "| true, hot, at 5 % false of the task itself | gap |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name in SIGNALS:
        own, gaps = cell["signals"][name], cell["gaps"].get(name, {})
        ev = own["evaluation"]
        level = "never" if own["level"] is None else f"{own['level']:.3f}"
        lines.append(
            f"| {name} | {level} | {mean(ev, 'false'):.1%} | {mean(ev, 'true_hot'):.1%} | "
            f"{span(gaps.get('true_hot', {}))} | {mean(ev, 'area_hot'):.3f} | "
            f"{span(gaps.get('area_hot', {}))} | {mean(ev, 'false_any'):.1%} | "
            f"{span(gaps.get('false_any', {}))} | {mean(ev, 'true_hot_any'):.1%} | "
            f"{span(gaps.get('true_hot_any', {}))} | {mean(ev, 'true_own'):.1%} | "
            f"{span(gaps.get('true_own', {}))} |"
        )
    one = cell["signals"][LOSS]
    splits = (one[split].items() for split in ("development", "evaluation"))
    counts = [
        f"{task} {row['good']}/{row['bad']}/{row['hot']}" for rows in splits for task, row in rows
    ]
    return [*lines, "", "Good / bad / hot runs: " + ", ".join(counts) + "."]


def scores(cell: Cell, until: float = UNTIL) -> dict[str, Array]:
    """Scores of new runs alive at the look, and which are good, bad and hot."""
    runs, last = cell["runs"], until * cell["budget"]
    ends: dict[tuple[float, str], list[float]] = {}
    for r in runs:
        end = math.log(r["test"]) if r["test"] else math.inf
        ends.setdefault((r["rate"], r["schedule"]), []).append(end)
    truth = {key: float(np.mean(v)) for key, v in ends.items()}
    best = min(truth.values())
    tops = {s: min((mu, rate) for (rate, name), mu in truth.items() if name == s)[1]
            for _, s in truth}  # fmt: skip
    found: dict[str, list[float]] = {}
    for r in runs:
        if 0 < r["diverged_at"] <= last:
            continue
        seen = [look for look in r["looks"] if look["step"] <= last]

        def values(name: str, seen: list[Cell] = seen) -> Array:
            return np.array([math.nan if v[name] is None else v[name] for v in seen], float)

        row = {name: rise(values(column), len(seen), 1) for name, column in NEW_RISES.items()}
        for name, column in NEW_LEVELS.items():
            with np.errstate(all="ignore"):
                own = np.log(values("rate") * values(column) / r["threshold"])
            row[name] = float(np.nanmax(own)) if np.isfinite(own).any() else math.nan
        end = math.log(r["test"]) if r["test"] else math.inf
        row |= {"good": end <= best + GOOD, "bad": end > best + BAD}
        row["hot"] = row["bad"] and r["rate"] > tops[r["schedule"]]
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    arrays = {name: np.asarray(v, float) for name, v in found.items()}
    rng = np.random.default_rng(0)
    return arrays | {name: rng.permutation(arrays[of]) for name, of in OTHERS.items()}


def gap(own: dict[str, Array], name: str, at: float, base: float) -> str:
    """True alarms of a signal less those of the validation loss, resampling hot runs."""
    hot = own["hot"] > 0
    each = (own[name][hot] > at).astype(float) - (own[LOSS][hot] > base)
    if not len(each):
        return "-"
    drawn = np.random.default_rng(1).integers(0, len(each), (RESAMPLES, len(each)))
    means = np.sort(each[drawn].mean(axis=1))
    low, high = means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]
    return f"{each.mean():+.2f} ({low:+.2f} to {high:+.2f})"


def fresh(cells: dict[str, Cell]) -> list[str]:
    """New runs: levels from the development task, alarms on the other."""
    tables = {name: scores(c) for name, c in cells.items()}
    development = [tables[n] for n, c in cells.items() if c["split"] == "development"]
    evaluation = [n for n, c in cells.items() if c["split"] == "evaluation"]
    costs = {"loss after a descent": "cost_descended_loss",
             "sharpness after a descent": "cost_descended_sharpness",
             "sharpness": "cost_sharpness"}  # fmt: skip
    lines: list[str] = []
    for task in evaluation:
        own = tables[task]
        good, hot = own["good"] > 0, own["hot"] > 0
        lines += ["", f"## New runs, {task} (levels from {', '.join(set(cells) - {task})})", "",
                  f"Until {UNTIL:.0%} of the budget; {int(good.sum())} good, "
                  f"{int(own['bad'].sum())} "
                  f"bad, {int(hot.sum())} hot runs. Gaps to the validation loss resample hot runs; "
                  "cost in gradients of one look.", "",
                  "| signal | level | false alarms | true, hot | gap | chance that hot scores "
                  "above "
                  "good | the same on the other task | false at any rise | cost |",
                  "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
        base = levels_for(development, LOSS)
        for name in (*NEW_RISES, *NEW_LEVELS, *OTHERS):
            at = levels_for(development, name)
            key = costs.get(name.removesuffix(", rises"))
            looks = (
                [v[key] for r in cells[task]["runs"] for v in r["looks"] if v[key]] if key else []
            )
            others = [area(t[name], t["hot"] > 0, t["good"] > 0) for t in development]
            anyway = f"{share(own[name], good, 0.0):.1%}" if name not in NEW_LEVELS else "-"
            lines.append(
                f"| {name} | {at:.3f} | {share(own[name], good, at):.1%} | "
                f"{share(own[name], hot, at):.1%} | {gap(own, name, at, base)} | "
                f"{area(own[name], hot, good):.3f} | {np.mean(others):.3f} | {anyway} | "
                f"{f'{np.mean(looks):.0f}' if looks else '-'} |"
            )
    return lines
