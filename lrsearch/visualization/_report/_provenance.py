"""Where it comes from: versions, task, space, seed, dates."""

from __future__ import annotations

import datetime as dt
from typing import Any

import optuna
import torch

from lrsearch._version import __version__
from lrsearch.search import FAMILY
from lrsearch.visualization._report._facts import Facts, budget_of
from lrsearch.visualization._report._html import Html, html, number, paragraphs, table


def provenance(facts: Facts) -> Html:
    """A table of what the study stores of itself."""
    budget = facts.space.budget if facts.space is not None else budget_of(facts)
    begun, ended = facts.period
    seed = facts.study.user_attrs.get("lrsearch:sweep_seed")
    directions = ", ".join(d.name.lower() for d in facts.study.directions)
    rows: list[list[Any]] = [
        ["study", facts.study.study_name],
        ["storage", facts.storage],
        ["task", facts.task or "a training loop of the user's own"],
        ["metric", f"{facts.metric}, to {directions}"],
        ["budget", None if budget is None else f"{budget} optimizer steps a run"],
        ["optimizer", ", ".join(sorted({e.optimizer for e in facts.edges if e.optimizer})) or None],
        ["edge", ", ".join(f"{number(e.learning_rate)} ({e.method})" for e in facts.edges) or None],
        ["seed", seed],
        ["first trial began", _date(begun)],
        ["last trial ended", _date(ended)],
        [
            "read with",
            f"lrsearch {__version__}, optuna {optuna.__version__}, torch {torch.__version__}",
        ],
        ["this page was written", _date(dt.datetime.now())],
    ]
    known = [[name, str(value)] for name, value in rows if value is not None]
    return html(
        [
            table("The study", ["what", "is"], known, words={0, 1}),
            _space(facts),
            paragraphs(
                "Versions are those that read the study for this page; the study does not store "
                "those that trained."
            ),
        ]
    )


def _space(facts: Facts) -> Html:
    if facts.space is None:
        return paragraphs("The study does not store the space that was searched.")
    rows: list[list[Any]] = []
    for each in facts.space.dimensions():
        if each.choices:
            what = ", ".join(map(str, each.choices))
        else:
            what = f"{number(each.low)} to {number(each.high)}{', log' if each.log else ''}"
        rows.append(["schedule family" if each.name == FAMILY else each.name, what])
    if not isinstance(facts.space.warmup, tuple):
        rows.append(["warm-up", f"{facts.space.warmup:.3g} of the budget, held"])
    held = [(n, v) for n, v in facts.space.parameters.items() if isinstance(v, float | str)]
    rows += [[name, f"{value}, held"] for name, value in held]
    return table("What was searched", ["parameter", "values"], rows, words={0, 1})


def _date(moment: dt.datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M}"
