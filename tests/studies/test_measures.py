"""Quantiles over tasks and sweeps, wrong stops, edge transfer: by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

INF = math.inf


def test_every_task_weighs_the_same_and_endless_sweeps_count(study) -> None:
    quantile = study.measures.quantile
    costs = {"a": [1.0, 2.0, 3.0, 4.0], "b": [10.0, INF]}
    assert quantile(costs, 0.5) == 4.0
    assert quantile(costs, 0.75) == 10.0
    assert quantile(costs, 0.9) == INF
    assert quantile({"a": [3.0, 1.0, 2.0]}, 0.5) == 2.0
    assert quantile({"a": [5.0]}, 0.9) == 5.0


def test_an_interval_resamples_tasks_first(study) -> None:
    """Many sweeps of two tasks that differ: the interval spans both."""
    costs = {"a": [1.0] * 500, "b": [9.0] * 500}
    assert study.measures.intervals(costs, [0.5]) == [(1.0, 9.0)]
    ((low, high),) = study.measures.intervals({"a": list(np.linspace(1, 2, 400))}, [0.5])
    assert 1.4 < low < 1.5 < high < 1.6


def test_an_interval_weighs_tasks_the_same_whatever_their_sweeps(study) -> None:
    """Each task settles at its own cost: all resamples of the pair are medians of two points."""
    (half, most) = study.measures.intervals({"a": [1.0] * 300, "b": [9.0] * 3}, [0.5, 0.9])
    assert half == (1.0, 9.0)
    assert most == (1.0, 9.0)
    ((low, high),) = study.measures.intervals({"a": [1.0, INF]}, [0.5])
    assert (low, high) == (1.0, INF)


def test_a_stream_has_no_trajectory_twice(study, table) -> None:
    for seed in range(5):
        entries = study.streams.stream(table, 16, seed)
        prefix = {"wsd": "constant"}
        seen = {(prefix.get(e.cell[0], e.cell[0]), e.cell[1], e.seed) for e in entries}
        assert len(seen) == 16
    again = study.streams.stream(table, 16, 3)
    assert [e.cell for e in again] == [e.cell for e in study.streams.stream(table, 16, 3)]


def test_staged_keeps_the_best_of_its_rung_and_pays_for_the_rest(study, table) -> None:
    entries = study.streams.stream(table, 8, 0)
    rule = study.streams.staged(4, 3, "loss")
    survivors, spent = rule(table, entries, np.random.default_rng(0))

    def at_rung(entry: Any) -> float:
        value = float(entry.run.rungs["loss"][3])
        return value if math.isfinite(value) else INF

    assert survivors == sorted(range(8), key=lambda i: at_rung(entries[i]))[:3]
    expected = 0.0
    for i, entry in enumerate(entries):
        lost = entry.run.diverged_at
        if i in survivors:
            expected += (lost or 104.0) + 4.0
        else:
            expected += (min(lost, 20) if lost else 20) + 4.0
    assert spent == pytest.approx(expected)


def test_a_rule_that_stops_nothing_is_never_wrong_and_saves_nothing(study, table) -> None:
    def nothing(table: Any, entries: Any, rng: Any) -> Any:
        spent = sum(study.streams.full(table, e.run) for e in entries)
        return list(range(len(entries))), spent

    stop = study.streams.outcome(table, nothing, 16, 0, 0.02)
    assert not stop.wrong
    assert stop.saved == pytest.approx(0.0)


def test_a_rule_that_stops_everything_is_always_wrong(study, table) -> None:
    stop = study.streams.outcome(table, lambda *_: ([], 0.0), 16, 0, 0.02)
    assert stop.wrong
    assert stop.saved == 1.0


def test_ours_lets_good_runs_end_and_pays_for_its_readings(study, table) -> None:
    entries = study.streams.stream(table, 16, 1)
    survivors, spent = study.streams.ours()(table, entries, np.random.default_rng(0))
    finite = [i for i, e in enumerate(entries) if not e.run.diverged_at]
    assert survivors == finite
    # A lost run is seen at the second of its looks, and costs the steps that it took.
    expected = sum(104.0 + 11 * 2.0 for _ in finite)
    assert spent == pytest.approx(expected + (16 - len(finite)) * (7 + 2.0), abs=2 * 16)


def test_transfer_counts_octaves_from_the_edge(study, table) -> None:
    found = study.measures.transfer(table, [2**-3.2, 2**-3.5], 1.0)
    assert found.octaves == pytest.approx((0.2, 0.5))
    assert found.regret == pytest.approx(0.1 * (0.25**2 + 0.5**2) / 2, abs=0.01)
    rms, low, high = study.measures.off({"a": [-0.1, 0.1], "b": [1.0], "c": [-1.0]})
    assert rms == pytest.approx(math.sqrt((1.0 + 1.0) / 2))
    assert low < rms < high


def test_the_floor_is_what_everything_that_may_be_seen_still_loses(study, table) -> None:
    floor = study.measures.floor
    assert floor(table, 1e6, sweeps=5) == 0.0
    assert floor(table, -0.5, sweeps=5) == 1.0
    # One cell without noise is always found again; what is held out is as good.
    cell = table.best_cell
    only = SimpleNamespace(
        runs={cell: table.runs[cell]}, split=table.split, judged=lambda c, s: 0.0, best=0.0
    )
    assert floor(only, 0.01, sweeps=5) == 0.0
