"""How far the best peaks of schedule shapes lie from linear decay's, in the judge's tables."""

import numpy as np
import specs  # noqa: F401 - puts the judge's folder on the path

import families  # isort: skip
import raw  # isort: skip
import tasks  # isort: skip
from table import Table  # isort: skip

from lrsearch.schedules import Schedule
from lrsearch.search._alignment import EXPONENT, STEPS
from lrsearch.theory import optimal_peak

EXPONENTS = (0.0, 0.4, EXPONENT, 1.0)
LINEAR = "linear"
WITHIN = 3  # quarter octaves around the best that a parabola is fitted to
DIVERGED = 2.0  # log loss that a diverged run gives up
OTHERS = [label for label in families.SHAPES if label != LINEAR]


def octaves(label: str) -> float:
    """The convex bound's relative optimal peak (Schaipp et al. 2025, 2501.18965), no warm-up."""
    shape = families.SHAPES[label]
    linear = optimal_peak(Schedule(LINEAR, 1.0, STEPS))
    return float(np.log2(optimal_peak(shape.schedule(1.0, STEPS)) / linear))


SAID = {label: octaves(label) for label in OTHERS}


def slope(said: np.ndarray, seen: np.ndarray) -> float:
    """Least squares through the origin."""
    return float(said @ seen / (said @ said))


def curve(table: Table, shape: str) -> dict[int, float]:
    """Truth of a shape by place, where no seed diverged."""
    return {k: mu for (s, k), mu in table.truth.items() if s == shape and np.isfinite(mu)}


def best(table: Table, shape: str) -> float:
    """Octave of a shape's best peak: a parabola through the cells near the best one."""
    values = curve(table, shape)
    middle = min(values, key=lambda k: values[k])
    near = [k for k in values if abs(k - middle) <= WITHIN]
    if len(near) < 3:
        return middle / 4
    bend, tilt, _ = np.polyfit([k - middle for k in near], [values[k] for k in near], 2)
    shift = float(np.clip(-tilt / (2 * bend), -WITHIN, WITHIN)) if bend > 0 else 0.0
    return (middle + shift) / 4


def regret(table: Table, shape: str, exponent: float) -> float:
    """Log loss given up by a shape at linear decay's best peak, moved by the bound."""
    at = best(table, LINEAR) + exponent * SAID[shape]
    lost = table.truth[table.snap(shape, 2.0**at)] - min(curve(table, shape).values())
    return float(min(lost, DIVERGED))


def part(title: str, tables: list[Table]) -> list[str]:
    """Tables of a half: what each shape wants, and what powers of the bound leave of it."""
    seen = {t.name: [best(t, s) - best(t, LINEAR) for s in OTHERS] for t in tables}
    pooled = np.array([v for row in seen.values() for v in row])
    said = np.array([SAID[s] for s in OTHERS] * len(tables))
    without = {
        t.name: slope(
            np.array([SAID[s] for s in OTHERS] * (len(tables) - 1)),
            np.array([v for name, row in seen.items() if name != t.name for v in row]),
        )
        for t in tables
    }
    lines = [
        f"### {title} tables",
        "",
        "| table | " + " | ".join(OTHERS) + " |",
        "|---" * (len(OTHERS) + 1) + "|",
        *(f"| {n} | " + " | ".join(f"{v:+.2f}" for v in row) + " |" for n, row in seen.items()),
        "| the bound | " + " | ".join(f"{SAID[s]:+.2f}" for s in OTHERS) + " |",
        "",
        f"Slope on the bound {slope(said, pooled):.2f} ({min(without.values()):.2f} to "
        f"{max(without.values()):.2f} without one table).",
        "",
        "| exponent | left, octaves rms | given up, median | mean | worst |",
        "|---|---|---|---|---|",
    ]
    for exponent in EXPONENTS:
        lost = np.array([regret(t, s, exponent) for t in tables for s in OTHERS])
        left = np.sqrt(np.mean((pooled - exponent * said) ** 2))
        lines.append(
            f"| {exponent:g} | {left:.2f} | {100 * np.median(lost):.1f} % "
            f"| {100 * lost.mean():.1f} % | {100 * lost.max():.0f} % |"
        )
    return [*lines, ""]


def page() -> list[str]:
    """The section of results.md."""
    return [
        "## Alignment between schedule shapes",
        "",
        "Octaves of each shape's best peak over linear decay's in the judge's tables (test loss,",
        "three to eight seeds a cell); then what is left, and the log loss that each shape gives",
        "up at linear decay's best peak moved by the bound to some power (a diverged run gives up",
        "200 %). No shape warms up.",
        "",
        *part("Development", list(raw.recorded(tasks.DEVELOPMENT).values())),
        *part("Evaluation", list(raw.recorded(tasks.EVALUATION).values())),
    ]
