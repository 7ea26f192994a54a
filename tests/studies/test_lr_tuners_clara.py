"""Parts C and D of studies/lr_tuners: CLARA in rows, its tables, the old tuners, regrets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lrsearch.tasks import digits
from lrsearch.training import Task

METHODS = (
    "sgd",
    "sgd clara",
    "sgd clara unit",
    "sgd clara 2 sigma",
    "sgd clara 2 sigma published",
    "adam clara",
    "adam clara unit",
    "adam clara sgd reference",
)


@pytest.mark.parametrize("method", METHODS)
def test_rows_are_the_product_s_clara(tuners, method) -> None:
    pytest.importorskip("sklearn")
    clara = tuners("clara")
    rows = clara.many("wine", method, [0, 1], 8)
    assert len(rows) == 14
    for row in rows[7:11]:  # seed 1; larger rates amplify rounding
        own = clara.one("wine", method, row["rate"], 1, 8)
        assert (row["seed"], row["steps"]) == (1, own["steps"])
        assert row["rates"] == pytest.approx(own["rates"], rel=2e-3)
        assert row["loss"] == pytest.approx(own["loss"], rel=2e-2)


def test_a_row_that_is_not_finite_ends_and_the_others_go_on(tuners) -> None:
    rows_of = tuners("clara_linear").Rows
    weights = torch.zeros(2, 3, 4)
    weights[0, 0, 0] = torch.inf
    rates = torch.tensor([0.1, 0.1])
    rows = rows_of(weights, torch.zeros(2, 1, 3), rates, adam=False, options={})
    for _ in range(3):
        rows.step(torch.ones(2, 5, 4), torch.zeros(2, 5, dtype=torch.long))
    assert rows.alive.tolist() == [False, True]
    assert rows.params[0][1].abs().sum() > 0
    assert float(rows.rates[0]) == pytest.approx(0.1)


def test_how_many_rates_are_good(tuners) -> None:
    report = tuners("clara_report")
    means = np.array([10.0, 89.0, 90.0, 50.0, 88.5, 91.0, 89.0])
    assert report.good(means, 91.0) == (4, 2)
    assert report.good(means, 100.0) == (0, 0)


def quadratic(tuners, make, *, bend: float = 2.0, rate: float = 0.01, steps: int = 60) -> list:
    """Rates of a tuner on ``bend w^2 / 2`` in two dimensions."""
    w = torch.ones(2, dtype=torch.float64, requires_grad=True)
    tuner = make(torch.optim.SGD([w], lr=rate))
    return [
        (float(tuner.step(lambda: 0.5 * bend * w.square().sum())), tuner.learning_rate)
        for _ in range(steps)
    ]


def test_a_polyak_step_at_scale_one_half_lands_on_the_minimum(tuners) -> None:
    old = tuners("study_tuners")
    found = quadratic(tuners, lambda o: old.Polyak(o, scale=0.5), steps=40)
    # 2 f / |g|^2 is 1 / bend: the ceiling of 1.2 a step is what holds it back
    assert found[5][1] == pytest.approx(0.01 * 1.2**5)
    assert max(rate for _, rate in found) == pytest.approx(0.5)
    assert found[-1][0] < 1e-20


@pytest.mark.parametrize("additive", [False, True])
def test_hypergradient_descent_raises_a_small_rate(tuners, additive) -> None:
    old = tuners("study_tuners")
    found = quadratic(tuners, lambda o: old.Hypergradient(o, beta=0.02, additive=additive))
    assert found[0][1] == 0.01
    expected = 0.01 + 0.02 * 7.84 if additive else 0.01 * 1.02  # g'g_before = 2 * 2 * 1.96
    assert found[1][1] == pytest.approx(expected)
    assert found[-1][0] < found[0][0]


@pytest.fixture(scope="module")
def task(tuners):
    plain = digits()
    judged = (tuners("versus"), tuners("judged"))[1]
    fields = {name: getattr(plain, name) for name in Task.__dataclass_fields__}
    return judged.Judged(**fields | {"budget": 40}, test=plain.evaluate)


@pytest.mark.parametrize(
    ("tuner", "setting", "cost"),
    [
        ("constant", "start 1", 1.0),
        ("CDAT", "sigma 1", 3.5),
        ("CLARA", "damping 0.001, start 1", 1.0),
        ("SALERA", "gain 3e-07, start 1", 1.0),
        ("Polyak", "scale 1", 1.0),
        ("hypergradient", "beta 0.01, start 1", 1.0),
    ],
)
def test_a_run_with_a_tuner_and_its_cost(tuners, task, tuner, setting, cost) -> None:
    versus = tuners("versus")
    start, make = versus.SETTINGS[tuner][setting]
    run = versus.tuned(task, 0, 0.05 * start, make)
    assert math.isfinite(run["test"])
    assert (run["cost"], run["steps"]) == (cost, 40)
    again = versus.tuned(task, 0, 0.05 * start, make)
    assert again == run


def test_at_equal_cost_cdat_makes_fewer_steps(tuners, task) -> None:
    versus = tuners("versus")
    start, make = versus.SETTINGS["CDAT"]["sigma 1"]
    run = versus.tuned(task, 0, 0.05 * start, make, short=True)
    assert run["steps"] == int(40 / 3.5)
    assert run["cost"] <= 1.0


def test_a_run_that_diverges_is_lost(tuners, task) -> None:
    versus = tuners("versus")
    _, make = versus.SETTINGS["constant"]["start 1"]
    assert versus.tuned(task, 0, 1e30, make)["test"] == "inf"
