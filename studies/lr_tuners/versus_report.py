"""Make the tables of versus.md from raw/versus, and from the judge's raw results.

python studies/lr_tuners/versus_report.py
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import versus  # puts the judge's folder on the path
from clara_report import put

judge, tasks = versus.judge, versus.tasks

PAGE = versus.HERE / "versus.md"
BEGIN = "<!-- made by versus_report.py -->"
ONESHOT = (
    "prodigy + cosine",
    "schedule-free",
    "range test (steepest) + cosine",
    "range test (lowest / 10) + cosine",
)
SWEEPS = ("ours", "tpe [edge]", "tpe [wide]")
EARLY, COSTS = ("1", "2", "3.5"), ("3", "10", "40")  # ours here, the judge's
DRAWS = 4000
Column = dict[str, list[float]]  # function of tasks.py -> regrets


def percent(log: float) -> str:
    """A regret in log loss as what is given up."""
    if math.isnan(log):
        return "none"
    return f"{100 * math.expm1(log):+.1f} %" if log < math.log(10) else "lost"


def numbers(values: list[Any]) -> list[float]:
    return [float(value) for value in values]


def ours(tuner: str, setting: str, functions: list[str]) -> tuple[Column, float]:
    """Regrets of a tuner, and its cost in full runs."""
    found, costs = {}, []
    for function in functions:
        found[function] = versus.regrets(function, tuner, setting)
        runs = versus.load(function, tuner).get(setting, [])
        costs += [run["cost"] for run in runs if "cost" in run]
    return found, float(np.median(costs)) if costs else math.nan


def sweep(method: str, cost: str, functions: list[str]) -> Column:
    """Regrets of what sweeps recommend at a cost; infinite where they have nothing yet."""
    from compare import path_of

    found = {}
    for function in functions:
        path = path_of(function.replace("_", "-"), method, 1)
        if cost in EARLY:
            early = versus.load(function, "sweeps").get(method)
            if early is not None:
                found[function] = numbers(early[cost])
        elif path.exists():
            each = judge.load(path)["recommended"][cost]
            found[function] = [math.inf if one is None else float(one[3]) for one in each]
    return found


def oneshot(way: str, functions: list[str]) -> tuple[Column, float]:
    found, costs = {}, []
    for function in functions:
        document = judge.load(judge.path_of(function.replace("_", "-"), "oneshot"))["ways"]
        found[function] = numbers(document[way]["regret"])
        costs.append(document[way]["cost"])
    return found, float(np.median(costs))


def recorded(functions: list[str], shape: str, *, best: bool) -> Column:
    """Truth of a shape in the table, at its best rate or at the usual one; nothing is searched."""
    found = {}
    for function, table in judge.recorded(functions).items():
        mus = [mu for cell, mu in table.truth.items() if cell[0] == shape]
        own = min(mus) if best else table.truth[table.snap(shape, versus.usual(function))]
        found[function] = [own - table.best]
    return found


def interval(medians: list[float]) -> str:
    """Median over tasks; its 95 % interval over resampled tasks where there are three."""
    if not medians:
        return "none"
    middle = percent(float(np.median(medians)))
    if len(medians) < 3:
        return f"{middle} of {len(medians)}"
    draws = np.random.default_rng(0).choice(medians, (DRAWS, len(medians)))
    low, high = np.quantile(np.median(draws, axis=1), (0.025, 0.975), method="nearest")
    return f"{middle} ({percent(low)} to {percent(high)}) of {len(medians)}"


def row(label: str, cost: str, column: Column, functions: list[str]) -> str:
    medians = {f: float(np.median(column[f])) if column.get(f) else math.nan for f in functions}
    cells = []
    for f in functions:
        cell = percent(medians[f])
        if column.get(f) and len(column[f]) > 1 and max(column[f]) < math.inf:
            cell += f" (to {percent(max(column[f]))})"
        cells.append(cell)
    known = [m for m in medians.values() if not math.isnan(m)]
    return f"| {label} | {cost} | {' | '.join(cells)} | {interval(known)} |"


def table(functions: list[str], chosen: dict[str, str]) -> list[str]:
    lines = [
        "| what | full runs | " + " | ".join(functions) + " | median of tasks (95 %) of how many |",
        "|---" * (len(functions) + 3) + "|",
    ]
    for shape in ("constant", "cosine"):
        for best, words in ((False, "usual rate"), (True, "its best rate")):
            column = recorded(functions, shape, best=best)
            lines.append(row(f"{shape}, {words}", "-" if best else "1.00", column, functions))
    runs = [("constant", setting) for setting in versus.SETTINGS["constant"]]
    runs += [(tuner, setting) for tuner, setting in chosen.items() if tuner != "constant"]
    for tuner, setting in [*runs, (versus.SHORT, chosen["CDAT"])]:
        found, cost = ours(tuner, setting, functions)
        lines.append(row(f"**{tuner}**, {setting}", f"{cost:.2f}", found, functions))
    for way in ONESHOT:
        found, cost = oneshot(way, functions)
        lines.append(row(way, f"{cost:.2f}", found, functions))
    for method in SWEEPS:
        for cost in sorted((*EARLY, *COSTS), key=float):
            if found := sweep(method, cost, functions):
                lines.append(row(f"sweep: {method}", cost, found, functions))
    return [*lines, ""]


def noise(functions: list[str]) -> str:
    found = judge.recorded(functions)
    return "Noise floor (deviation of seed by cell near the best) and tolerance: " + ", ".join(
        f"{f} {100 * t.noise:.1f} %, {100 * t.tolerance():.1f} %" for f, t in found.items()
    )


def tables() -> str:
    frozen = json.loads(versus.FROZEN.read_text())
    chosen = frozen["chosen"]
    there = {p.name.replace("-", "_") for p in Path(versus.RAW).iterdir()}
    lines = []
    for title, functions in (
        ("Evaluation tasks", [f for f in versus.EVALUATION if f in there]),
        ("Development tasks, on which the settings were chosen", list(versus.DEVELOPMENT)),
    ):
        if functions:
            lines += [f"### {title}", "", *table(functions, chosen), noise(functions), ""]
    lines += ["### Settings on development tasks, mean regret in log loss cut at 1", ""]
    lines += ["| tuner | setting | mean regret |", "|---|---|---|"]
    for tuner, means in frozen["mean regrets"].items():
        for setting, mean in means.items():
            mark = "**" if chosen[tuner] == setting else ""
            lines.append(f"| {tuner} | {mark}{setting}{mark} | {mean:.3f} |")
    environments = set()
    for path in Path(versus.RAW).glob("*/*.json"):
        environments.add(json.dumps(json.loads(path.read_text())["environment"]))
    lines += ["", f"Frozen settings: {frozen['digest']}."]
    for each in sorted(environments):
        lines.append("Environment: " + ", ".join(f"{k} {v}" for k, v in json.loads(each).items()))
    return "\n".join(lines)


if __name__ == "__main__":
    put(PAGE, BEGIN, tables())
    print(tables())
