"""What was found, and how sure that is."""

from __future__ import annotations

import math

from lrsearch.search import FAMILY, ScheduleSpace
from lrsearch.visualization._report._facts import Facts
from lrsearch.visualization._report._html import (
    Html,
    capital,
    html,
    number,
    paragraphs,
    plural,
    table,
    tag,
)

NEAR = 0.03  # of a range: a value so close to its end may want to lie beyond


def found(facts: Facts) -> Html:
    """The winner, or why there is none."""
    row = facts.best_row
    if facts.several:
        return _front(facts)
    if row is None:
        return _nothing(facts)
    if row["family"] is None:
        assert facts.winner is not None
        held = ", ".join(f"{n} = {v}" for n, v in facts.winner.params.items())
        return paragraphs(
            f"Trial {row['trial']} has the best {facts.metric}: {number(row['metric'], 5)}."
            + (f" Its parameters: {held}." if held else ""),
            "It has no schedule of lrsearch, so that there is no learning rate to tell: its "
            "trials were not suggested by ScheduleSpace.suggest.",
        )
    shape = f"{row['family']}" + (f" with {row['shape']}" if row["shape"] else "")
    steps = facts.schedule.budget if facts.schedule is not None else row["steps"]
    tiles = [
        ("schedule", row["family"], row["shape"] or "no shape parameters"),
        ("peak learning rate", number(row["peak"]), "of the first parameter group"),
        (facts.metric, number(row["metric"]), "larger is better" if facts.maximize else "in the "
         "sweep; smaller is better"),
        ("trained for", f"{steps:,} steps", f"trial {row['trial']}"),
    ]  # fmt: skip
    return html(
        [
            tag(
                "dl",
                [
                    tag("div", tag("dt", name), tag("dd", value, tag("small", more)))
                    for name, value, more in tiles
                ],
                class_="tiles",
            ),
            paragraphs(
                f"The recommended schedule is {shape}. Its peak learning rate is "
                f"{number(row['peak'])} = "
                f"{number(row['multiplier'])} (multiplier) x {number(row['alignment'])} "
                f"(alignment of its shape) x {number(row['edge'])} (edge of stability).",
                _warmup(facts),
                f"Trial {row['trial']} reached {facts.metric} {number(row['metric'], 5)} with it.",
            ),
        ]
    )


def sure(facts: Facts) -> Html:
    """What may still be gained, whether the winner was retrained, how many trials say so."""
    counts = dict.fromkeys(("complete", "pruned", "running", "fail"), 0)
    for row in facts.rows:
        counts[row["state"]] += 1
    said = (
        f"{plural(counts['complete'], 'trial')} finished, {counts['pruned']} stopped early, "
        f"{counts['fail']} failed, {counts['running']} still open."
    )
    open_ = counts["running"]
    return html(
        [
            paragraphs(
                said,
                f"This page shows the study while {plural(open_, 'trial')} ran or had been "
                "interrupted; what it says may change." if open_ else None,
                _ahead(facts),
                _lucky(facts),
                _retrained(facts),
                _edge(facts),
            ),
            [tag("p", text, class_="warn") for text in _borders(facts)],
        ]
    )  # fmt: skip


def _nothing(facts: Facts) -> Html:
    if not facts.rows:
        return paragraphs(
            "This study has no trials yet. Run it first, then write the report again."
        )
    return paragraphs(
        "No trial has finished, so that there is no best schedule.",
        capital(facts.trouble),
    )


def _front(facts: Facts) -> Html:
    front = facts.study.best_trials
    directions = [d.name.lower() for d in facts.study.directions]
    rows = []
    for trial in sorted(front, key=lambda t: t.values):
        row = facts.stories[trial.number]["row"]
        shape = f"{row['family'] or '-'} {row['shape'] or ''}".strip()
        values = [number(v, 5) for v in trial.values]
        rows.append([str(trial.number), shape, number(row["peak"]), *values])
    names = facts.study.metric_names or [f"objective {i}" for i in range(len(directions))]
    heads = [f"{name} ({direction})" for name, direction in zip(names, directions, strict=True)]
    told = paragraphs(
        f"This study has {len(directions)} objectives and no single best trial: "
        f"{plural(len(front), 'trial')} that no other is better than in every objective.",
        "Choose one of them: lrsearch export --trial NUMBER." if front else None,
    )
    if not front:
        return told
    caption = "Trials that no other dominates"
    return html([told, table(caption, ["trial", "schedule", "peak rate", *heads], rows, words={1})])


def _warmup(facts: Facts) -> str | None:
    schedule = facts.schedule
    if schedule is None:
        return capital(facts.trouble) if facts.trouble else None
    tuner = schedule.provenance.get("tuner")
    if tuner:
        return f"The rate was set by {tuner} while training; the schedule is what it did, smoothed."
    if schedule.warmup_steps:
        return f"It begins with {schedule.warmup_steps} steps of linear warm-up."
    return "It begins without a warm-up."


def _ahead(facts: Facts) -> str | None:
    if facts.several:
        return None
    if facts.outlook is not None:
        said = facts.outlook.sentence()
        return f"{capital(said)} (expected by the model that chose the trials)."
    if facts.finished and len(facts.finished) < 4:
        return "Four trials must finish before it can be told what more of them would bring."
    if facts.finished:
        return (
            "What more trials would bring is not told: only a study that was begun under "
            "lrsearch.EdgeSampler knows the space that it searches."
        )
    return None


def _lucky(facts: Facts) -> str | None:
    if facts.winner is None or facts.lowest is None or facts.winner.number == facts.lowest.number:
        return None
    low, own = facts.lowest, facts.winner
    return (
        f"Trial {low.number} has {'a higher' if facts.maximize else 'a lower'} {facts.metric}, "
        f"{number(low.values[0], 5)}, and is not recommended: by what its neighbours reached it "
        f"was lucky. Trial {own.number} is expected to be the best when trained again."
    )


def _retrained(facts: Facts) -> str | None:
    if facts.schedule is None:
        return None
    if facts.confirmation is None:
        return (
            "The winner has not been trained again with fresh seeds: its metric is that of one "
            "run, chosen because it was good. `lrsearch sweep ... --confirm 3` trains it anew."
        )
    said = facts.confirmation.sentence(facts.metric)
    return f"{capital(said)}."


def _edge(facts: Facts) -> str | None:
    measured = [e for e in facts.edges if e.method != "given"]
    if not measured:
        return None
    told = ", ".join(
        f"{number(e.learning_rate)} ({e.optimizer}, give or take {e.uncertainty:.1f} octaves)"
        for e in measured
    )
    return f"The edge was measured as {told}; an octave is a factor of two."


def _borders(facts: Facts) -> list[str]:
    """What of the winner lies at the end of what was searched."""
    if facts.winner is None or facts.space is None:
        return []
    told = []
    for name, low, high, log in _ranges(facts.space):
        value = facts.winner.params.get(name)
        if not isinstance(value, float) or not low < high:
            continue
        place = [math.log(x) if log else x for x in (low, value, high)]
        share = (place[1] - place[0]) / (place[2] - place[0])
        if share < NEAR or share > 1 - NEAR:
            end = "lower" if share < 0.5 else "upper"
            told.append(
                f"The winner's {name} = {number(value)} lies at the {end} end of what was "
                f"searched ({number(low)} to {number(high)}): a better one may lie beyond."
            )
    return told


def _ranges(space: ScheduleSpace) -> list[tuple[str, float, float, bool]]:
    return [(d.name, d.low, d.high, d.log) for d in space.dimensions() if d.name != FAMILY]
