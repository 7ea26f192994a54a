"""Optuna's own sampler suites, and what they ask of every parameter asked of ours."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.testing import pytest_samplers as suites
from optuna.trial import TrialState

from lrsearch import EdgeSampler, ScheduleSpace
from lrsearch.search import FAMILY, MULTIPLIER

SPACE = ScheduleSpace(budget=100, warmup=(0.0, 0.2))
OURS = {d.name for d in SPACE.dimensions()}


def edge_sampler() -> EdgeSampler:
    # The suites want a sampler that samples jointly from the first trial on; TPE does with 0.
    return EdgeSampler(SPACE, sampler=TPESampler(n_startup_trials=0))


@pytest.fixture
def sampler() -> Callable[[], BaseSampler]:
    return edge_sampler


class _Ours:
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return edge_sampler


class TestBasic(_Ours, suites.BasicSamplerTestCase):
    pass


class TestRelative(_Ours, suites.RelativeSamplerTestCase):
    pass


class TestMultiObjective(_Ours, suites.MultiObjectiveSamplerTestCase):
    pass


def test_no_suite_of_optuna_is_left_out() -> None:
    # The last one is for samplers that refuse several objectives; ours takes them.
    known = {"BasicSamplerTestCase", "RelativeSamplerTestCase", "MultiObjectiveSamplerTestCase"}
    known |= {"SingleOnlySamplerTestCase", "_BaseSamplerTestCase"}
    assert {name for name in dir(suites) if name.endswith("TestCase")} == known


def asked(study: optuna.Study) -> dict[str, BaseDistribution]:
    trial = study.ask()
    SPACE.suggest(trial, 0.1)
    study.tell(trial, [1.0] * len(study.directions))
    return trial.distributions


@pytest.mark.parametrize("directions", [["minimize"], ["maximize"], ["minimize", "maximize"]])
def test_every_value_of_ours_is_plain_and_inside_its_distribution(
    sampler: Callable[[], BaseSampler], directions: list[str]
) -> None:
    study = optuna.create_study(directions=directions, sampler=sampler())
    seen: set[str] = set()
    for family in SPACE.families:
        study.enqueue_trial({FAMILY: family})
    for _ in range(25):
        seen |= set(asked(study))
        trial = study.trials[-1]
        for name, distribution in trial.distributions.items():
            value = trial.params[name]
            assert distribution._contains(distribution.to_internal_repr(value))
            assert type(value) in (
                (float,) if isinstance(distribution, FloatDistribution) else (str, float)
            )
    assert seen == OURS


def test_what_is_suggested_is_what_the_sampler_declared(
    sampler: Callable[[], BaseSampler],
) -> None:
    # Optuna silently samples anew where the two differ.
    study = optuna.create_study(sampler=sampler())
    declared = study.sampler.infer_relative_search_space(study, study.ask()._cached_frozen_trial)
    suggested: dict[str, BaseDistribution] = {}
    for family in SPACE.families:
        study.enqueue_trial({FAMILY: family})
    for _ in range(25):
        suggested |= asked(study)
    assert suggested == declared


def test_ours_are_sampled_jointly_at_the_first_suggestion(
    sampler: Callable[[], BaseSampler],
) -> None:
    study = optuna.create_study(sampler=sampler())
    trial = study.ask()
    assert trial._relative_params is None
    trial.suggest_int("width", 1, 9)
    assert trial._relative_params is not None
    joint = dict(trial._relative_params)
    SPACE.suggest(trial, 0.1)
    ours = {name: value for name, value in trial.params.items() if name in OURS}
    assert {FAMILY, MULTIPLIER} <= set(ours) == set(joint) - {"width"}
    assert ours == {name: joint[name] for name in ours}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_parameter_of_ours_can_be_fixed_for_a_while(sampler: Callable[[], BaseSampler]) -> None:
    study = optuna.create_study(sampler=sampler())
    for _ in range(3):
        asked(study)
    inner = study.sampler
    study.sampler = optuna.samplers.PartialFixedSampler({FAMILY: "wsd"}, inner)
    for _ in range(4):
        asked(study)
        assert study.trials[-1].params[FAMILY] == "wsd"
        assert study.trials[-1].params["wsd_cooldown"] > 0
    study.sampler = inner
    for _ in range(12):
        asked(study)
    assert len({t.params[FAMILY] for t in study.trials}) > 1


def test_nan_fails_its_trial_and_the_next_one_works(sampler: Callable[[], BaseSampler]) -> None:
    study = optuna.create_study(sampler=sampler())

    def objective(trial: optuna.Trial) -> float:
        SPACE.suggest(trial, 0.1)
        return float("nan") if trial.number % 2 else float(trial.number)

    study.optimize(objective, n_trials=20)
    states = [t.state for t in study.trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL] * 10


def test_a_space_with_one_family_and_nothing_else_to_search(
    sampler: Callable[[], BaseSampler],
) -> None:
    space = ScheduleSpace(budget=10, families=("cosine",))
    study = optuna.create_study(sampler=EdgeSampler(space))
    for _ in range(10):
        trial = study.ask()
        assert space.suggest(trial, 0.1).family == "cosine"
        study.tell(trial, trial.params[MULTIPLIER])
    assert set(study.trials[0].params) == {FAMILY, MULTIPLIER}
    assert study.trials[0].distributions[FAMILY] == CategoricalDistribution(["cosine"])
    assert min(t.params[MULTIPLIER] for t in study.trials) == space.multiplier[0]  # the best there
