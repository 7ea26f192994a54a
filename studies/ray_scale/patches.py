"""What would make the driver's part cheaper, tried on the package from outside. No answer changes.

Each is a few lines in the package; `scale.py`'s arm "ours patched" has all of them.
"""

import math
from collections.abc import Iterable
from typing import Any

from sqlalchemy import event

import lrsearch.integrations.optuna._sampler as sampler
import lrsearch.search._engine as engine
from lrsearch.integrations.optuna._attributes import records_of
from lrsearch.integrations.ray import _scheduler as scheduler
from lrsearch.integrations.ray import _searcher as searcher
from lrsearch.search import TrialRecord, decide
from lrsearch.search._records import ranked


def records_once() -> None:
    """EdgeSampler: a finished trial never changes, so its record is made once."""
    known: dict[int, list[TrialRecord]] = {}

    def records(trials: Iterable[Any], directions: Any, names: Any) -> list[TrialRecord]:
        found: list[TrialRecord] = []
        for trial in trials:
            made = known.get(trial._trial_id)
            if made is None:
                made = records_of([trial], directions, names)
                if trial.state.is_finished():
                    known[trial._trial_id] = made
            found += made
        return found

    sampler.records_of = records


def ranked_by_value() -> None:
    """Engine: one objective is sorted by its value, without an array of all."""

    def quick(records: Any) -> list[TrialRecord]:
        complete = [r for r in records if r.state == "complete" and r.values]
        if not complete or len(complete[0].values) > 1:
            return ranked(records)
        return sorted(
            complete,
            key=lambda r: (r.values[0] if math.isfinite(r.values[0]) else math.inf, r.number),
        )

    engine.ranked = quick


class _Seen:
    """An Optuna trial whose attributes are read without a deep copy of all its readings."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    @property
    def user_attrs(self) -> Any:
        return self._trial._cached_frozen_trial.user_attrs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)


def attributes_without_copy() -> None:
    """EdgeSearcher: `_record` asks for a trial's attributes at every result."""
    original = searcher.EdgeSearcher._record

    def record(self: Any, trial_id: str, result: Any) -> None:
        trial = self._open.get(trial_id)
        if trial is not None:
            self._open[trial_id] = _Seen(trial)
        original(self, trial_id, result)
        if trial is not None and trial_id in self._open:
            self._open[trial_id] = trial

    searcher.EdgeSearcher._record = record


def readings_filled_once() -> None:
    """StabilityTrialScheduler: `decide` copies every reading whether or not it lacks anything."""

    def judge(readings: Any, peers: Any = (), plan: Any = None) -> Any:
        whole = all(r.budget is not None and r.peak is not None for r in readings)
        return decide(readings, peers, None if whole else plan)

    scheduler.decide = judge


def write_ahead(storage: Any) -> None:
    """SQLite with a write-ahead log: a commit waits for no disk, and survives a killed process."""

    def set_up(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(storage.engine, "connect", set_up)
    storage.engine.dispose()  # connections made before


def apply() -> None:
    """All but the storage's."""
    records_once()
    ranked_by_value()
    attributes_without_copy()
    readings_filled_once()
