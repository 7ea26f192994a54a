"""`EdgeSearcher` as Tune calls it: the points of the same engine, beside Tune's own parameters."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

pytest.importorskip("ray")
from ray import tune
from ray.tune.search import Searcher

from lrsearch import EdgeSampler, ScheduleSpace
from lrsearch.exceptions import InvalidSpaceError, SpaceMismatchError, UnsupportedError
from lrsearch.integrations.optuna import (
    SEED_KEY,
    TUNE_KEY,
    edge_key,
    enqueue,
    plan_of,
)
from lrsearch.integrations.ray import CONFIG_KEY, EdgeSearcher, RayTrial
from lrsearch.search import FAMILY, MULTIPLIER, PLAN_KEY, trial_seed
from lrsearch.stability import Edge

BUDGET = 50
SPACE = ScheduleSpace(budget=BUDGET, families=("linear", "wsd"))
OURS = {d.name for d in SPACE.dimensions()}
EDGE = Edge.known(0.1)


def made(**options: Any) -> EdgeSearcher:
    plain = {"metric": "loss", "edge": EDGE, "seed": 3}
    return EdgeSearcher(SPACE, **plain | options)


def result(step: int, iteration: int, *pairs: tuple[str, Any], **metrics: Any) -> dict[str, Any]:
    record = {"training_iteration": iteration, "lrsearch_step": step, "lrsearch": pairs}
    return record | metrics


def whole(searcher: EdgeSearcher, trial_id: str, loss: float, iteration: int = 1) -> None:
    """A trial whose training function comes to its end, as Tune tells of it."""
    last = result(BUDGET, iteration, loss=loss)
    searcher.on_trial_result(trial_id, last)
    searcher.on_trial_complete(trial_id=trial_id, result=last | {"done": True}, error=False)


# What it suggests


def test_its_values_are_those_of_an_optuna_study_with_the_same_seed() -> None:
    study = optuna.create_study(sampler=EdgeSampler(SPACE, seed=3))
    searcher = made()
    for i in range(8):
        trial = study.ask()
        schedule = SPACE.suggest(trial, EDGE)
        config = searcher.suggest(f"t{i}")
        assert {n: v for n, v in config.items() if n in OURS} == trial.params
        assert SPACE.suggest(RayTrial(config), EDGE).peak == schedule.peak
        loss = (math.log2(trial.params[MULTIPLIER]) - 1) ** 2
        study.tell(trial, loss)
        whole(searcher, f"t{i}", loss)
    mine = [(t.params, t.values, plan_of(t.user_attrs)) for t in searcher.study.get_trials()]
    assert mine == [(t.params, t.values, plan_of(t.user_attrs)) for t in study.get_trials()]
    assert len({t.params[MULTIPLIER] for t in study.get_trials()}) == 8


def test_without_an_edge_the_values_are_the_same_and_the_worker_measures(boards) -> None:
    known, unknown = made(), made(edge=None)
    for i in range(4):
        with_edge, without = known.suggest(f"t{i}"), unknown.suggest(f"t{i}")
        assert {"board", "plan", "edge"} & without.pop(CONFIG_KEY).keys() == {"board"}
        assert {"board", "plan", "edge"} & with_edge.pop(CONFIG_KEY).keys() == {"plan", "edge"}
        assert with_edge == without
    assert boards == [(f"lrsearch-edges-{unknown.experiment}", {})]  # one, opened once


def test_the_board_begins_with_the_edges_that_the_study_knows(boards) -> None:
    searcher = made(edge=None)
    name = edge_key("curve", "SGD")
    searcher.study.set_user_attr(name, Edge.known(0.3).to_dict())
    searcher.study.set_user_attr("unrelated", 1)
    searcher.suggest("a")
    assert boards[0][1] == {name: Edge.known(0.3).to_dict()}


def test_the_config_says_what_the_worker_needs() -> None:
    searcher = made()
    searcher.suggest("a")
    whole(searcher, "a", 0.5)
    own = searcher.suggest("b")[CONFIG_KEY]
    frozen = searcher.study.get_trials()[1]
    assert (own["number"], own["id"], own["budget"]) == (1, frozen._trial_id, BUDGET)
    assert own["seed"] == trial_seed(3, 1) == frozen.user_attrs[SEED_KEY]
    assert own["best"] == 0.5
    assert own["plan"] == frozen.user_attrs[PLAN_KEY]
    assert Edge.from_dict(own["edge"]) == EDGE
    assert frozen.user_attrs[TUNE_KEY] == {"experiment": searcher.experiment, "trial": "b"}
    assert "seed" not in made(seed=None).suggest("a")[CONFIG_KEY]


def test_the_best_is_that_of_the_mode_and_of_earlier_trials() -> None:
    searcher = made(mode="max")
    for i, loss in enumerate([0.5, 0.9, 0.7]):
        searcher.suggest(f"t{i}")
        whole(searcher, f"t{i}", loss)
    assert searcher.suggest("next")[CONFIG_KEY]["best"] == 0.9
    again = EdgeSearcher(SPACE, metric="loss", mode="max", edge=EDGE, study=searcher.study)
    assert again.suggest("again")[CONFIG_KEY]["best"] == 0.9
    assert "best" not in made().suggest("first")[CONFIG_KEY]


def test_an_enqueued_rate_is_tried_next_and_its_worker_takes_it() -> None:
    searcher = made()
    enqueue(searcher.study, 5.0, "linear")
    config = searcher.suggest("a")
    assert config[FAMILY] == "linear"
    assert config[MULTIPLIER] > SPACE.multiplier[1]
    assert plan_of(searcher.study.get_trials()[0].user_attrs).peak == pytest.approx(5.0)
    assert SPACE.suggest(RayTrial(config), EDGE).peak == pytest.approx(5.0)
    assert SPACE.suggest(RayTrial(searcher.suggest("b")), EDGE).peak < 5.0


def test_an_enqueued_rate_needs_a_known_edge(boards) -> None:
    searcher = made(edge=None)
    enqueue(searcher.study, 5.0, "linear")
    with pytest.raises(UnsupportedError, match=r"5\.0 was enqueued.*give EdgeSearcher edge="):
        searcher.suggest("a")
    assert [t.state for t in searcher.study.get_trials()] == [TrialState.FAIL]
    assert searcher.suggest("b")[CONFIG_KEY]["number"] == 1


def test_it_is_finished_when_told() -> None:
    searcher, over = made(), []
    searcher.finished_when = lambda: bool(over)
    assert searcher.suggest("a")[CONFIG_KEY]["number"] == 0
    over.append(True)
    assert searcher.suggest("b") == Searcher.FINISHED
    assert len(searcher.study.get_trials()) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": ["loss", "size"]}, "one metric"),
        ({"metric": None}, "one metric"),
        ({"mode": "minimum"}, "'minimum'"),
        ({"mode": ["min", "max"]}, "several objectives"),
    ],
)
def test_several_objectives_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        made(**options)


def test_a_study_of_another_space_is_refused() -> None:
    study = optuna.create_study()
    made(study=study).suggest("a")
    other = EdgeSearcher(ScheduleSpace(budget=2 * BUDGET), metric="loss", edge=EDGE, study=study)
    with pytest.raises(SpaceMismatchError, match="another search space"):
        other.suggest("b")


# Other parameters


def test_parameters_of_tune_stand_beside_ours() -> None:
    searcher = made()
    space = {
        "width": tune.randint(8, 64),
        "model": {"act": tune.choice(["relu", "tanh"]), "depth": 3},
        "decay": tune.loguniform(1e-5, 1e-2),
        "epochs": 10,
    }
    assert searcher.set_search_properties("loss", "min", space)
    plain = made()
    for i in range(6):
        config = searcher.suggest(f"t{i}")
        alone = plain.suggest(f"t{i}")
        assert set(config) == {*alone, "width", "model", "decay"}  # Tune merges the constants
        assert config["model"]["act"] in ("relu", "tanh")
        assert 8 <= config["width"] < 64
        assert 1e-5 <= config["decay"] <= 1e-2
        assert {n: v for n, v in config.items() if n in OURS} == {
            n: v for n, v in alone.items() if n in OURS
        }
        assert searcher.study.get_trials()[i].params["model/act"] == config["model"]["act"]
    widths = [t.params["width"] for t in searcher.study.get_trials()]
    assert len(set(widths)) > 1


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"width": tune.grid_search([1, 2])}, r"grid_search of \['width'\].*tune.choice"),
        ({"a": {"b": tune.grid_search([1, 2])}}, r"\['a/b'\]"),
        ({FAMILY: tune.choice(["linear"])}, f"{FAMILY}.*param_space out"),
        ({"width": tune.sample_from(lambda spec: 1)}, "cannot be searched"),
        ({"width": tune.randn(0.0, 1.0)}, "cannot be searched"),
    ],
)
def test_what_cannot_be_searched_is_refused(space: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSpaceError, match=words):
        made().set_search_properties("loss", "min", space)


@pytest.mark.parametrize(
    ("metric", "mode", "fits"),
    [
        ("loss", "min", True),
        (None, None, True),
        ("loss", None, True),
        ("error", "min", False),
        ("loss", "max", False),
    ],
)
def test_a_contradicting_metric_or_mode_is_refused(metric, mode, fits: bool) -> None:
    assert made().set_search_properties(metric, mode, {}) is fits
