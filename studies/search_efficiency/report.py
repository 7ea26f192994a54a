"""results.md, figures, and the tables in the READMEs, from raw results and tables.

python report.py
"""

from pathlib import Path

import figures
import live
import pages_ablation
import pages_search
import pages_signals
import raw
import siblings
import tasks
from freeze import frozen
from measures import Costs
from pages_search import Tables, costs, never, percent, quantiles

SPLITS = {"development": tasks.DEVELOPMENT, "evaluation": tasks.EVALUATION}
TITLES = {"development": "Development: constants were fitted here", "evaluation": "Evaluation"}
BEGIN, END = "<!-- made by report.py -->", "<!-- end -->"
READMES = (raw.HERE / "README.md", raw.HERE.parents[1] / "README.md")
BENEATH = "+ our pruner"
STREAMS = {"wide": "1e-5 to 10, every shape", "prior": "usual rate", "edge": "in units of the edge"}


def split(name: str) -> Tables:
    """The recorded tables of a split."""
    return raw.recorded(SPLITS[name])


def page(found: Tables, title: str) -> list[str]:
    """All results of a split."""
    constants = frozen()
    lines = ["", f"## {title}", ""]
    if not found:
        return [*lines, "Not recorded yet."]
    sections = [
        ("Tables", pages_signals.recorded(found)),
        (
            "Full runs until the recommendation stays within the tolerance",
            pages_search.settled(found),
        ),
        ("The same with 4 workers", pages_search.settled(found, 4)),
        ("The same with 16 workers", pages_search.settled(found, 16)),
        ("What the parts of ours are worth", pages_ablation.pooled(found)),
        ("The same by table", pages_ablation.by_table(found)),
        ("What ours recommends", pages_search.lowest(found)),
        ("Ending a sweep by its outlook", pages_search.until(found)),
        ("Wrong stops", pages_search.stops(found)),
        ("One run alone", pages_search.alone(found)),
        ("What runs are said to be doing", pages_signals.said(found)),
        ("Trunk and branches", pages_search.branches(found)),
        ("One-shot ways", pages_search.oneshot(found)),
        ("Recommendations trained anew", pages_search.cursed(found)),
        ("The edge beside other scales", pages_signals.transfers(found, constants)),
        ("Forecasts: rank correlation with the end", pages_signals.forecast(found, "spearman")),
        ("Forecasts: log-score, nats", pages_signals.forecast(found, "log_score")),
        ("Forecasts: streams lost, 3 of 16 kept", pages_signals.forecast(found, "lost")),
        ("Linear forecasts: deviation left, log loss", pages_signals.linear(found)),
    ]
    for heading, body in sections:
        lines += [f"### {heading}", "", *body, ""]
    return lines[:-1]


def headline() -> list[str]:
    """The README's table: ours, and of every stream the best peer and the usual ones."""
    found = split("evaluation")
    seen = costs(found)
    lines = [
        "| method | rates searched | T50, full runs (95 %) | T90 (95 %) | never |",
        "|---|---|---|---|---|",
    ]
    if "ours" not in seen:
        return [*lines, "| not measured yet | | | | |"]
    own_units = {
        "oracle": "knows",
        "ours": "in units of the edge",
        "ours, usual rate": "usual rate",
    }
    for name, words in own_units.items():
        lines.append(_row(seen, name, words))
    for stream, words in STREAMS.items():
        own = [name for name in seen if name.endswith(f"[{stream}]") and BENEATH not in name]
        best = min(own, key=lambda name: (pages_search.order(seen[name]), name))
        chosen = [f"{name} [{stream}]" for name in ("random", "tpe", "tpe + hyperband")]
        chosen += [name for name in seen if name.endswith(f"{BENEATH} [{stream}]")]
        for name in (best, *(c for c in chosen if c != best)):
            mark = ", best of these" if name == best else ""
            lines.append(_row(seen, name, f"{words}{mark}"))
    names = ", ".join(table.name for table in pages_search.replayed(found))
    return [*lines, "", f"Tables: {names}. Intervals resample tasks, then sweeps."]


def _row(seen: dict[str, Costs], name: str, words: str) -> str:
    by = seen[name]
    plain = name.split(" [")[0]
    return f"| {plain} | {words} | {' | '.join(quantiles(by))} | {percent(never(by), 0)} |"


def inserted(path: Path, lines: list[str]) -> None:
    """Put lines between the marks of a file that has them."""
    text = path.read_text()
    if BEGIN not in text:
        return
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


def results() -> str:
    """The text of results.md."""
    lines = ["# Results of studies/search_efficiency", "", "Made by report.py."]
    lines += ["", f"Constants frozen on development tables: {frozen()['hash']}."]
    for name in SPLITS:
        lines += page(split(name), TITLES[name])
    lines += ["", "## Live sweeps, log loss over the best recommendation of all", "", *live.rows()]
    lines += ["", "## After an earlier study on a sibling task, full runs", "", *siblings.rows()]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    (raw.HERE / "results.md").write_text(results())
    for path in READMES:
        inserted(path, headline())
    figures.draw(split("evaluation"), raw.HERE)


if __name__ == "__main__":
    main()
