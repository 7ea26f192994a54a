"""What the sweep has cost, and what stopping trials saved."""

from __future__ import annotations

from lrsearch.visualization._report._facts import Facts
from lrsearch.visualization._report._html import Html, html, paragraphs, plural, table


def cost(facts: Facts) -> Html:
    """Costs in full-run equivalents, and the same sweep without stops."""
    spent = facts.costs
    if not facts.ours:
        return paragraphs("No trial has a schedule of lrsearch, so that its cost is not known.")
    rows: list[list[str]] = [
        ["trials, watching included", f"{spent.trials:.2f}"],
        ["measuring the edge", f"{spent.edge:.2f}"],
    ]
    if spent.confirmation:
        rows.append(["retraining winners with fresh seeds", f"{spent.confirmation:.2f}"])
    rows.append(["together", f"{spent.total:.2f}"])
    parts = [
        paragraphs(
            f"Everything together cost {spent.total:.1f} full runs. A full run is one training "
            "run over the whole budget, counted in gradients.",
            _without(facts),
        ),
        table("Cost in full runs", ["what", "full runs"], rows, words={0}),
    ]
    if spent.stops:
        stops = [
            [each.kind, str(each.trials), f"{each.spent:.2f}", f"{each.saved:.2f}"]
            for each in spent.stops
        ]
        parts.append(
            table(
                "What each kind of stop saved, in full runs",
                ["why they were stopped", "trials", "spent", "saved"],
                stops,
                words={0},
            )
        )
        parts.append(
            paragraphs(
                "Saved are the steps that a stopped trial did not do; watching it is not counted. "
                "Without stops the search would have chosen other trials, so that this compares "
                "costs, not results."
            )
        )
    return html(parts)


def _without(facts: Facts) -> str:
    spent = facts.costs
    if not spent.stops:
        return "No trial was stopped: the same sweep without stops would have cost the same."
    stopped = sum(each.trials for each in spent.stops)
    return (
        f"The same trials without stops would have cost {spent.without_stops:.1f}: stopping "
        f"{plural(stopped, 'trial')} saved {spent.saved:.1f} full runs, "
        f"{spent.saved / spent.without_stops:.0%}."
        if spent.without_stops
        else "Nothing has been spent yet."
    )
