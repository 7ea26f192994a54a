"""Tables of the losses that shapes give up, and of UBA against the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from contenders import BASELINES, UBAS
from outcomes import LABELS, Array, Outcome, drawn, draws, interval, mean, percent
from run import BUDGETS
from scipy.stats import rankdata

BASE = tuple(shape.label for shape in BASELINES)
PHIS = ("uba 0.25", "uba 0.5", "uba 1", "cosine", "uba 2.5", "uba 5", "uba 10")  # phi 2 is cosine
CLASSIC = tuple(label for label in BASE if label != "cosine")
Rule = str | tuple[str, ...]  # a shape, or the best of several by their tuning seeds


def row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def head(cells: Sequence[object]) -> list[str]:
    return [row(cells), "|" + "---|" * len(cells)]


def chosen(o: Outcome, rule: Rule) -> int:
    """The place of the shape that a rule takes; several are decided on the tuning seeds alone."""
    among = [LABELS.index(label) for label in ([rule] if isinstance(rule, str) else rule)]
    return min(among, key=lambda i: o.scores[i])


def of_budget(found: list[Outcome], budget: int) -> list[Outcome]:
    return [o for o in found if o.budget == budget]


def budgets(found: list[Outcome]) -> list[int]:
    return [int(b) for b in BUDGETS if of_budget(found, int(b))]


def one_budget(found: list[Outcome], budget: int) -> list[str]:
    """Every cell of a budget."""
    part = of_budget(found, budget)
    given = np.stack([o.given_up for o in part])
    ranks = np.stack([rankdata(o.given_up) for o in part]).mean(axis=0)
    lines = ["", f"### {budget} % ({BUDGETS[str(budget)]} steps)", ""]
    lines += head(["schedule", *(f"{o.task}, {o.optimizer}" for o in part), "mean", "rank"])
    for i in np.argsort(given.mean(axis=0)):
        cells = [f"{percent(g):.1f}" for g in given[:, i]]
        lines.append(row([LABELS[i], *cells, f"{percent(given[:, i].mean()):.1f}",
                          f"{ranks[i]:.1f}"]))  # fmt: skip
    noise = [o.noise for o in part]
    lines.append(row(["*noise floor*", *(f"{percent(n):.1f}" for n in noise),
                      f"{percent(np.linalg.norm(noise) / len(noise)):.1f}", ""]))  # fmt: skip
    best = [f"{np.exp(o.losses.mean(axis=1).min()):.3f}" for o in part]
    return [*lines, row(["*best loss*", *best, "", ""])]


def summary(found: list[Outcome]) -> list[str]:
    """Means over the cells of each budget, and of all."""
    known = budgets(found)
    given = np.stack([o.given_up for o in found])
    ranks = np.stack([rankdata(o.given_up) for o in found]).mean(axis=0)
    near = np.stack([o.given_up <= 2 * o.noise for o in found]).sum(axis=0)
    optimizers = [np.array([o.optimizer == kind for o in found]) for kind in ("momentum", "adamw")]
    lines = head(["schedule", *(f"{b} %" for b in known), "all", "momentum", "adamw", "rank",
                  f"within two noise floors of the best, of {len(found)}"])  # fmt: skip
    for i in np.argsort(given.mean(axis=0)):
        parts = [given[[o.budget == b for o in found], i].mean() for b in known]
        parts += [given[:, i].mean(), *(given[kind, i].mean() for kind in optimizers)]
        lines.append(row([LABELS[i], *(f"{percent(p):.1f}" for p in parts), f"{ranks[i]:.1f}",
                          near[i]]))  # fmt: skip
    return lines


def difference(part: list[Outcome], mine: Rule, theirs: Rule) -> list[Array]:
    """Differences of log losses, of each outcome (seeds,); what was chosen stays chosen."""
    return [o.losses[chosen(o, mine)] - o.losses[chosen(o, theirs)] for o in part]


def verdict(part: list[Outcome], mine: Rule, theirs: Rule) -> str:
    """Mean difference over outcomes, with its 95 % interval over tasks, then seeds."""
    each = difference(part, mine, theirs)
    low, high = interval(drawn(draws(part), each))
    mark = "**" if low > 0 or high < 0 else ""
    return f"{mark}{percent(mean(each)):+.1f}{mark} ({percent(low):+.1f} to {percent(high):+.1f})"


def against(found: list[Outcome], mine: Rule, name: str, others: dict[str, Rule]) -> list[str]:
    """A rule against others, budget by budget; negative is better."""
    known = budgets(found)
    lines = ["", f"### {name}", ""]
    lines += head(["against", *(f"{b} %" for b in known), "all", "cells better, worse"])
    for label, theirs in others.items():
        cells = [verdict(of_budget(found, b), mine, theirs) for b in known]
        each = [(mean(difference([o], mine, theirs)), 2 * o.noise) for o in found]
        better, worse = sum(d < -n for d, n in each), sum(d > n for d, n in each)
        lines.append(row([label, *cells, verdict(found, mine, theirs), f"{better}, {worse}"]))
    return lines


def uba(found: list[Outcome]) -> list[str]:
    """UBA against every baseline."""
    others: dict[str, Rule] = {label: label for label in BASE}
    lines = []
    for shape in UBAS:
        lines += against(found, shape.label, f"phi = {shape.parameters['phi']:g}", others)
    others["best of the seven classical ones by tuning"] = CLASSIC
    return lines + against(found, PHIS, "phi searched: the best of seven by tuning", others)


def phis(found: list[Outcome]) -> list[str]:
    """Loss over the best phi's, by optimizer and budget."""
    at = [LABELS.index(label) for label in PHIS]
    values = ["2" if label == "cosine" else label.split()[1] for label in PHIS]
    lines = head(["optimizer", "budget", *(f"phi {v}" for v in values), "best phi",
                  "95 % of draws"])  # fmt: skip
    for kind in ("momentum", "adamw", "both"):
        for budget in [*budgets(found), 0]:
            part = [o for o in found if kind in (o.optimizer, "both")]
            part = of_budget(part, budget) if budget else part
            if not part:
                continue
            losses = np.mean([o.losses[at].mean(axis=1) for o in part], axis=0)
            weights = draws(part)
            means = [drawn(weights, [o.losses[i] for o in part]) for i in at]
            tops = np.array([float(v) for v in values])[np.argmin(means, axis=0)]
            low, high = np.quantile(tops, [0.025, 0.975], method="nearest")
            lines.append(row([kind, f"{budget} %" if budget else "all",
                              *(f"{percent(m - losses.min()):.1f}" for m in losses),
                              values[int(losses.argmin())], f"{low:g} to {high:g}"]))  # fmt: skip
    over = np.stack([o.losses[at].mean(axis=1) for o in found])
    over -= over.min(axis=1, keepdims=True)
    near = (over <= 2 * np.array([o.noise for o in found])[:, None]).sum(axis=0)
    lines.append(row(["*within two noise floors of the best phi*", f"of {len(found)}", *near,
                      "", ""]))  # fmt: skip
    return lines
