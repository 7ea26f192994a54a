"""Tables of part C: perceptrons, and what the integrators say of each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

Cell = dict[str, Any]
LEAST = 0.004  # relative: a rise below this is not told from the readings' own error


def readings(cell: Cell) -> list[tuple[int, float, float]]:
    """Steps at which flows began, and their sharpness at the last goal but one and the last.

    The last goal is the last that every flow of the run has reached.
    """
    flows = sorted((int(step), flow["stages"]) for step, flow in cell["flows"].items())
    common = min(sum(s["reached"] for s in stages) for _, stages in flows)
    return [(step, stages[common - 2]["sharpness"], stages[common - 1]["sharpness"])
            for step, stages in flows]  # fmt: skip


def goal(cell: Cell) -> float:
    common = min(sum(s["reached"] for s in f["stages"]) for f in cell["flows"].values())
    return float(next(iter(cell["flows"].values()))["stages"][common - 1]["goal"])


def rises(cell: Cell) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs of steps between which the flow's sharpness rose: all, and those beyond the error.

    The error of a ratio is what it still changes from the last goal but one to the last.
    """
    every, beyond = [], []
    for (i, a0, a1), (j, b0, b1) in pairwise(readings(cell)):
        rise = b1 / a1 - 1
        if rise > 0:
            every.append((i, j))
        if rise > max(LEAST, abs(b1 / a1 - b0 / a0)):
            beyond.append((i, j))
    return every, beyond


def networks(cells: list[Cell]) -> list[str]:
    lines = ["", "All sharpnesses times the rate. Rises of the flow's sharpness are from one "
                 "sampled "
             "iterate to the next; beyond error: by more than 0.4 % and than what the ratio of the "
             "two still changes from the last goal but one to the last.", "",
             "| net | rate | seed | flows | read at loss | flow's sharpness, first | last | least "
             "| rises, beyond error, confirmed | still changes | sharpness, first | largest | "
             "last | its "
             "rises "
             "| steps with a rise of the loss |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for c in cells:
        rate, phi = c["rate"], readings(c)
        tops = [value for _, value in c["readings"]]
        every, beyond = rises(c)
        sure = sum((confirmed(c, i, j) or 0.0) > LEAST for i, j in beyond)
        change = max(abs(b / a - 1) for _, a, b in phi)
        up = sum(b > a for a, b in pairwise(c["losses"]))
        jumps = sum(b > a * (1 + LEAST) for a, b in pairwise(tops))
        lines.append(
            f"| {c['net']} | {rate:.4f} | {c['seed']} | {len(phi)} | {goal(c):g} | "
            f"{rate * phi[0][2]:.3f} | {rate * phi[-1][2]:.3f} | "
            f"{rate * min(p for *_, p in phi):.3f} | {len(every)}, {len(beyond)}, {sure} | "
            f"{change:.1%} | "
            f"{rate * tops[0]:.3f} | {rate * max(tops):.3f} | {rate * tops[-1]:.3f} | "
            f"{jumps} of {len(tops) - 1} | {up} of {len(c['losses']) - 1} |"
        )
    return lines


def points(cells: list[Cell]) -> list[str]:
    lines = ["", "Rate times the flow's sharpness, by the step from which the flow began:", ""]
    for c in cells:
        shown = ", ".join(f"{step}: {c['rate'] * phi:.3f}" for step, _, phi in readings(c))
        lines.append(f"- {c['net']}, rate {c['rate']:.4f}, seed {c['seed']}: {shown}")
    return lines


def confirmed(cell: Cell, i: int, j: int) -> float | None:
    """A rise between two steps as `gradient_flow` reads it, relative; None if it was not asked."""
    before, after = (cell.get("again", {}).get(str(step)) for step in (i, j))
    return after["sharpness"] / before["sharpness"] - 1 if before and after else None


def again(cells: list[Cell]) -> list[str]:
    """Rises beyond the error, as `gradient_flow` reads them."""
    lines: list[str] = []
    for c in cells:
        own = {step: value for step, _, value in readings(c)}
        for i, j in rises(c)[1]:
            rise = confirmed(c, i, j)
            if rise is not None:
                ends = [c["again"][str(step)] for step in (i, j)]
                apart = max(
                    abs(own[s] / e["sharpness"] - 1) for s, e in zip((i, j), ends, strict=True)
                )
                lines.append(
                    f"- {c['net']}, rate {c['rate']:.4f}, seed {c['seed']}, steps {i} to {j}: "
                    f"{own[j] / own[i] - 1:+.2%} by stabilised steps, {rise:+.2%} by "
                    f"`gradient_flow` at "
                    f"losses of {ends[0]['loss']:.1e} and {ends[1]['loss']:.1e}; the two "
                    f"readings of "
                    f"one flow are up to {apart:.1%} apart"
                )
    head = ["", "Rises beyond the error, read again by `gradient_flow`:", ""]
    return [*head, *lines] if lines else []


def checks(cells: dict[str, Cell]) -> list[str]:
    lines = ["", "## The two integrators, from the start of seed 0, at the same time of the "
                 "flow", "",
             "| net | gradient_flow | its gradients | loss there | stabilised steps | gradients | "
             "distance over way |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, c in cells.items():
        lines.append(
            f"| {name} | {c['sharpness']:.4f} | {c['gradients']} | {c['loss']:.2e} | "
            f"{c['own_sharpness']:.4f} | {c['own_gradients']} | {c['distance'] / c['way']:.1e} |"
        )
    return lines
