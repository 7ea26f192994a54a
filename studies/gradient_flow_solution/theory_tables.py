"""Tables of parts A and B: scalar networks and squared regression."""

from __future__ import annotations

from typing import Any

Cell = dict[str, Any]
NEAR = 1.9  # rate times phi at the end: at the edge, not well below it
SPIKE = 1.0  # times the first loss


def behaviour(run: Cell) -> str:
    """What became of a scalar network, of `scalar.scan`."""
    end = run["end"]
    if run["lost"]:
        return "diverges"
    if run["left_at"]:
        return "leaves the positive orthant"
    if run["converged_at"] >= 0 and run["loss_rises"] == 0:
        return "like the flow"
    if run["converged_at"] >= 0 and end < NEAR and run["peak_over_first"] > SPIKE:
        return "catapult"
    if end is not None and NEAR <= end <= 2.05:
        return "edge of stability"
    return "oscillates above the edge"


def spans(runs: list[Cell]) -> dict[str, list[float]]:
    """Behaviour -> rates times phi at which it was seen."""
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(behaviour(run), []).append(run["product"])
    return found


def scans(cells: list[Cell]) -> list[str]:
    kinds = ("like the flow", "edge of stability", "catapult", "oscillates above the edge",
             "leaves the positive orthant", "diverges")  # fmt: skip
    lines = ["", "## What becomes of one start", "",
             f"Rates times phi of the start, in steps of 0.2 up to 6, at which each was seen; "
             f"{cells[0]['steps']} steps.", "",
             "| start | " + " | ".join(kinds) + " | rises of phi in the orthant |",
             "|---|" + "---|" * (len(kinds) + 1)]  # fmt: skip
    for cell in cells:
        seen = spans(cell["runs"])
        shown = []
        for kind in kinds:
            own = seen.get(kind, [])
            whole = own and len(own) == round((own[-1] - own[0]) / 0.2) + 1
            text = f"{own[0]:g} to {own[-1]:g}" if whole and len(own) > 1 else ", ".join(
                f"{p:g}" for p in own)  # fmt: skip
            shown.append(text or "-")
        rises = sum(run["phi_rises"] for run in cell["runs"])
        lines.append(f"| {tuple(cell['start'])} | " + " | ".join(shown) + f" | {rises} |")
    return lines


def grid(cells: list[Cell]) -> list[str]:
    lines = ["", "## Random starts", "",
             f"Rate times phi uniform up to 2 sqrt 2; {cells[0]['runs']} runs a cell, "
             f"{cells[0]['steps']} steps. Tame: rate times phi <= 2 and pi within 0.5 of 1.", "",
             "| depth | spread | rises of phi | left the orthant | of these a pair of signs, "
             "phi rose "
             "| tame that left | converged | largest rate x phi of these | above 2 at the start, "
             "below at the end |",
             "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for c in sorted(cells, key=lambda c: (c["depth"], c["spread"])):
        lines.append(
            f"| {c['depth']} | {c['spread']} | {c['violations']} | {c['left'] / c['runs']:.1%} | "
            f"{c['left_in_pairs']}, {c['left_in_pairs_and_rose']} | {c['tame_left']} of "
            f"{c['tame']} | "
            f"{c['converged']} | {c['largest_end']:.4f} | "
            f"{c['above_two_below_at_end']} of {c['above_two']} |"
        )
    runs, bad = sum(c["runs"] for c in cells), sum(c["violations"] for c in cells)
    lines += ["", f"All: {bad} runs with a rise of phi before leaving, of {runs}."]
    return lines


def edges(cells: list[Cell]) -> list[str]:
    lines = ["", "## The end of runs that start just above the edge", "",
             f"Loss at most 0.4^2 / 200, rate times phi in 2 to 2.1; {cells[0]['steps']} "
             f"steps.", "",
             "| depth | runs | rises of phi | converged | of these in [1.6, 2] | rate x phi at the "
             "end of all | largest of the converged |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for c in sorted(cells, key=lambda c: c["depth"]):
        top = c["largest_end_converged"]
        lines.append(
            f"| {c['depth']} | {c['runs']} | {c['violations']} | {c['converged']} | "
            f"{c['converged_in_range']} | {c['smallest_end']:.4f} to {c['largest_end']:.4f} | "
            f"{'-' if top is None else f'{top:.4f}'} |"
        )
    return lines


def pairs(cell: Cell) -> list[str]:
    alone = ", ".join(f"{p:.2f}" for p in cell["rose_without_a_flip"]) or "none"
    return [
        "", "## Signs that flip in pairs", "",
        f"Depth 4, {cell['runs']} random starts, rate times phi 2 to 10, {cell['steps']} steps. pi "
        f"stayed positive in {cell['product_stayed_positive']}; weights changed sign in "
        f"{cell['of_these_signs_flipped']} of these, and phi rose at some step in "
        f"{cell['of_these_phi_rose']} of those (the smallest rate times phi: "
        f"{cell['flipped_and_rose_least_product']:.2f}). Without any change of sign phi rose at "
        f"rate "
        f"times phi of: {alone}. An example with a flip: weights {cell['example'].get('weights')}, "
        f"rate {cell['example'].get('rate')}.",
    ]  # fmt: skip


def regression(cells: list[Cell]) -> list[str]:
    lines = ["", f"20 dimensions, rate times phi uniform up to 2 sqrt 2; {cells[0]['runs']} runs a "
             f"cell, {cells[0]['steps']} steps. Targets within 10 % or 50 % of what the start "
             f"says.",
             "", "| examples | targets off by | runs with a rise of phi | largest rise | runs "
                 "with a "
             "rise of the loss | a sign changed | converged | largest rate x phi of these | "
             "above 2 "
             "at the start, below at the end |",
             "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for c in sorted(cells, key=lambda c: (c["examples"], c["near"])):
        lines.append(
            f"| {c['examples']} | {c['near']:.0%} | {c['violations']} | {c['largest_rise']:.1e} | "
            f"{c['loss_rose']} | {c['left']} | {c['converged']} | {c['largest_end']:.4f} | "
            f"{c['above_two_below_at_end']} of {c['above_two']} |"
        )
    return lines


def real(cell: Cell) -> list[str]:
    shown = [f"rate times phi {r['product']:.2f}, step {r['step']}: {r['double']:.3e} in double, "
             f"{r['exact']:.3e} in {cell['digits']} digits" for r in cell["rises"]]  # fmt: skip
    return ["", "First rises of phi with eight examples, relative: " + "; ".join(shown) + "."]
