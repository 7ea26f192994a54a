"""How far the best peaks of schedule shapes lie from linear decay's.

Without a warm-up in the judge's tables, with one in `shapes.py`'s runs.
"""

import archive
import numpy as np
import shapes
from ladder import log_loss
from specs import BY_NAME

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


Curves = dict[str, dict[int, float]]  # shape -> place -> mean log loss, infinite if a run diverged


def of_table(table: Table) -> Curves:
    """Curves of a table of the judge."""
    found: Curves = {}
    for (shape, k), mu in table.truth.items():
        found.setdefault(shape, {})[k] = mu
    return found


def of_task(name: str) -> Curves:
    """Curves of a task that was trained with a warm-up."""
    ladder = archive.load(archive.path_of(name))["lengths"][f"full {BY_NAME[name].budget}"]
    runs = {LINEAR: ladder, **archive.load(archive.shapes_of(name))["shapes"]}
    return {shape: {int(k): log_loss(r) for k, r in own.items()} for shape, own in runs.items()}


def best(curves: Curves, shape: str) -> float:
    """Octave of a shape's best peak: a parabola through the cells near the best one."""
    values = {k: v for k, v in curves[shape].items() if np.isfinite(v)}
    middle = min(values, key=lambda k: values[k])
    near = [k for k in values if abs(k - middle) <= WITHIN]
    if len(near) < 3:
        return middle / 4
    bend, tilt, _ = np.polyfit([k - middle for k in near], [values[k] for k in near], 2)
    shift = float(np.clip(-tilt / (2 * bend), -WITHIN, WITHIN)) if bend > 0 else 0.0
    return (middle + shift) / 4


def regret(curves: Curves, shape: str, exponent: float) -> float:
    """Log loss given up by a shape at linear decay's best peak, moved by the bound."""
    at = 4 * (best(curves, LINEAR) + exponent * SAID[shape])
    own = curves[shape]
    nearest = min(own, key=lambda k: (abs(k - at), k))
    return float(min(own[nearest] - min(own.values()), DIVERGED))


def part(title: str, known: dict[str, Curves]) -> list[str]:
    """A half: what each shape wants, and what powers of the bound leave of it."""
    others = [s for s in OTHERS if all(s in curves for curves in known.values())]
    bound = np.array([SAID[s] for s in others])
    seen = {
        name: np.array([best(curves, s) - best(curves, LINEAR) for s in others])
        for name, curves in known.items()
    }
    pooled, said = np.concatenate(list(seen.values())), np.tile(bound, len(seen))
    without = [
        slope(np.tile(bound, len(seen) - 1), np.concatenate([v for n, v in seen.items() if n != o]))
        for o in seen
    ]
    lines = [
        f"### {title}",
        "",
        "| task | " + " | ".join(others) + " |",
        "|---" * (len(others) + 1) + "|",
        *(f"| {n} | " + " | ".join(f"{v:+.2f}" for v in row) + " |" for n, row in seen.items()),
        "| the bound | " + " | ".join(f"{v:+.2f}" for v in bound) + " |",
        "",
        f"Slope on the bound {slope(said, pooled):.2f} ({min(without):.2f} to "
        f"{max(without):.2f} without one of them).",
        "",
        "| exponent | left, octaves rms | given up, median | mean | worst |",
        "|---|---|---|---|---|",
    ]
    for exponent in EXPONENTS:
        lost = np.array([regret(c, s, exponent) for c in known.values() for s in others])
        left = np.sqrt(np.mean((pooled - exponent * said) ** 2))
        lines.append(
            f"| {exponent:g} | {left:.2f} | {100 * np.median(lost):.1f} % "
            f"| {100 * lost.mean():.1f} % | {100 * lost.max():.0f} % |"
        )
    return [*lines, ""]


def page() -> list[str]:
    """The section of results.md."""
    tables = {
        half: {t.name: of_table(t) for t in raw.recorded(names).values()}
        for half, names in (("Development", tasks.DEVELOPMENT), ("Evaluation", tasks.EVALUATION))
    }
    warmed = {
        half: {name: of_task(name) for name in names if archive.shapes_of(name).exists()}
        for half, names in shapes.HALVES.items()
    }
    return [
        "## Alignment between schedule shapes",
        "",
        "Octaves of each shape's best peak over linear decay's (test loss, three to eight seeds a",
        "rate); then what is left, and the log loss that each shape gives up at linear decay's",
        "best peak moved by the bound to some power (a diverged run gives up 200 %). No shape of",
        "the judge's tables warms up; those of this study do, over a twentieth of the budget.",
        "",
        *(line for half, known in tables.items() for line in part(f"{half} tables", known)),
        *(
            line
            for half, known in warmed.items()
            if known
            for line in part(f"{half} tasks, with a warm-up", known)
        ),
    ]
