"""`EdgeSampler`: whose values are whose, what a study remembers, and every host around it."""

from __future__ import annotations

import logging
import math
import pickle
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

import lrsearch
from lrsearch import EdgeSampler, ScheduleSpace, StabilityPruner
from lrsearch.exceptions import (
    InvalidScheduleError,
    InvalidSpaceError,
    LrsearchError,
    SpaceMismatchError,
    UnsupportedError,
)
from lrsearch.integrations.optuna import ERROR_KEY, SPACE_KEY, plan_of
from lrsearch.integrations.optuna._attributes import records_of
from lrsearch.search import FAMILY, MULTIPLIER, Engine, TrialRecord

SPACE = ScheduleSpace(budget=100)
OTHER = ScheduleSpace(budget=50, multiplier=(0.5, 2.0), families=("cosine", "wsd"))
OURS = {d.name for d in SPACE.dimensions()}
EDGE = 0.1


def bowl(trial: optuna.Trial) -> float:
    """Best at a multiplier of 2."""
    width = trial.suggest_int("width", 1, 64)
    SPACE.suggest(trial, EDGE)
    return (math.log2(trial.params[MULTIPLIER]) - 1.0) ** 2 + 0.0 * width


def ours(study: optuna.Study) -> list[dict[str, Any]]:
    return [{n: v for n, v in t.params.items() if n in OURS} for t in study.trials]


def away_from_two(trials: Sequence[FrozenTrial]) -> float:
    """Median distance of the multipliers from the bowl's optimum, in octaves."""
    return median(abs(math.log2(t.params[MULTIPLIER]) - 1.0) for t in trials)


class Witness(RandomSampler):
    """Notes everything that it is asked for."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.asked: list[str] = []
        self.ends: list[tuple[int, TrialState]] = []
        self.begun: list[int] = []
        self.reseeded = 0

    def reseed_rng(self) -> None:
        self.reseeded += 1
        super().reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.begun.append(trial.number)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        # As TPE would: everything that all trials have in common, ours among it.
        return optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self.asked += search_space
        return dict.fromkeys(search_space, 63)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        self.asked.append(param_name)
        return super().sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self.ends.append((trial.number, state))


def test_ours_come_from_the_engine_and_the_rest_from_the_other_sampler() -> None:
    inner = Witness()
    study = optuna.create_study(sampler=EdgeSampler(SPACE, sampler=inner, seed=5))
    study.optimize(bowl, n_trials=12)
    engine, records = Engine(SPACE, 5), []
    for trial, values in zip(study.trials, ours(study), strict=True):
        assert values == engine.ask(trial.number, records)
        records.append(
            TrialRecord(
                number=trial.number, state="complete", parameters=values, values=(trial.value,)
            )
        )
    assert inner.asked == ["width"] * 12
    assert [t.params["width"] for t in study.trials[1:]] == [63] * 11
    assert inner.begun == list(range(12))
    assert inner.ends == [(n, TrialState.COMPLETE) for n in range(12)]


@pytest.mark.parametrize(
    "inner",
    [
        lambda: RandomSampler(seed=0),
        lambda: TPESampler(seed=0, n_startup_trials=2),
        lambda: optuna.samplers.NSGAIISampler(population_size=4, seed=0),
        lambda: optuna.samplers.NSGAIIISampler(population_size=4, seed=0),
        lambda: optuna.samplers.GPSampler(seed=0, n_startup_trials=4),
        lambda: optuna.samplers.QMCSampler(seed=0, warn_independent_sampling=False),
    ],
    ids=["random", "tpe", "nsga2", "nsga3", "gp", "qmc"],
)
def test_any_sampler_may_stand_beside_it(inner: Callable[[], BaseSampler]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = EdgeSampler(SPACE, sampler=inner(), seed=1)
    study = optuna.create_study(sampler=sampler)
    study.optimize(bowl, n_trials=10)
    alone = optuna.create_study(sampler=EdgeSampler(SPACE, seed=1))
    alone.optimize(bowl, n_trials=10)
    assert ours(study) == ours(alone)
    assert len({t.params["width"] for t in study.trials}) > 3


def test_one_seed_one_study_another_seed_another_one() -> None:
    def run(seed: int | None) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=seed))
        study.optimize(bowl, n_trials=9)
        return [t.params for t in study.trials]

    assert run(3) == run(3)
    assert run(3) != run(4)
    assert run(None) != run(None)


def test_a_resumed_study_proposes_what_an_uninterrupted_one_does(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        value = bowl(trial)
        if trial.number in (2, 7):
            raise optuna.TrialPruned
        return float("nan") if trial.number == 3 else value

    def run(name: str, *parts: int) -> list[dict[str, Any]]:
        url = f"sqlite:///{tmp_path / 'study.db'}"
        for n_trials in parts:
            study = optuna.create_study(
                storage=url,
                study_name=name,
                load_if_exists=True,
                sampler=EdgeSampler(SPACE, sampler=RandomSampler(), seed=2),
            )
            study.optimize(objective, n_trials=n_trials)
        return ours(optuna.load_study(storage=url, study_name=name))

    whole = run("whole", 14)
    assert len(whole) == 14
    assert run("in parts", 4, 1, 6, 3) == whole


def test_a_pickled_sampler_goes_on_the_same() -> None:
    sampler = EdgeSampler(SPACE, seed=2)
    study = optuna.create_study(sampler=sampler)
    study.optimize(bowl, n_trials=8)
    copy = pickle.loads(pickle.dumps(sampler))
    study.optimize(bowl, n_trials=3)
    again = optuna.create_study(sampler=copy)
    again.add_trials(study.trials[:8])
    again.optimize(bowl, n_trials=3)
    assert [t.params for t in again.trials] == [t.params for t in study.trials]


def test_maximise_mirrors_minimise_and_climbs() -> None:
    def run(direction: str, sign: float) -> optuna.Study:
        study = optuna.create_study(
            direction=direction, sampler=EdgeSampler(SPACE, sampler=RandomSampler(seed=0), seed=0)
        )
        study.optimize(lambda trial: sign * bowl(trial), n_trials=30)
        return study

    up, down = run("maximize", -1.0), run("minimize", 1.0)
    assert ours(up) == ours(down)
    astray = optuna.create_study(sampler=EdgeSampler(SPACE, sampler=RandomSampler(), seed=0))
    astray.optimize(lambda trial: -bowl(trial), n_trials=30)  # minimised: away from 2
    assert away_from_two(up.trials[15:]) < 0.5 < 1.0 < away_from_two(astray.trials[15:])


def test_several_objectives_are_all_minded() -> None:
    def run(directions: list[str], sign: float) -> optuna.Study:
        study = optuna.create_study(directions=directions, sampler=EdgeSampler(SPACE, seed=0))

        def objective(trial: optuna.Trial) -> tuple[float, float]:
            value = bowl(trial)
            return value, sign * trial.params[MULTIPLIER]

        study.optimize(objective, n_trials=16)
        assert all(t.state == TrialState.COMPLETE for t in study.trials)
        return study

    cheap = run(["minimize", "minimize"], 1.0)
    assert ours(run(["minimize", "maximize"], -1.0)) == ours(cheap)
    dear = run(["minimize", "minimize"], -1.0)
    assert ours(dear) != ours(cheap)


@pytest.mark.parametrize(
    "pruner",
    [
        HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3),
        SuccessiveHalvingPruner(min_resource=1),
        MedianPruner(n_startup_trials=3),
        StabilityPruner(wrapped=MedianPruner(n_startup_trials=3)),
    ],
    ids=lambda pruner: type(pruner).__name__,
)
def test_works_under_pruners_for_the_users_own_reports(pruner: Any) -> None:
    study = optuna.create_study(
        study_name="fixed: brackets hash it", sampler=EdgeSampler(SPACE, seed=0), pruner=pruner
    )

    def objective(trial: optuna.Trial) -> float:
        value = bowl(trial)
        for step in range(1, 10):
            trial.report(value + 1.0 / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=60)
    states = [t.state for t in study.trials]
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}
    assert all({FAMILY, MULTIPLIER, "width"} <= set(t.params) for t in study.trials)
    assert all(plan_of(t.user_attrs) is not None for t in study.trials)
    # It learns: the prior alone would stay more than an octave away.
    assert away_from_two(study.trials[30:]) < 0.8


def test_two_threads() -> None:
    inner = Witness()
    study = optuna.create_study(sampler=EdgeSampler(SPACE, sampler=inner, seed=0))
    study.optimize(bowl, n_trials=20, n_jobs=2)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 20
    assert inner.reseeded > 0
    assert len({t.params[MULTIPLIER] for t in study.trials}) >= 15


# The space that a study remembers


def refused(study: optuna.Study, space: ScheduleSpace, **options: Any) -> str:
    def objective(trial: optuna.Trial) -> float:
        space.suggest(trial, EDGE)
        return 0.0

    before = len(study.trials)
    with pytest.raises(SpaceMismatchError) as caught:
        study.optimize(objective, n_trials=3, catch=(ValueError,), **options)
    states = [t.state for t in study.trials[before:]]
    assert set(states) == {TrialState.FAIL}  # and none RUNNING
    assert len(states) <= options.get("n_jobs", 1)  # at once, not trial by trial
    assert study.trials[-1].user_attrs[ERROR_KEY] == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "pruner", [NopPruner(), HyperbandPruner(min_resource=1, max_resource=9)], ids=["", "hyperband"]
)
def test_another_space_is_refused_at_once(tmp_path: Path, pruner: Any) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(
        storage=url, study_name="mine", sampler=EdgeSampler(SPACE), pruner=pruner
    )
    study.optimize(bowl, n_trials=2)
    assert study.user_attrs[SPACE_KEY]["budget"] == 100
    study = optuna.load_study(
        storage=url, study_name="mine", sampler=EdgeSampler(OTHER), pruner=pruner
    )
    message = refused(study, OTHER)
    assert "'mine'" in message
    assert "budget was 100 and is now 50" in message
    assert "edge_multiplier was" in message
    assert "8.0" in message
    assert "2.0" in message
    assert "schedule_family was" in message
    assert "warmup" not in message  # what is the same is not named
    # The study is unharmed: its own space goes on, with a new sampler.
    study.sampler = EdgeSampler(ScheduleSpace(budget=100))
    study.optimize(bowl, n_trials=1)
    assert study.trials[-1].state == TrialState.COMPLETE


def test_another_space_is_refused_in_threads_as_well() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE))
    study.optimize(bowl, n_trials=1)
    study.sampler = EdgeSampler(OTHER)
    refused(study, OTHER, n_jobs=2)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (ScheduleSpace(budget=101), "budget was 100 and is now 101"),
        (ScheduleSpace(budget=100, warmup=0.1), "warmup was 0.05 and is now 0.1"),
        (ScheduleSpace(budget=100, warmup=(0.0, 0.1)), "warmup_fraction was None"),
        (ScheduleSpace(budget=100, parameters={"cooldown": 0.3}), "wsd_cooldown was"),
        (ScheduleSpace(budget=100, parameters={"cooldown": (0.2, 0.3)}), "wsd_cooldown was"),
        (ScheduleSpace(budget=100, multiplier=(0.125, 4.0)), "edge_multiplier was"),
        (ScheduleSpace(budget=100, families=("linear", "wsd")), "schedule_family was"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_every_difference_between_spaces_counts(changed: ScheduleSpace, named: str) -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE))
    study.optimize(bowl, n_trials=1)
    study.sampler = EdgeSampler(changed)
    assert named in refused(study, changed)


def test_another_value_of_a_fixed_parameter_counts_too() -> None:
    before, after = (ScheduleSpace(budget=9, parameters={"cooldown": c}) for c in (0.2, 0.3))
    study = optuna.create_study(sampler=EdgeSampler(before))
    study.optimize(lambda trial: before.suggest(trial, EDGE).peak, n_trials=1)
    study.sampler = EdgeSampler(after)
    assert "fixed was {'cooldown': 0.2} and is now {'cooldown': 0.3}" in refused(study, after)


def test_a_sampler_that_knows_one_study_still_checks_the_next() -> None:
    # In-memory studies all have the id 0, the first ones of two SQLite files both 1.
    first = optuna.create_study(sampler=EdgeSampler(OTHER), storage=InMemoryStorage())
    first.optimize(lambda trial: OTHER.suggest(trial, EDGE).peak, n_trials=1)
    sampler = EdgeSampler(SPACE)
    optuna.create_study(sampler=sampler, storage=InMemoryStorage()).optimize(bowl, n_trials=1)
    first.sampler = sampler
    refused(first, SPACE)
    fresh = optuna.create_study(sampler=sampler, storage=InMemoryStorage())
    fresh.optimize(bowl, n_trials=1)
    assert SPACE_KEY in fresh.user_attrs


# Rates and points that the user wants tried


def planned(study: optuna.Study, n_trials: int = 1, edge: float = EDGE) -> Any:
    space = study.sampler.space if isinstance(study.sampler, EdgeSampler) else SPACE

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_int("width", 1, 9)
        return space.suggest(trial, edge).peak

    study.optimize(objective, n_trials=n_trials)
    return plan_of([t for t in study.trials if t.state == TrialState.COMPLETE][-1].user_attrs)


def test_an_enqueued_rate_is_the_peak_whatever_the_edge() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0))
    lrsearch.enqueue(study, 0.03, "linear")
    lrsearch.enqueue(study, 0.03, "linear")
    for edge in (0.1, 0.02):
        plan = planned(study, edge=edge)
        assert plan.peak == pytest.approx(0.03, rel=1e-9)
        assert plan.multiplier == pytest.approx(0.03 / edge / plan.alignment, rel=1e-9)
    assert [t.params[MULTIPLIER] for t in study.trials] == [
        pytest.approx(0.03 / edge / plan.alignment) for edge in (0.1, 0.02)
    ]
    assert planned(study).peak != pytest.approx(0.03, rel=1e-3)


@pytest.mark.parametrize("rate", [1e-7, 30.0])
def test_an_enqueued_rate_may_lie_outside_the_bounds(rate: float, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(
        storage=url, study_name="s", sampler=EdgeSampler(SPACE, seed=0, sampler=TPESampler(seed=0))
    )
    lrsearch.enqueue(study, rate, "cosine")
    assert planned(study).peak == pytest.approx(rate, rel=1e-9)
    planned(study, 12)  # it stays in the records; the search goes on, within the bounds
    low, high = SPACE.multiplier
    multipliers = [
        t.params[MULTIPLIER] for t in optuna.load_study(study_name="s", storage=url).trials
    ]
    assert not low <= multipliers[0] <= high
    assert all(low <= m <= high for m in multipliers[1:])


@pytest.mark.parametrize("before", range(8))
def test_an_enqueued_family_has_its_defaults_whatever_the_search_would_do(before: int) -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0))
    planned(study, before) if before else None
    lrsearch.enqueue(study, 0.3, "wsd")
    plan = planned(study)
    assert (plan.family, plan.peak) == ("wsd", pytest.approx(0.3))
    assert plan.parameters == {"cooldown": 0.2, "cooldown_shape": "1-sqrt", "cooldown_ratio": 0.1}


def test_enqueued_shape_parameters_are_used() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0))
    lrsearch.enqueue(study, 0.3, "wsd", cooldown=0.4, cooldown_shape="linear")
    lrsearch.enqueue(study, 0.2, "uba", phi=2.5)
    plan = planned(study)
    assert plan.parameters == {"cooldown": 0.4, "cooldown_shape": "linear", "cooldown_ratio": 0.1}
    assert plan.peak == pytest.approx(0.3)
    plan = planned(study)
    assert (plan.family, plan.parameters) == ("uba", {"phi": 2.5, "cycles": 1.0})
    assert plan.peak == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("rate", "options", "error", "named"),
    [
        (0.0, {}, InvalidSpaceError, "> 0"),
        (-0.1, {}, InvalidSpaceError, "> 0"),
        (float("nan"), {}, InvalidSpaceError, "nan"),
        (float("inf"), {}, InvalidSpaceError, "inf"),
        ("0.1", {}, InvalidSpaceError, "0.1"),
        (0.1, {"family": "cosinus"}, InvalidScheduleError, "cosinus"),
        (0.1, {"family": "uba"}, InvalidSpaceError, "wsd, cosine"),
        (0.1, {"family": "wsd", "phi": 1.0}, InvalidSpaceError, "phi"),
        (0.1, {"cooldown": 0.2}, InvalidSpaceError, "family"),
        (0.1, {"family": "wsd", "cooldown": 0.45}, InvalidSpaceError, "0.3"),
        (0.1, {"family": "wsd", "cooldown": "long"}, InvalidSpaceError, "long"),
        (0.1, {"family": "wsd", "cooldown_shape": "1-sqrt"}, InvalidSpaceError, "linear"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_it_is_enqueued(
    rate: Any, options: dict[str, Any], error: type[Exception], named: str
) -> None:
    space = ScheduleSpace(
        budget=100,
        families=("wsd", "cosine"),
        parameters={"cooldown": (0.1, 0.3), "cooldown_shape": "linear"},
    )
    study = optuna.create_study(sampler=EdgeSampler(space))
    with pytest.raises(error, match=named):
        lrsearch.enqueue(study, rate, **options)
    assert study.trials == []
    lrsearch.enqueue(study, 0.1, "wsd", cooldown=0.3, cooldown_shape="linear")
    plan = planned(study)
    assert plan.parameters == {"cooldown": 0.3, "cooldown_shape": "linear", "cooldown_ratio": 0.1}


def test_a_rate_under_a_foreign_sampler_fails_with_the_way_out_and_the_study_goes_on() -> None:
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    lrsearch.enqueue(study, 0.3, "linear")
    logging.getLogger("optuna").setLevel(logging.CRITICAL)
    try:
        study.optimize(bowl, n_trials=3, catch=(LrsearchError,))
    finally:
        logging.getLogger("optuna").setLevel(logging.WARNING)
    assert [t.state.name for t in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    lrsearch.enqueue(study, 0.3, "linear")
    with pytest.raises(UnsupportedError, match="EdgeSampler") as caught:
        planned(study)
    assert "'edge_multiplier' = 3" in str(caught.value)
    # The way out that the message names works.
    study.enqueue_trial({FAMILY: "linear", MULTIPLIER: 3.0})
    assert planned(study).peak == pytest.approx(0.3)


def test_our_parameters_can_be_enqueued_the_usual_way() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0))
    study.enqueue_trial({FAMILY: "uba", "uba_phi": 3.0, MULTIPLIER: 0.7, "width": 5})
    study.enqueue_trial({MULTIPLIER: 0.5})
    study.enqueue_trial({FAMILY: "constant"})
    plan = planned(study)
    assert (plan.family, plan.parameters, plan.multiplier) == (
        "uba",
        {"phi": 3.0, "cycles": 1.0},
        0.7,
    )
    assert study.trials[0].params["width"] == 5
    assert planned(study).multiplier == 0.5
    plan = planned(study)
    assert plan.family == "constant"
    before = records_of(study.trials[:2], study.directions, OURS)
    assert plan.multiplier == Engine(SPACE, 0).ask(2, before)[MULTIPLIER]


def test_the_plan_in_the_trial_holds_what_users_look_for() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=0))
    plan = planned(study, 7)
    stored = study.trials[-1].user_attrs["lrsearch:plan"]
    assert stored["edge"] == EDGE
    assert stored["multiplier"] == study.trials[-1].params[MULTIPLIER]
    assert stored["peak"] == stored["multiplier"] * stored["alignment"] * EDGE
    assert study.trials[-1].value == plan.peak == stored["peak"]
    assert stored["budget"] == 100


def test_a_sampler_that_saw_another_study_proposes_as_a_fresh_one() -> None:
    """Also where the other is gone, and its storage's place in memory is taken."""

    def asked(sampler: EdgeSampler, losses: Sequence[float]) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=sampler)
        for loss in losses:
            trial = study.ask()
            SPACE.suggest(trial, EDGE)
            study.tell(trial, loss)
        return [trial.params for trial in study.trials]

    used = EdgeSampler(SPACE, seed=3)
    asked(used, [1.0, 5.0, 2.0])
    for losses in ([3.0, 1.0, 2.0, 4.0], [1.0, 2.0, 3.0, 4.0, 5.0]):
        assert asked(used, losses) == asked(EdgeSampler(SPACE, seed=3), losses)
