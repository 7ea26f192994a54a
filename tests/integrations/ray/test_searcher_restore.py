"""`EdgeSearcher` after the death of a driver: every trial is accounted for once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

pytest.importorskip("ray")
from ray import tune

from lrsearch import ScheduleSpace
from lrsearch.integrations.optuna import plan_of, readings_of
from lrsearch.integrations.optuna._attributes import reading_key
from lrsearch.integrations.ray import CHECKPOINT_KEY, CONFIG_KEY, EdgeSearcher
from lrsearch.stability import Reading

BUDGET = 50
SPACE = ScheduleSpace(budget=BUDGET, families=("linear", "wsd"))
READ = Reading(step=20, learning_rate=0.1, loss=1.0)


class Experiment:
    """Searchers of one experiment, one after the other, with what a driver leaves on the disk."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.snapshot = str(folder / "searcher.pkl")
        self.storage = f"sqlite:///{folder}/s.db" if kind == "sqlite" else None

    def searcher(self, *, restored: bool = False) -> EdgeSearcher:
        made = EdgeSearcher(
            SPACE, metric="loss", edge=0.1, seed=3, storage=self.storage, study_name="study"
        )
        made.set_search_properties("loss", "min", {"width": tune.randint(1, 64)})
        if restored:
            made.restore(self.snapshot)
        return made


@pytest.fixture(params=["memory", "sqlite"])
def experiment(request, tmp_path: Path) -> Experiment:
    return Experiment(tmp_path, request.param)


def end(searcher: EdgeSearcher, trial_id: str, loss: float) -> None:
    last = {"training_iteration": 1, "lrsearch_step": BUDGET, "lrsearch": (), "loss": loss}
    searcher.on_trial_result(trial_id, last)
    searcher.on_trial_complete(trial_id=trial_id, result=last, error=False)


def story(searcher: EdgeSearcher) -> list[tuple[Any, ...]]:
    return [(t.number, t.state.name, t.values) for t in searcher.study.get_trials()]


def test_it_goes_on_as_if_nothing_had_been(experiment: Experiment, tmp_path: Path) -> None:
    undisturbed = Experiment(tmp_path, "memory").searcher()
    first = experiment.searcher()
    for searcher in (undisturbed, first):
        for i in range(3):
            searcher.suggest(f"t{i}")
        end(searcher, "t0", 0.5)
        searcher.on_trial_result("t1", {"lrsearch": ((reading_key(20), READ.to_dict()),)})
    first.save(experiment.snapshot)
    second = experiment.searcher(restored=True)
    assert second.orphans == 0
    assert second.experiment == first.experiment
    for searcher in (undisturbed, second):
        end(searcher, "t1", 0.4)
        searcher.on_trial_complete(
            trial_id="t2", result={"training_iteration": 2, "lrsearch_step": 7}, error=False
        )
        config = searcher.suggest("t3")
        assert config[CONFIG_KEY]["best"] == 0.4
        end(searcher, "t3", 0.3)
    assert story(second) == story(undisturbed)
    assert [s for _, s, _ in story(second)] == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    assert [t.params for t in second.study.get_trials()] == [
        t.params for t in undisturbed.study.get_trials()
    ]
    assert readings_of(second.study.get_trials()[1].user_attrs) == [READ]


def test_with_a_storage_what_began_after_the_snapshot_is_handed_out_again(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path, "sqlite")
    first = experiment.searcher()
    first.suggest("t0")
    first.save(experiment.snapshot)
    lost = [first.suggest("t1"), first.suggest("t2")]
    first.study.set_user_attr("unrelated", 1)
    storage = first.study._storage
    storage.set_trial_user_attr(lost[0][CONFIG_KEY]["id"], CHECKPOINT_KEY, "/tune/checkpoint")
    second = experiment.searcher(restored=True)
    assert second.orphans == 2
    again = [second.suggest("t3"), second.suggest("t4")]
    assert second.orphans == 0
    for config, before in zip(again, lost, strict=True):
        assert config[CONFIG_KEY]["number"] == before[CONFIG_KEY]["number"]
        assert {k: v for k, v in config.items() if k != CONFIG_KEY} == {
            k: v for k, v in before.items() if k != CONFIG_KEY
        }
        assert config[CONFIG_KEY]["plan"] == before[CONFIG_KEY]["plan"]
        assert config[CONFIG_KEY]["seed"] == before[CONFIG_KEY]["seed"]
    assert [c[CONFIG_KEY].get("checkpoint") for c in again] == ["/tune/checkpoint", None]
    assert second.suggest("t5")[CONFIG_KEY]["number"] == 3
    for trial_id, loss in (("t4", 0.4), ("t3", 0.3), ("t0", 0.1), ("t5", 0.5)):
        end(second, trial_id, loss)
    assert story(second) == [(n, "COMPLETE", [v]) for n, v in enumerate([0.1, 0.3, 0.4, 0.5])]
    assert all(plan_of(t.user_attrs) is not None for t in second.study.get_trials())


def test_with_a_storage_what_ended_before_the_crash_stays(tmp_path: Path) -> None:
    """Tune knows its last snapshot, and trains the trial's rest once more."""
    experiment = Experiment(tmp_path, "sqlite")
    first = experiment.searcher()
    first.suggest("t0")
    first.suggest("t1")
    first.save(experiment.snapshot)
    end(first, "t0", 0.5)
    second = experiment.searcher(restored=True)
    assert second.orphans == 0
    second.on_trial_result("t0", {"lrsearch": ((reading_key(20), READ.to_dict()),)})
    end(second, "t0", 0.7)
    assert story(second) == [(0, "COMPLETE", [0.5]), (1, "RUNNING", None)]
    end(second, "t1", 0.6)
    assert story(second)[1] == (1, "COMPLETE", [0.6])
    assert second.suggest("t2")[CONFIG_KEY]["best"] == 0.5


def test_in_memory_the_snapshot_is_the_truth(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path, "memory")
    first = experiment.searcher()
    first.suggest("t0")
    first.save(experiment.snapshot)
    lost = first.suggest("t1")
    end(first, "t0", 0.5)
    second = experiment.searcher(restored=True)
    assert story(second) == [(0, "RUNNING", None)]
    again = second.suggest("t9")
    assert again[CONFIG_KEY]["number"] == lost[CONFIG_KEY]["number"]
    end(second, "t0", 0.5)
    assert story(second)[0] == (0, "COMPLETE", [0.5])


def test_open_trials_of_others_are_left_alone(tmp_path: Path) -> None:
    """A worker without Ray, and an experiment beside this one."""
    experiment = Experiment(tmp_path, "sqlite")
    mine = experiment.searcher()
    mine.suggest("t0")
    mine.study.ask()
    beside = experiment.searcher()
    beside.suggest("t0")
    mine.save(experiment.snapshot)
    again = experiment.searcher(restored=True)
    assert again.orphans == 0
    again.known.clear()
    again.adopt()
    assert again.orphans == 1
    assert again.suggest("x")[CONFIG_KEY]["number"] == 0
    assert again.suggest("y")[CONFIG_KEY]["number"] == 3


def test_orphans_are_handed_out_although_it_is_finished(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path, "sqlite")
    first = experiment.searcher()
    first.save(experiment.snapshot)
    first.suggest("t0")
    second = experiment.searcher(restored=True)
    second.finished_when = lambda: True
    assert second.suggest("t1")[CONFIG_KEY]["number"] == 0
    assert second.suggest("t2") == "FINISHED"
    assert [t.state for t in second.study.get_trials()] == [TrialState.RUNNING]


@pytest.mark.parametrize(("kind", "least", "most"), [("memory", 200, 5000), ("sqlite", 1, 100)])
def test_a_snapshot_grows_with_trials_in_memory_alone(tmp_path: Path, kind, least, most) -> None:
    experiment = Experiment(tmp_path, kind)
    searcher, sizes = experiment.searcher(), []
    for i in range(7):
        searcher.suggest(f"t{i}")
        if i in (0, 6):
            searcher.save(experiment.snapshot)
            sizes.append(Path(experiment.snapshot).stat().st_size)
    assert least < (sizes[1] - sizes[0]) / 6 < most
