"""A regime map for people: table, sentences, files."""

from __future__ import annotations

import math
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from lrsearch.stability import Threshold
from lrsearch.sweeps._memory import remember
from lrsearch.sweeps._regimes import MappedRegimes, stem_of


def regime_table(mapped: MappedRegimes, metric: str) -> Table:
    """Every run by its rate: regime, training loss before annealing, metric before and after."""
    table = Table(box=None, pad_edge=False)
    for heading in ("rate", "x edge", "regime", "training loss", metric, "annealed", "cost"):
        table.add_column(escape(heading), justify="right", no_wrap=True)
    for run in mapped.regimes.runs:
        table.add_row(
            f"{run.rate:.4g}",
            f"{run.rate / mapped.edge.learning_rate:.3f}",
            mapped.regimes.regime(run.rate),
            _number(run.loss),
            _number(run.plain),
            _number(run.annealed),
            f"{run.cost:.2f}",
        )
    return table


def regime_sentences(mapped: MappedRegimes) -> list[str]:
    """The thresholds and where the best start lies, in a sentence each."""
    found, edge = mapped.regimes, mapped.edge.learning_rate
    solved = any(run.solved for run in found.runs)
    limit = "the training set is solved" if solved else "a larger rate lowers the training loss"
    lines = [f"1|2  {_threshold(found.convergence, edge)}: up to it {limit}"]
    if found.good.rate > found.convergence.rate:
        lines.append(f"2A|2B  {_threshold(found.good, edge)}: up to it runs anneal to no worse")
    else:
        lines.append("2A is empty: just above that rate runs already anneal to worse")
    if math.isfinite(found.divergence.high):
        lines.append(f"2|3  {_threshold(found.divergence, edge)}: training diverges")
    else:
        lines.append(f"2|3  not found: up to {found.divergence.low:.4g} no large rate diverges")
    best = found.best
    lines.append(
        f"best start: {best.rate:.4g}, edge x {best.rate / edge:.3g}, in regime "
        f"{found.regime(best.rate)}; cost {mapped.cost:.1f} full runs, "
        f"{mapped.edge.cost / mapped.budget:.1f} of them for the edge"
    )
    return lines


def write_regimes(mapped: MappedRegimes, out: Path) -> dict[str, Path]:
    """Write the map as JSON.

    Returns:
        The file, by "map".
    """
    path = out / f"{stem_of(mapped.task, mapped.budget)}.json"
    remember(path, mapped.to_dict())
    return {"map": path}


def _threshold(found: Threshold, edge: float) -> str:
    low = f"{found.low:.3g}" if found.low > 0 else "?"
    high = f"{found.high:.3g}" if math.isfinite(found.high) else "?"
    return f"{found.rate:.4g} ({low} to {high}), edge x {found.rate / edge:.3g}"


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"
