"""The band of a regime map on recorded tables: what a table says, and what was committed of it."""

from __future__ import annotations

import json

import pytest


def test_on_a_parabola_that_diverges(practical, table) -> None:
    """Best at 2^(-15/4), diverging from 2^(-4/4): levels and quality have their bottom there."""
    ks = sorted(k for shape, k in table.runs if shape == "wsd")
    row = practical.row(table, 0, ks)
    assert abs(row["convergence"]) < 0.3
    assert row["good"] >= row["convergence"]
    assert row["divergence"] == pytest.approx((-5 + 15) / 4)
    assert row["edge"] == pytest.approx(-3.2 + 15 / 4, abs=0.01)
    assert abs(row["few_convergence"]) < 0.6
    assert row["given_up"] < 0.03


def test_the_committed_rows_are_those_of_the_script(practical) -> None:
    known = json.loads(practical.OUT.read_text())
    path = practical.SEARCH / "tables" / "mnist-nesterov-wide.parquet"
    wide = practical.Table.read(path)
    for row in (r for r in known if r["task"] == wide.name):
        held = sorted(k for (s, k), runs in wide.runs.items() if s == "wsd" and row["seed"] in runs)
        again = practical.row(wide, row["seed"], held)
        assert {n: v for n, v in again.items() if isinstance(v, float)} == pytest.approx(
            {n: v for n, v in row.items() if isinstance(v, float)}
        )
    lines = practical.tables(known)
    page = (practical.HERE / "practical.md").read_text()
    assert all(line in page for line in lines)
