"""Tuners beside families: what is known before, what is refused, and what they leave behind."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lrsearch.exceptions import InvalidScheduleError, UnsupportedError
from lrsearch.schedules import (
    EXPORT_FORMATS,
    Averaging,
    Schedule,
    distilled,
    export,
    families,
    get_family,
    join,
    tuner_families,
)


@pytest.mark.parametrize("name", tuner_families())
def test_a_tuner_is_a_document_and_no_schedule(name: str) -> None:
    assert name not in families()
    schedule = Schedule(name, 0.2, 50)
    assert schedule.tuned
    assert not Schedule("constant", 0.2, 50).tuned
    assert set(schedule.values()) == {0.2}
    assert Schedule.from_dict(schedule.to_dict()) == schedule
    assert get_family(name).gradients >= 1


@pytest.mark.parametrize("name", tuner_families())
def test_what_cannot_tune_refuses_it_and_says_what_to_do(name: str) -> None:
    schedule = Schedule(name, 0.2, 50)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 0.1)
    wrong = [lambda: schedule.torch(optimizer), schedule.transformers]
    wrong += [lambda f=f: export(schedule, f) for f in EXPORT_FORMATS if f != "json"]
    for use in wrong:
        with pytest.raises(UnsupportedError, match="tuner_of"):
            use()
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_trajectory_comes_back_as_a_schedule() -> None:
    budget = 400
    planned = Schedule("cosine", 0.3, budget, {}, 40)
    steps = list(range(1, budget + 1))
    found = distilled(steps, planned.values().tolist(), budget)
    assert (found.family, found.budget) == ("piecewise", budget)
    inside = slice(10, 350)  # in the last steps a cosine falls by octaves from level to level
    ratio = found.values()[inside] / planned.values()[inside]
    assert np.all(np.abs(np.log2(ratio)) < 0.2)


def test_wild_steps_leave_no_trace_and_noise_little() -> None:
    rng = np.random.default_rng(0)
    budget = 660
    rates = 0.1 * np.exp(0.3 * rng.standard_normal(budget))
    rates[50::97] *= 1e6
    found = distilled(range(1, budget + 1), rates, budget).values()
    assert np.all(np.abs(np.log(found / 0.1)) < 0.3)


def test_few_readings_are_enough_and_another_budget_keeps_the_shape() -> None:
    steps = [10, 60, 120, 240, 300]
    rates = [0.05, 0.2, 0.2, 0.1, 0.0]
    found = distilled(steps, rates, 300)
    assert found.peak == pytest.approx(0.2)
    longer = found.rescale(3000)
    assert longer.values()[::10] == pytest.approx(found.values(), rel=1e-9)


@pytest.mark.parametrize("rates", [[], [0.1, 0.1], [0.1, 0.1, 0.0, math.nan, math.inf]])
def test_too_little_to_distill_is_refused(rates: list[float]) -> None:
    with pytest.raises(InvalidScheduleError, match="three learning rates or more"):
        distilled(range(1, len(rates) + 1), rates, 10)
    with pytest.raises(InvalidScheduleError, match="levels"):
        distilled([1, 2, 3], [0.1, 0.1, 0.1], 10, levels=1)


def test_a_tuner_is_no_part_of_a_plan() -> None:
    tuner = Schedule("cdat", 0.1, 10)
    with pytest.raises(InvalidScheduleError, match="is the tuner 'cdat'"):
        join(tuner, Schedule("linear", 0.1, 10))
    for change in ({"warmup_steps": 3}, {"end_value": 0.01}, {"averaging": Averaging()}):
        with pytest.raises(InvalidScheduleError, match="takes no warmup_steps, end_value"):
            replace(tuner, **change)
