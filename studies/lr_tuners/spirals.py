"""Whether `phase` sees a short-sighted spiral in a run's readings, and where one begins."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Any

from lrsearch.stability import Reading, phase

Run = dict[str, Any]
CLOSE = 0.15  # of the budget, between first alarm and onset
EQUAL = 0.05  # of the best constant's loss: as good
FELL = 0.5  # of the rate's maximum: below it for good is the onset
CALM = 5  # readings whose median rate counts, for rates that alternate


def readings_of(run: dict[str, Any], steps: int, *, top: bool) -> list[Reading]:
    """A tuner's readings; ``top`` puts the measured eigenvalue where sharpness belongs."""
    if not top:
        return [
            Reading(
                step=int(step),
                budget=steps,
                learning_rate=rate,
                loss=loss,
                gradient_norm=norm,
                sharpness=sharp,
                threshold=None if sharp is None else 2.0,
                tuned=True,
            )
            for step, rate, loss, norm, sharp in run["readings"]
        ]
    return [
        Reading(
            step=int(step),
            budget=steps,
            learning_rate=rate,
            loss=typical,
            gradient_norm=norm,
            sharpness=largest,
            threshold=run["threshold"],
            tuned=True,
        )
        for step, _, typical, rate, largest, norm, _ in run["curve"]
    ]


def first_alarm(readings: list[Reading]) -> int | None:
    for n in range(1, len(readings) + 1):
        if phase(readings[:n]).regime == "short-sighted spiral":
            return readings[n - 1].step
    return None


def onset(run: dict[str, Any]) -> int | None:
    """First reading after which the rate is below half of its maximum for good, if there is one."""
    steps = [int(r[0]) for r in run["readings"]]
    rates = [r[1] for r in run["readings"]]
    half = CALM // 2
    calm = [median(rates[max(0, i - half) : i + half + 1]) for i in range(len(rates))]
    if not calm or not math.isfinite(max(calm)):
        return None
    above = [i for i, rate in enumerate(calm) if rate > FELL * max(calm)]
    after = above[-1] + 1
    return steps[after] if after < len(steps) else None


HEAD = f"""
## Is the spiral recognised?

Greedy (CDAT 1) and line-search runs that end more than 5 % worse than the constant. Onset: the rate
(median of five readings) is below half of its maximum for good. Seen: the first alarm within
{CLOSE:.0%} of the budget of it. Own: the tuner's own readings; top: the measured eigenvalue at the
points of the curve in their place.

| | seed | rule | final/constant | onset | own: alarm | top: alarm |
|---|---|---|---|---|---|---|"""
GOOD = """
All tuners' runs that end within 5 % of the constant, or better:

| | seed | rule | final/constant | own: alarm | top: alarm |
|---|---|---|---|---|---|"""


def spiral_rows(runs: Iterable[tuple[str, str, dict, Run, Run]]) -> list[str]:
    """``runs``: problem, rule, cell, run and best constant run of each."""
    bad, good = HEAD.split("\n"), GOOD.split("\n")
    count: Counter[str] = Counter()
    for label, rule, c, run, b in runs:
        if run["final"] is None:
            continue
        ratio, steps = run["final"] / b["final"], c["steps"]
        alarms = {k: first_alarm(readings_of(run, steps, top=k == "top")) for k in ("own", "top")}
        shown = {k: "none" if a is None else f"{a / steps:.0%}" for k, a in alarms.items()}
        head = f"| {label} | {c['seed']} | {rule} | {ratio:.2f} "
        if (run["rule"] == "line" or run["value"] == 1.0) and ratio > 1 + EQUAL:
            begins = onset(run)
            kind = "line" if run["rule"] == "line" else "greedy"
            count[f"{kind}, bad"] += 1
            count[f"{kind}, onset"] += begins is not None
            for k, a in alarms.items():
                count[f"{kind}, {k} any"] += a is not None
                if a is not None and begins is not None and abs(a - begins) <= CLOSE * steps:
                    count[f"{kind}, {k}"] += 1
                    shown[k] += ", seen"
            began = "none" if begins is None else f"{begins / steps:.0%}"
            bad.append(f"{head}| {began} | {shown['own']} | {shown['top']} |")
        elif ratio <= 1 + EQUAL:
            kinds = ["any rule", "CDAT 2"] if run["value"] == 2.0 else ["any rule"]
            for kind in kinds:
                count[kind] += 1
                for k, a in alarms.items():
                    count[f"{kind}, {k}"] += a is not None
            good.append(f"{head}| {shown['own']} | {shown['top']} |")
        else:
            count["worse"] += 1
            for k, a in alarms.items():
                count[f"worse, {k}"] += a is not None
    bad.append("")
    for kind, name in (("greedy", "CDAT 1"), ("line", "line search")):
        bad.append(
            f"- {name}: {count[f'{kind}, bad']} bad runs, {count[f'{kind}, onset']} with an onset;"
            f" own readings: {count[f'{kind}, own']} seen, {count[f'{kind}, own any']} with an"
            f" alarm anywhere; top: {count[f'{kind}, top']} seen, {count[f'{kind}, top any']}"
            " anywhere."
        )
    good.append("")
    for kind in ("CDAT 2", "any rule"):
        good.append(
            f"- False alarms on good runs, {kind}: own readings {count[f'{kind}, own']}, top"
            f" {count[f'{kind}, top']}, of {count[kind]}."
        )
    good.append(
        f"- Alarms on runs at sigma of 1.5 and more that end worse: own readings"
        f" {count['worse, own']}, top {count['worse, top']}, of {count['worse']}."
    )
    return bad + good
