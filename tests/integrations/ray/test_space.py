"""Search spaces between two worlds: ours in Tune's words, a user's of Tune in Optuna's."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

pytest.importorskip("ray")
from ray import tune

from lrsearch import ScheduleSpace
from lrsearch.integrations.ray import RayTrial, param_space
from lrsearch.integrations.ray._space import distributions_of
from lrsearch.schedules import families
from lrsearch.search import FAMILY, MULTIPLIER

SPACE = ScheduleSpace(
    budget=100,
    families=("linear", "wsd", "uba"),
    warmup=(0.0, 0.2),
    parameters={"wsd.cooldown_shape": ["linear", "1-sqrt"]},
)


@pytest.fixture(autouse=True)
def _generators_restored():
    before = np.random.get_state(), random.getstate()
    yield
    np.random.set_state(before[0])
    random.setstate(before[1])


def test_every_dimension_is_one_of_tunes_domains() -> None:
    found = param_space(SPACE)
    assert list(found) == [d.name for d in SPACE.dimensions()]
    for dimension in SPACE.dimensions():
        domain = found[dimension.name]
        if dimension.choices:
            assert domain.categories == list(dimension.choices)
        else:
            assert (domain.lower, domain.upper) == (dimension.low, dimension.high)
            spread = "_LogUniform" if dimension.log else "_Uniform"
            assert type(domain.get_sampler()).__name__ == spread


@pytest.mark.parametrize(
    "space", [SPACE, ScheduleSpace(budget=200, families=tuple(families())[:6])]
)
def test_every_point_that_tune_draws_is_a_schedule(space: ScheduleSpace) -> None:
    random.seed(0)
    np.random.seed(0)
    seen = set()
    for _ in range(30):
        config = {name: domain.sample() for name, domain in param_space(space).items()}
        schedule = space.suggest(RayTrial(config), 0.1)
        assert schedule.peak == space.plan(config, 0.1).peak
        seen.add(schedule.family)
    assert seen == set(space.families)


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (tune.uniform(1.0, 2.0), FloatDistribution(1.0, 2.0)),
        (tune.loguniform(1e-4, 1e-1), FloatDistribution(1e-4, 1e-1, log=True)),
        (tune.quniform(0.0, 1.0, 0.25), FloatDistribution(0.0, 1.0, step=0.25)),
        (tune.randint(1, 10), IntDistribution(1, 9)),  # Tune leaves the upper end out
        (tune.lograndint(1, 10), IntDistribution(1, 9, log=True)),
        (tune.choice(["a", "b"]), CategoricalDistribution(["a", "b"])),
    ],
)
def test_a_users_domain_becomes_optunas_distribution(domain: Any, expected: Any) -> None:
    assert distributions_of({"x": domain, "constant": 3}, SPACE) == {"x": expected}
    assert distributions_of({"a": {"b": domain}}, SPACE) == {"a/b": expected}


@pytest.mark.parametrize("config", [{}, {"width": 3, "model": {"depth": 2}}])
def test_constants_are_not_searched(config: dict[str, Any]) -> None:
    assert distributions_of(config, SPACE) == {}


def test_a_name_of_ours_deeper_in_the_config_is_anothers() -> None:
    found = distributions_of({"model": {MULTIPLIER: tune.uniform(0, 1)}}, SPACE)
    assert list(found) == [f"model/{MULTIPLIER}"]
    assert FAMILY not in found
