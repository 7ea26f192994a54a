"""Tables of what the search believes before a trial, against what was measured here.

The beliefs and alignments of `lrsearch.search` were fitted on other tasks: nothing here is fitted,
but where a table says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from bracket import score
from contenders import SHAPES, WARMUP
from outcomes import LABELS, Array, Outcome, drawn, draws, interval, percent
from run import BUDGETS
from scipy.stats import spearmanr
from shape_tables import budgets, head, of_budget, row

from lrsearch.schedules import Schedule
from lrsearch.search._alignment import EXPONENT, STEPS, alignment
from lrsearch.search._shapes import shape_point
from lrsearch.theory import convex_bound

EXPONENTS = (0.0, 0.29, EXPONENT, 1.0)  # 0.29: the judge's evaluation tables (_alignment.py)
LINEAR = LABELS.index("linear")


def believed() -> Array:
    """Log loss that the package believes each shape to lose (shapes,)."""
    return np.array([shape_point(s.family, s.parameters, WARMUP).belief for s in SHAPES.values()])


def bounds() -> Array:
    """Log of the convex bound at its best peak, over linear decay's (shapes,)."""
    made = [convex_bound(Schedule(s.family, 1.0, STEPS, dict(s.parameters))) for s in
            SHAPES.values()]  # fmt: skip
    return np.log([b.optimal_value for b in made]) - math.log(made[LINEAR].optimal_value)


def aligned() -> Array:
    """Octaves of the bound's best peak over linear decay's (shapes,): exponent 1."""
    said = [math.log2(alignment(s.family, dict(s.parameters))) for s in SHAPES.values()]
    return np.array(said) / EXPONENT


def ranks(found: list[Outcome]) -> list[str]:
    """Rank correlation of beliefs with measured losses."""
    rules = {"the package's belief": believed(), "the convex bound alone": bounds()}
    tasks = tuple(dict.fromkeys(o.task for o in found))
    lines = head(["rule", *(f"{b} %" for b in budgets(found)), "momentum", "adamw", *tasks,
                  "single cells, median (range)"])  # fmt: skip
    for name, said in rules.items():
        groups = [of_budget(found, b) for b in budgets(found)]
        groups += [[o for o in found if o.optimizer == kind] for kind in ("momentum", "adamw")]
        groups += [[o for o in found if o.task == task] for task in tasks]
        whole = [_spearman(said, np.mean([o.given_up for o in g], axis=0)) for g in groups]
        each = [_spearman(said, o.given_up) for o in found]
        span = f"{np.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
        lines.append(row([name, *(f"{r:.2f}" for r in whole), span]))
    return lines


def _spearman(a: Array, b: Array) -> float:
    return float(spearmanr(a, b).statistic)


def levels(found: list[Outcome]) -> list[str]:
    """Believed and measured losses, against linear decay."""
    said, bound = believed(), bounds()
    seen = np.stack([(o.losses - o.losses[LINEAR]).mean(axis=1) for o in found])
    weights = draws(found)
    lines = head(["schedule", "believed", "bound", "measured (95 %)", *(f"{b} %" for b in
                  budgets(found))])  # fmt: skip
    for i in np.argsort(seen.mean(axis=0)):
        low, high = interval(drawn(weights, [o.losses[i] - o.losses[LINEAR] for o in found]))
        each = [seen[[o.budget == b for o in found], i].mean() for b in budgets(found)]
        lines.append(row([
            LABELS[i], f"{percent(said[i] - said[LINEAR]):+.1f}", f"{percent(bound[i]):+.1f}",
            f"{percent(seen[:, i].mean()):+.1f} ({percent(low):+.1f} to {percent(high):+.1f})",
            *(f"{percent(e):+.1f}" for e in each),
        ]))  # fmt: skip
    off = said - said[LINEAR] - seen.mean(axis=0)
    slope = float(bound @ seen.mean(axis=0) / (bound @ bound))
    return [*lines, "", f"Belief less measured: mean {100 * off.mean():+.1f} %, root mean square "
            f"{100 * np.sqrt((off**2).mean()):.1f} %. Slope of the measured losses on the bound's "
            f"logarithm, fitted here: {slope:.2f}."]  # fmt: skip


def gaps(found: list[Outcome]) -> tuple[Array, Array]:
    """Octaves of each shape's best peak over linear decay's (outcomes, shapes), and their standard
    errors from the tuning seeds one by one."""
    seen, errors = [], []
    for o in found:
        seen.append([o.octaves(label) - o.octaves("linear") for label in LABELS])
        count = len(next(iter(o.tuning["linear"].values())))
        each = [[o.octaves(label, s) - o.octaves("linear", s) for label in LABELS]
                for s in range(count)]  # fmt: skip
        errors.append(np.std(each, axis=0, ddof=1) / math.sqrt(count))
    return np.array(seen), np.array(errors)


def peaks(found: list[Outcome]) -> list[str]:
    """Measured relative best peaks beside the alignment."""
    seen, _ = gaps(found)
    said = aligned()
    kinds = [np.array([o.optimizer == kind for o in found]) for kind in ("momentum", "adamw")]
    lines = head(["schedule", "alignment", "measured", *(f"{b} %" for b in budgets(found)),
                  "momentum", "adamw", "deviation"])  # fmt: skip
    for i in np.argsort(said):
        if i == LINEAR:
            continue
        parts = [seen[[o.budget == b for o in found], i].mean() for b in budgets(found)]
        parts += [seen[kind, i].mean() for kind in kinds]
        lines.append(
            row(
                [
                    LABELS[i],
                    f"{EXPONENT * said[i]:+.2f}",
                    f"{seen[:, i].mean():+.2f}",
                    *(f"{p:+.2f}" for p in parts),
                    f"{seen[:, i].std(ddof=1):.2f}",
                ]
            )
        )
    return lines


def exponents(found: list[Outcome]) -> list[str]:
    """Root mean square octaves that an exponent leaves, and the slope that fits."""
    seen, errors = gaps(found)
    others = np.arange(len(LABELS)) != LINEAR
    said = np.tile(aligned()[others], (len(found), 1))
    seen, errors = seen[:, others], errors[:, others]
    groups: list[tuple[str, Callable[[Outcome], bool]]] = [("all", lambda _: True)]
    groups += [(k, lambda o, k=k: o.optimizer == k) for k in ("momentum", "adamw")]
    groups += [(t, lambda o, t=t: o.task == t) for t in dict.fromkeys(o.task for o in found)]
    groups += [(f"{b} %", lambda o, b=b: o.budget == b) for b in map(int, BUDGETS)]
    lines = head(["outcomes", *(f"exponent {e:g}" for e in EXPONENTS), "fitted exponent",
                  "left with it", "noise"])  # fmt: skip
    for name, within in groups:
        at = np.array([within(o) for o in found])
        if not at.any():
            continue
        x, y = said[at], seen[at]
        slope = float((x * y).sum() / (x * x).sum())
        left = [_rms(y - e * x) for e in (*EXPONENTS, slope)]
        lines.append(row([name, *(f"{r:.2f}" for r in left[:-1]), f"{slope:.2f}",
                          f"{left[-1]:.2f}", f"{_rms(errors[at]):.2f}"]))  # fmt: skip
    return lines


def _rms(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))


def price(o: Outcome, shape: str, octaves: float) -> tuple[float, bool]:
    """Log validation loss given up at linear's best peak moved by octaves, straight between peaks;
    and whether that lies beyond the peaks that were tried (then it is the outermost one's)."""
    scores = {k: score(losses) for k, losses in sorted(o.tuning[shape].items())}
    finite = {k: s for k, s in scores.items() if math.isfinite(s)}
    at = 2 * (o.octaves("linear") + octaves)
    ks = np.array(list(finite))
    lost = float(np.interp(at, ks, list(finite.values()))) - min(finite.values())
    return lost, not ks[0] <= at <= ks[-1]


def prices(found: list[Outcome]) -> list[str]:
    """What it costs to train every shape at linear decay's best peak, moved by an exponent."""
    others = [i for i in range(len(LABELS)) if i != LINEAR]
    lines = head(["exponent", "mean", "momentum", "adamw", "95 % quantile", "beyond the grid"])
    for e in EXPONENTS:
        made = [(o.optimizer, *price(o, LABELS[i], e * aligned()[i])) for o in found for i in
                others]  # fmt: skip
        lost = np.array([m[1] for m in made])
        kinds = [lost[[m[0] == kind for m in made]].mean() for kind in ("momentum", "adamw")]
        lines.append(row([f"{e:g}", *(f"{percent(p):.2f}" for p in (lost.mean(), *kinds)),
                          f"{percent(np.quantile(lost, 0.95)):.1f}",
                          f"{100 * np.mean([m[2] for m in made]):.0f} %"]))  # fmt: skip
    return lines
