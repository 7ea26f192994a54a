"""Every trial with its story."""

from __future__ import annotations

from typing import Any

from lrsearch.sweeps import sentences
from lrsearch.visualization._report._facts import Facts
from lrsearch.visualization._report._html import Html, html, number, paragraphs, tag

STATES = {"complete": "finished", "pruned": "stopped", "running": "open", "fail": "failed"}


def lines_of(told: dict[str, Any], metric: str) -> list[str]:
    """A story's sentences, after the one that names the trial."""
    return [line.strip() for line in sentences(told, metric)[1:]]


def trials(facts: Facts) -> Html:
    """One block for each trial, best first."""
    if not facts.rows:
        return paragraphs("There are none.")
    return html([_trial(facts, row) for row in facts.rows])


def _trial(facts: Facts, row: dict[str, Any]) -> Html:
    told, trial = facts.stories[row["trial"]], facts.trials[row["trial"]]
    if trial.values:
        value = f"{facts.metric} " if not facts.several else ""
        value += ", ".join(number(v, 5) for v in trial.values)
    else:
        value = f"after {row['steps']} steps" if row["steps"] else ""
    name = f"trial {row['trial']}"
    rate = f", peak {number(row['peak'])}" if row["peak"] is not None else ""
    what = f"{row['family']}{rate}" if row["family"] else "no schedule of lrsearch"
    ended = STATES[row["state"]]
    summary = tag(
        "summary",
        tag("strong", name),
        f": {what}. ",
        tag("span", f"{ended}{', ' if value else ''}{value}", class_="state"),
        " (the winner)" if facts.winner is not None and trial.number == facts.winner.number else "",
    )
    held = ", ".join(f"{n} = {_shown(v)}" for n, v in sorted(trial.params.items()))
    return tag(
        "details",
        summary,
        tag("ul", [tag("li", line) for line in lines_of(told, facts.metric)]),
        tag("p", f"Parameters: {held}", class_="note") if held else None,
        class_="trial",
        id=f"trial-{row['trial']}",
    )


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)
