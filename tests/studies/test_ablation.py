"""What a variant lacks, it lacks only while it is replayed; the rest is as in the product."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lrsearch.search import (
    _cliff,
    _engine,
    _evidence,
    _finished,
    _kinds,
    _locate,
    _space,
    _surrogate,
)


@pytest.fixture(scope="module")
def ablation(study, load) -> Any:
    pytest.importorskip("pyarrow")
    return load("ablation")


def narrowed(make: Any) -> Any:
    """Of the shapes that the synthetic table has."""
    method = make()
    method.families = ("constant", "linear", "wsd")
    return method


def everything() -> tuple[Any, ...]:
    modules = (_cliff, _engine, _evidence, _finished, _kinds, _locate, _space, _surrogate)
    return tuple(dict(vars(module)) for module in modules)


def test_a_variant_leaves_no_trace(ablation, study, table) -> None:
    before = everything()
    plain = study.simulate.replay(table, narrowed(study.ours.Ours), seed=1, cost=8.0)
    for variant in ablation.VARIANTS.values():
        replace(variant, make=partial(narrowed, variant.make))(table, seed=1, cost=4.0)
        assert everything() == before
    with pytest.raises(ZeroDivisionError), ablation.without(frozenset({ablation.MULTIPLIER})):
        raise ZeroDivisionError
    assert everything() == before
    again = ablation.Variant(partial(narrowed, ablation.Ours))(table, seed=1, cost=8.0)
    assert again == plain


def test_what_is_lacking_is_lacking(ablation, table) -> None:
    def peaks(*lacks: str) -> list[float]:
        """The first run of eight sweeps, over the measured edge."""
        found = []
        for seed in range(8):
            with ablation.without(frozenset(lacks), seed):
                method = narrowed(ablation.Ours)
                study, _ = method.begin(table, seed)
                found.append(method.choose(study.ask())[1] / method.edge)
        return found

    with ablation.without(frozenset({ablation.SHAPES, ablation.ALIGNMENT})):
        known = [_locate.shape_point(name, {}) for name in ("linear", "constant")]
        assert [(point.belief, point.octaves) for point in known] == [(0.0, 0.0)] * 2
        assert _space.alignment("constant", {}) == 1.0
    assert len(set(peaks())) == 1
    assert set(peaks(ablation.SHAPES, ablation.ALIGNMENT)) == {1.0}
    assert np.ptp(np.log2(peaks(ablation.MULTIPLIER))) > 3
    held, lost = np.zeros(0), np.array([-5.0])
    with ablation.without(frozenset({ablation.DIVERGENCE})):
        assert _evidence.Cliff(held, lost).holds(np.array([7.0])) == 1.0
    with ablation.without(frozenset({ablation.CLIFF})):
        flat = _cliff.Cliff(held, np.zeros(0)).holds(np.array([-5.0, 1.0, 7.0]))
    assert flat == pytest.approx([13 / 14, 0.5, 1 / 14], abs=0.03)


def test_an_edge_that_is_off_moves_the_first_run(ablation, table) -> None:
    rates = []
    for name in ("ours, edge / 4", "ours, edge x 4"):
        method = narrowed(ablation.VARIANTS[name].make)
        study, _ = method.begin(table, 0)
        rates.append(method.choose(study.ask())[1])
    assert rates[1] / rates[0] == pytest.approx(16)


def test_shuffled_readings_are_those_of_an_earlier_run(ablation, study, table) -> None:
    make = partial(ablation.Shuffled, "shuffled", compared=True, fields=ablation.LOOKS)
    method = narrowed(make)
    sweep, _ = method.begin(table, 0)
    rung = study.ours.LOOK_RUNGS[0]
    runs = [table.runs["linear", k][0] for k in (-12, -20)]
    for run, own in zip(runs, (runs[0], runs[0]), strict=True):
        trial = sweep.ask()
        method.choose(trial)
        method.look(trial, run, rung)
        (reading,) = [v for k, v in trial.user_attrs.items() if "reading" in k]
        assert reading["annealed_validation"] == own.rungs["averaged_loss"][rung - 1]
        assert reading["loss"] == run.rungs["train_loss"][rung - 1]


def test_a_ratio_draws_the_same_of_both(study) -> None:
    base = {"a": [1.0, 2.0, 4.0], "b": [8.0, 9.0, 3.0]}
    twice = {task: [2 * v for v in costs] for task, costs in base.items()}
    assert study.measures.ratio(twice, base, 0.5) == (2.0, (2.0, 2.0))
    lost = {task: [np.inf] * 3 for task in base}
    assert study.measures.ratio(lost, lost, 0.5) == (1.0, (1.0, 1.0))
    assert study.measures.ratio(lost, base, 0.5) == (np.inf, (np.inf, np.inf))


def test_pages_pool_what_all_tables_have(load, monkeypatch) -> None:
    for package in ("pyarrow", "matplotlib"):
        pytest.importorskip(package)
    pages = load("pages_ablation")
    by = {
        "a": {"ours": [1.0, 2.0], "ours, not aligned": [2.0, 4.0], "ours, raw rates": [1.0, 1.0]},
        "b": {"ours": [1.0, 1.0], "ours, not aligned": [np.inf, np.inf]},
    }
    monkeypatch.setattr(pages, "sweeps", lambda table: by.get(table.name, {}))
    found = {name: SimpleNamespace(name=name) for name in "abc"}
    rows = pages.pooled(found)
    assert not any("raw rates" in row for row in rows)
    (row,) = [row for row in rows if "not aligned" in row]
    assert row.split("|")[2:4] == [" 4.0 (2.0 to never) ", " 4.00 (2.00 to never) "]
    assert "| ours, raw rates | 1.0, 0 % |  |" in pages.by_table(found)
    assert "| ours, not aligned | 2.0, 0 % | never, 100 % |" in pages.by_table(found)
    assert pages.pooled({}) == pages.by_table({}) == ["Not measured yet."]
