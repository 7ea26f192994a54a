"""Tables of part A: every rule beside the best constant rate of the same problem and seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean, median
from typing import Any

from spirals import EQUAL, spiral_rows

TUNED = {"line": "line search", "cdat": "CDAT {:g}", "capped": "CDAT {:g} capped"}
STEP, LOSS, TYPICAL, RATE, TOP, NORM, COST = range(7)
FLOOR = 1e-10  # cross-entropy in single precision ends as zero somewhere under it
Run = dict[str, Any]


def name_of(run: Run) -> str:
    return TUNED[run["rule"]].format(run["value"])


def best_constant(cell: dict[str, Any]) -> Run:
    constants = [r for r in cell["runs"] if r["rule"] == "constant" and r["final"] is not None]
    return min(constants, key=lambda r: r["final"])


def pairs(cells: list[dict]) -> Iterator[tuple[dict, Run, Run]]:
    """Every tuner's run beside the best constant rate of the same cell."""
    for cell in cells:
        for run in cell["runs"]:
            if run["rule"] != "constant":
                yield cell, run, best_constant(cell)


def rules(cells: list[dict]) -> list[str]:
    order = {"line": 0, "cdat": 1, "capped": 2}
    found = {name_of(r): (order[r["rule"]], r["value"]) for _, r, _ in pairs(cells)}
    return sorted(found, key=lambda name: found[name])


def groups(cells: list[dict]) -> list[tuple[str, list[dict]]]:
    names = sorted({(c["optimizer"], c["problem"]) for c in cells})
    return [
        (f"{p}, {o}", [c for c in cells if (c["optimizer"], c["problem"]) == (o, p)])
        for o, p in names
    ]


def at_cost(run: Run, gradients: float) -> float | None:
    """Typical loss (median since the last point) where a run has cost so much, by points."""
    before = [p for p in run["curve"] if p[COST] <= gradients]
    return before[-1][TYPICAL] if before else None


def table(cells: list[dict], title: str, text: str, value: Any, form: str) -> list[str]:
    """Rows of problems, columns of rules; ``value(cell, run, constant)``, mean and range."""
    columns = rules(cells)
    lines = ["", f"## {title}", "", text, "", "| | " + " | ".join(columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for label, members in groups(cells):
        row = []
        for column in columns:
            values = [value(c, r, b) for c, r, b in pairs(members) if name_of(r) == column]
            known = [v for v in values if v is not None]
            if not values:
                row.append("")
            elif not known:
                row.append("none")
            else:
                spread = "" if len(known) < 2 else f" ({form.format(min(known))} to "
                spread += "" if len(known) < 2 else f"{form.format(max(known))})"
                lost = "" if len(known) == len(values) else f", {len(values) - len(known)} none"
                row.append(form.format(fmean(known)) + spread + lost)
        lines.append(f"| {label} | " + " | ".join(row) + " |")
    return lines


def log_ratio(a: float | None, b: float | None) -> float | None:
    """Octaves; what is below `FLOOR` counts as it."""
    if a is None or b is None or min(a, b) < 0:
        return None
    return math.log2(max(a, FLOOR) / max(b, FLOOR))


def crossing(_: dict, run: Run, constant: Run) -> float | None:
    """Last share of the steps at which the typical loss is below the constant's; 0: at none."""
    other = {p[STEP]: p[TYPICAL] for p in constant["curve"]}
    if run["final"] is None:
        return None
    ahead = [p[STEP] for p in run["curve"] if p[TYPICAL] < other.get(p[STEP], -math.inf)]
    return 100 * max(ahead, default=0) / run["curve"][-1][STEP]


def early(steps_share: float) -> Any:
    def value(cell: dict, run: Run, constant: Run) -> float | None:
        at = [i for i, p in enumerate(constant["curve"]) if p[STEP] <= steps_share * cell["steps"]]
        if not at or len(run["curve"]) <= at[-1]:
            return None
        return log_ratio(run["curve"][at[-1]][TYPICAL], constant["curve"][at[-1]][TYPICAL])

    return value


def equal_cost(cell: dict, run: Run, constant: Run) -> float | None:
    if run["final"] is None:
        return None
    return log_ratio(at_cost(run, cell["steps"]), constant["curve"][-1][TYPICAL])


def late(run: Run) -> list[list[float]]:
    return [p for p in run["curve"] if p[STEP] > run["curve"][-1][STEP] / 2]


def product(_: dict, run: Run, __: Run) -> float | None:
    """Median of rate times eigenvalue over threshold, second half."""
    if run["final"] is None:
        return None
    return median(p[RATE] * p[TOP] / run["threshold"] for p in late(run) if p[TOP])


def drift(column: int) -> Any:
    """Octaves from the tenth of the steps to the end, medians of three points."""

    def value(cell: dict, run: Run, _: Run) -> float | None:
        if run["final"] is None:
            return None
        i = next(i for i, p in enumerate(run["curve"]) if p[STEP] >= 0.1 * cell["steps"])
        start = [p[column] for p in run["curve"][i - 1 : i + 2] if p[column]]
        end = [p[column] for p in run["curve"][-3:] if p[column]]
        return log_ratio(median(end), median(start)) if start and end else None

    return value


HEAD = """
## The tuned constant rate

Best of a grid of octaves, for each seed by its own final loss (which favours it): rate, how many
rates were tried, final and first loss, rate times eigenvalue over threshold in the second half,
octaves that the eigenvalue moves by from a tenth of the steps to the end.

| | seed | rate | tried | final | first | product | sharpening |
|---|---|---|---|---|---|---|---|"""


def constant_rows(cells: list[dict]) -> list[str]:
    lines = HEAD.split("\n")
    for label, members in groups(cells):
        for c in members:
            b = best_constant(c)
            sharper = drift(TOP)(c, b, b)
            tried = sum(r["rule"] == "constant" for r in c["runs"])
            lines.append(
                f"| {label} | {c['seed']} | {b['value']:.4g} | {tried} | {b['final']:.4g} "
                f"| {b['curve'][0][LOSS]:.3g} | {product(c, b, b):.2f} | {sharper:+.2f} |"
            )
    return lines


COUNTS = """
## In how many runs

Of all problems, optimizers and seeds. Ahead: lower loss than the best constant rate at that share of
the steps. Ends: by more or less than 5 % of the constant's final loss. Sharper, slower: by half an
octave or more from a tenth of the steps to the end. On edge: the product's median over the second
half between 0.8 and 1.25.

| rule | runs | ahead at 1 % | 2 % | 5 % | 20 % | ends better | as good | worse | not finite | sharper | slower | on edge |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""  # noqa: E501


def count_rows(cells: list[dict]) -> list[str]:
    lines = COUNTS.split("\n")
    for rule in rules(cells):
        found = [(c, r, b) for c, r, b in pairs(cells) if name_of(r) == rule]
        row = [len(found)]
        for share in (0.01, 0.02, 0.05, 0.2):
            row.append(sum((early(share)(*f) or 0.0) < 0.0 for f in found))
        ended = [f for f in found if f[1]["final"] is not None]
        ratios = [r["final"] / b["final"] for _, r, b in ended]
        row += [
            sum(x < 1 - EQUAL for x in ratios),
            sum(1 - EQUAL <= x <= 1 + EQUAL for x in ratios),
            sum(x > 1 + EQUAL for x in ratios),
            len(found) - len(ended),
            sum((drift(TOP)(*f) or 0.0) >= 0.5 for f in ended),
            sum((drift(RATE)(*f) or 0.0) <= -0.5 for f in ended),
            sum(0.8 <= (product(*f) or 0.0) <= 1.25 for f in ended),
        ]
        lines.append(f"| {rule} | " + " | ".join(map(str, row)) + " |")
    return lines


COURSE = """
## Course of the rate

log2 of CDAT's rate over the best constant's, at shares of the steps; mean over seeds. A warm-up
would begin below 0 and rise; with a cap the start is set by it.

| | rule | step 1 | 1 % | 2 % | 5 % | 10 % | 20 % | 50 % | 100 % |
|---|---|---|---|---|---|---|---|---|---|"""
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def course_rows(cells: list[dict]) -> list[str]:
    lines = COURSE.split("\n")
    for label, members in groups(cells):
        for rule in ("CDAT 1", "CDAT 1 capped", "CDAT 2", "CDAT 2 capped"):
            found = [
                [log_ratio(rate_at(run, share * c["steps"]), b["value"]) for share in SHARES]
                for c, run, b in pairs(members)
                if name_of(run) == rule and run["final"] is not None
            ]
            columns = [[v for v in column if v is not None] for column in zip(*found, strict=True)]
            if columns:
                row = [f"{fmean(column):+.1f}" if column else "" for column in columns]
                lines.append(f"| {label} | {rule} | " + " | ".join(row) + " |")
    return lines


def rate_at(run: Run, step: float) -> float:
    """At the last point up to a step."""
    return [p[RATE] for p in run["curve"] if p[STEP] <= max(step, 1)][-1]


def full_batch(cells: list[dict]) -> list[str]:
    """Part A."""
    octaves = "{:+.2f}"
    lines = constant_rows(cells) + count_rows(cells)

    def add(title: str, text: str, value: Any, form: str = octaves) -> None:
        lines.extend(table(cells, title, text, value, form))

    add(
        "Final loss against the constant, equal steps",
        "log2 of the mean loss of the last 5 % of steps over the best constant's; below 0 is"
        " better. Mean over seeds and range; none: not finite. Losses under 1e-10 count as 1e-10.",
        lambda c, r, b: log_ratio(r["final"], b["final"]),
    )
    add(
        "The same at equal cost",
        "log2 of the loss when the rule has cost as many gradients as the constant's whole run (a"
        " CDAT step 3.5), over the constant's last.",
        equal_cost,
    )
    for share in (0.02, 0.05, 0.2):
        about = "log2 of the loss over the best constant's at the same step."
        add(f"After {share:.0%} of the steps", about, early(share))
    add(
        "Ahead of the constant until",
        "Last measured point, in % of the steps, at which the loss is below the constant's; 0 is"
        " never, 100 to the end.",
        crossing,
        "{:.0f}",
    )
    add(
        "At the edge?",
        "Rate times largest eigenvalue over the threshold (1 is the edge), median over the second"
        " half.",
        product,
        "{:.2f}",
    )
    add(
        "Sharpening",
        "Octaves that the largest eigenvalue moves by from a tenth of the steps to the end.",
        drift(TOP),
    )
    add("Fall of the rate", "Octaves that the rate moves by over the same steps.", drift(RATE))
    runs = [(p, name_of(r), c, r, b) for p, group in groups(cells) for c, r, b in pairs(group)]
    return lines + course_rows(cells) + spiral_rows(runs)
