"""Why the winner wins: its story, its neighbours, and how far the other families are behind."""

from __future__ import annotations

import math
from typing import Any

from lrsearch.search import Standing
from lrsearch.visualization._report._facts import Facts
from lrsearch.visualization._report._glance import glance
from lrsearch.visualization._report._html import (
    Html,
    capital,
    compared,
    html,
    number,
    paragraphs,
    percent,
    plural,
    table,
    tag,
)
from lrsearch.visualization._report._trials import lines_of

NEIGHBOURS = 6


def why(facts: Facts) -> Html:
    """What there is to say of a winner with a schedule."""
    row = facts.best_row
    if row is None or row["family"] is None:
        return paragraphs("There is no winner whose schedule could be compared.")
    return html(
        [
            tag("p", _summary(facts, row)),
            glance(facts),
            tag("h3", "What its run was doing"),
            _story(facts),
            tag("h3", "Its neighbours"),
            _neighbours(facts, row),
            tag("h3", "The other families"),
            _families(facts, row),
        ]
    )


def _summary(facts: Facts, own: dict[str, Any]) -> str:
    """What may be said of the winner against the others, and no more."""
    others = [each for each in facts.standings if each.family != own["family"]]
    behind = [each.family for each in others if each.told_apart]
    open_ = [each.family for each in others if not each.told_apart]
    parts = [f"Trial {own['trial']} is recommended for the best {facts.metric} to be expected of "
             f"a new run, among {plural(len(facts.finished), 'finished trial')}."]  # fmt: skip
    better = [r for r in facts.finished if (facts.over(r["metric"]) or 0.0) < 0]
    if better:
        parts.append(f"{plural(len(better), 'trial')} had a better value in one run each; by what "
                     "runs near them reached, luck, or the winner's bad luck.")  # fmt: skip
    if behind:
        verb = "is" if len(behind) == 1 else "are"
        parts.append(f"{capital(_listed(behind))} {verb} behind it with 90 % certainty, by the "
                     "model that chose the trials.")  # fmt: skip
    if open_:
        parts.append(
            f"{capital(_listed(open_))} may be as good: this study does not tell them apart."
        )
    if not others:
        parts.append("How sure its lead over other families is cannot be told from this study.")
    return " ".join(parts)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _story(facts: Facts) -> Html:
    assert facts.winner is not None
    told = facts.stories[facts.winner.number]
    phases = lines_of(told, facts.metric)[2:]
    curved = any("sharpness" in reading for reading in told["readings"])
    return html(
        [
            tag("ul", [tag("li", line) for line in phases]),
            paragraphs(
                "rho is learning rate x sharpness over the optimizer's threshold: 1 is the edge of "
                "stability." if curved else None,
                "No reading of this run has a sharpness (no curvature could be measured, or it was "
                "not watched), so that it cannot be told how close to the edge it ran."
                if not curved else None,
            ),
        ]
    )  # fmt: skip


def _neighbours(facts: Facts, own: dict[str, Any]) -> Html:
    """The finished trials nearest in learning rate, of all families."""

    def far(row: dict[str, Any]) -> float:
        return abs(math.log2(row["peak"] / own["peak"]))

    others = [r for r in facts.finished if r["trial"] != own["trial"] and r["peak"]]
    near = sorted(others, key=far)[:NEIGHBOURS]
    if not near:
        return paragraphs("No other trial has finished.")
    rows: list[list[Any]] = []
    shown = sorted([own, *near], key=lambda r: r["peak"])
    for row in shown:
        octaves = math.log2(row["peak"] / own["peak"])
        over = facts.over(row["metric"])
        rows.append(
            [
                tag("a", str(row["trial"]), href=f"#trial-{row['trial']}"),
                f"{row['family']} {row['shape']}".strip(),
                number(row["peak"]),
                "the winner" if row is own else f"{octaves:+.2f} octaves",
                number(row["metric"]),
                "-" if row is own else compared(over),
            ]
        )
    heads = ["trial", "schedule", "peak rate", "from the winner's", facts.metric, "than the winner"]
    caption = f"The winner and the {plural(len(near), 'finished trial')} nearest in peak rate"
    return html([
        table(caption, heads, rows, words={1}, mark=shown.index(own)),
        paragraphs("Single runs differ by luck, too: a difference between two of them proves "
                   "little."),
    ])  # fmt: skip


def _families(facts: Facts, own: dict[str, Any]) -> Html:
    known = {each.family: each for each in facts.standings}
    names = list(dict.fromkeys(r["family"] for r in facts.finished if r["family"]))
    searched = facts.space.families if facts.space is not None else ()
    tried = {r["family"] for r in facts.rows if r["family"]}
    names += [f for f in dict.fromkeys([*searched, *sorted(tried)]) if f not in names]
    rows: list[list[Any]] = []
    for name in names:
        done = [r for r in facts.finished if r["family"] == name]
        began = sum(r["family"] == name for r in facts.rows)
        best = done[0] if done else None
        over = facts.over(best["metric"]) if best else None
        each = known.get(name)
        rows.append(
            [
                name,
                f"{len(done)} of {began}" if began else "not tried",
                number(best["metric"]) if best else "-",
                compared(over),
                f"{percent(each.gap)} ({percent(each.low)} to {percent(each.high)})"
                if each
                else "-",
                _verdict(name, own["family"], each, len(done), began),
            ]
        )
    heads = ["family", "finished", f"best {facts.metric}", "seen, than the winner",
             "expected gap (90 %)", "what this study supports"]  # fmt: skip
    note = (
        "Expected gap: the family at its most promising point against the winner, + is worse, by "
        "the model that chose the trials; it assumes a basin around the edge and families alike "
        "where their shapes are. An interval that reaches below 0: the family may be as good."
        if known
        else "How far a family is behind can be told with uncertainty from four finished trials "
        "on, where lrsearch.EdgeSampler searched the schedule and nothing else."
    )
    mark = names.index(own["family"])
    return html([table("Families, best seen first", heads, rows, words={0, 5}, mark=mark),
                 paragraphs(note)])  # fmt: skip


def _verdict(name: str, winner: str, standing: Standing | None, done: int, began: int) -> str:
    if name == winner:
        return "the winner's"
    if not done:
        return "nothing: none finished" if began else "nothing: not tried"
    if standing is None:
        return "only what was seen"
    return "behind" if standing.told_apart else "not told apart from the winner"
