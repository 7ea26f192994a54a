"""Live progress in a terminal, and plain lines where there is none."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import pandas as pd
from rich.console import Console, Group, JustifyMethod
from rich.live import Live as RichLive
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from lrsearch.search import Plan
from lrsearch.stability import Edge
from lrsearch.sweeps._events import TrialEnd

SHOWN = 8


class Live:
    """A listener that shows a sweep: the trials in work, the ones done, and the best so far."""

    def __init__(
        self, console: Console, trials: int, budget: int, *, maximize: bool = False
    ) -> None:
        self.console, self.maximize = console, maximize
        self.ends: list[TrialEnd] = []
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._all = self._progress.add_task("trials", total=trials, visible=trials > 0)
        self._budget = budget
        self._bars: dict[int, TaskID] = {}
        self._live = RichLive(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def known(self, ended: int) -> None:
        """Count trials that ended before this start."""
        self._progress.update(self._all, completed=ended)

    def note(self, line: str) -> None:
        """Print a line."""
        self.console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)

    def edge(self, edge: Edge, *, measured: bool) -> None:
        """Print the edge."""
        if edge.method == "given":
            given = f"edge learning rate {edge.learning_rate:.4g} (given)"
            self.console.print(given, highlight=False, soft_wrap=True)
            return
        how = f"measured in {edge.cost:.0f} gradients" if measured else "remembered"
        self.console.print(
            f"edge learning rate {edge.learning_rate:.4g} ({edge.optimizer}, give or take "
            f"{edge.uncertainty:.1f} octaves; {how})",
            highlight=False,
            soft_wrap=True,
        )

    def begin(self, number: int, plan: Plan, resumed_from: int) -> None:
        """Show a trial in work."""
        if resumed_from:
            self.note(f"trial {number} goes on from its checkpoint at step {resumed_from}")
        self._drop(number)
        self._bars[number] = self._progress.add_task(
            f"trial {number}: {plan.family}, peak {plan.peak:.3g}",
            total=self._budget,
            completed=resumed_from,
        )
        self._refresh()

    def work(self, number: int, title: str, steps: int) -> None:
        """Show a run that is no trial."""
        self._drop(number)
        self._bars[number] = self._progress.add_task(title, total=steps)
        self._refresh()

    def done(self, number: int) -> None:
        """Take its bar away."""
        self._drop(number)
        self._refresh()

    def step(self, number: int, step: int) -> None:
        """Move its bar."""
        if number in self._bars:
            self._progress.update(self._bars[number], completed=step)

    def end(self, trial: TrialEnd) -> None:
        """Count the trial, and print it where nothing is live."""
        self.ends.append(trial)
        self._drop(trial.number)
        self._progress.advance(self._all)
        if not self.console.is_terminal:
            peak = f"{trial.plan.family}, peak {trial.plan.peak:.3g}" if trial.plan else "no plan"
            metric = "-" if trial.metric is None else f"{trial.metric:.4g}"
            self.console.print(
                f"trial {trial.number}: {peak}: {metric} ({trial.reason}; cost {trial.cost:.2f})",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        self._refresh()

    def _drop(self, number: int) -> None:
        if (bar := self._bars.pop(number, None)) is not None:
            self._progress.remove_task(bar)

    def _refresh(self) -> None:
        sign = -1 if self.maximize else 1
        done = sorted(
            (e for e in self.ends if e.metric is not None), key=lambda e: sign * (e.metric or 0.0)
        )
        table = Table(box=None, title="best so far", title_justify="left")
        for heading in ("trial", "metric", "family", "multiplier", "peak"):
            table.add_column(heading, justify="left" if heading == "family" else "right")
        for end in done[:SHOWN]:
            if end.plan is not None:
                table.add_row(
                    str(end.number),
                    f"{end.metric:.4g}",
                    end.plan.family,
                    f"{end.plan.multiplier:.2f}",
                    f"{end.plan.peak:.3g}",
                )
        self._live.update(Group(table, self._progress) if done else self._progress)


def table_of(board: pd.DataFrame, metric: str, top: int | None = None) -> Table:
    """A leaderboard as a table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for heading in (
        "trial",
        escape(metric),
        "family",
        "multiplier",
        "peak rate",
        "cost",
        "why it ended",
    ):
        text = heading in ("family", "why it ended")
        justify: JustifyMethod = "left" if text else "right"
        table.add_column(heading, justify=justify, no_wrap=not text, overflow="fold")
    for row in board.head(top if top is not None else len(board)).to_dict("records"):
        known = pd.notna(row["peak"])
        table.add_row(
            str(row["trial"]),
            f"{row['metric']:.4g}" if pd.notna(row["metric"]) else "-",
            f"{row['family']} {row['shape']}".strip() if known else "-",
            f"{row['multiplier']:.3f}" if known else "-",
            f"{row['peak']:.4g}" if known else "-",
            f"{row['cost']:.2f}",
            escape(str(row["reason"])),
        )
    return table
