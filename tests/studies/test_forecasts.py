"""Forecasts on a table whose losses fall linearly: what is known can be said in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest


@pytest.fixture(scope="module")
def forecasts(load):
    return load("forecasts")


def test_contenders_end_within_half_as_much_again(forecasts, table) -> None:
    runs = forecasts.contenders(table)
    assert runs
    assert max(math.log(run.test) for run in runs) < table.best + math.log(1.5) + 0.05
    assert all(math.isfinite(run.test) for run in runs)


def test_a_signal_that_says_the_order_is_ranked_one(forecasts, table) -> None:
    found = forecasts.measured(table, {}, 10)["signals"]
    assert found["validation loss"]["8"]["spearman"] == pytest.approx(1.0)
    assert "12" not in found["mini-cooldown"]  # not recorded there
    assert found["validation loss"]["20"]["lost"] <= 0.1  # seeds differ by 1 %, two cells tie


def test_an_offset_is_fitted_and_scored_by_its_own_width(forecasts, table) -> None:
    fit = forecasts.fitted([table])
    seen, final, _ = forecasts.logs(forecasts.contenders(table), "validation loss", 8)
    offset, width = fit["validation loss"]["8"]
    assert offset == pytest.approx(np.mean(final - seen))
    assert width == pytest.approx(np.std(final - seen))
    row = forecasts.measured(table, fit, 2)["signals"]["validation loss"]["8"]
    best = -math.log(width * math.sqrt(2 * math.pi)) - 0.5
    assert row["log_score"] == pytest.approx(best, abs=1e-3)
    worse = {"validation loss": {"8": (offset + 1.0, width)}}
    off = forecasts.measured(table, worse, 2)["signals"]["validation loss"]["8"]
    assert off["log_score"] < row["log_score"]


@pytest.mark.parametrize("shape", ["linear", "cosine", "wsd", "constant"])
def test_a_run_that_follows_the_law_is_foretold_by_it(load, study, shape: str) -> None:
    laws = load("laws")
    law = (0.5, 0.3, 10.0)
    losses = 1.0 + 0.2 * laws.basis(shape, 500, law)
    run = study.table.Run({"loss": losses}, final=losses[-1], test=1.0, diverged_at=0, start=(2, 0))
    for rung in laws.RUNGS[1:]:
        assert laws.forecast(run, shape, 500, rung, law) == pytest.approx(math.log(losses[-1]))
    rising = study.table.Run({"loss": losses[::-1]}, 1.0, 1.0, 0, (2, 0))
    seen = losses[::-1][1:8]
    assert laws.forecast(rising, shape, 500, 8, law) == pytest.approx(math.log(seen.mean()))
