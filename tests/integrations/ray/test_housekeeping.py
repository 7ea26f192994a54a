"""Checkpoints of ended trials go, the best whole trial's weights stay."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray")
from ray import cloudpickle, tune

from lrsearch.integrations.optuna import COST_KEY
from lrsearch.integrations.ray import CONFIG_KEY, Housekeeping, delete_trial_folder

COST = ((COST_KEY, {"steps": 10.0, "watch": 0.0}),)


@pytest.fixture
def trial(tmp_path: Path) -> Callable[..., Any]:
    """A trial with a checkpoint on the disk; whole unless it says otherwise."""

    def make(name: str, loss: float | None, *, whole: bool = True, best: float | None = None):
        folder = tmp_path / name / "checkpoint_0"
        folder.mkdir(parents=True)
        (folder / "weights.pt").write_text(name)
        result: dict[str, Any] = {"lrsearch": COST if whole else ()}
        return SimpleNamespace(
            trial_id=name,
            config={} if best is None else {CONFIG_KEY: {"best": best}},
            last_result=result if loss is None else result | {"loss": loss},
            checkpoint=tune.Checkpoint.from_directory(folder),
        )

    return make


def kept(*trials: Any) -> str:
    return "".join(t.trial_id for t in trials if Path(t.checkpoint.path).exists())


def end(keeper: Housekeeping, trials: list[Any], one: Any) -> None:
    keeper.on_trial_complete(iteration=1, trials=trials, trial=one)


@pytest.mark.parametrize(
    ("mode", "losses", "expected"),
    [
        ("min", [0.5, 0.7, 0.3, 0.4], ["a", "a", "c", "c"]),
        ("max", [0.5, 0.7, 0.3, 0.4], ["a", "b", "b", "b"]),
        ("min", [0.5, 0.5], ["a", "b"]),  # of two that are as good, the later one
    ],
)
def test_of_all_that_ended_the_best_is_kept(trial, mode, losses, expected) -> None:
    keeper, ended = Housekeeping("loss", mode), []
    for name, loss in zip("abcd", losses, strict=False):
        ended.append(trial(name, loss))
        end(keeper, ended, ended[-1])
        assert kept(*ended) == expected[len(ended) - 1]


def test_those_that_run_are_left_alone(trial) -> None:
    keeper = Housekeeping("loss", "min")
    running, one = trial("r", 9.0, whole=False), trial("a", 0.5)
    end(keeper, [running, one], one)
    assert kept(running, one) == "ra"


@pytest.mark.parametrize("options", [{"loss": None}, {"loss": 0.1, "whole": False}])
def test_a_trial_that_was_stopped_is_not_the_best(trial, options) -> None:
    """Its metric on the way may look better than any at the end."""
    keeper = Housekeeping("loss", "min")
    best, stopped = trial("a", 0.5), trial("s", **options)
    for one in (best, stopped):
        end(keeper, [best, stopped], one)
    assert kept(best, stopped) == "a"
    end(keeper, [], later := trial("b", 0.4))
    assert kept(best, later) == "b"


def test_a_trial_that_failed_leaves_nothing(trial) -> None:
    keeper = Housekeeping("loss", "min")
    best, failed = trial("a", 0.5), trial("f", 0.1)
    end(keeper, [best, failed], best)
    keeper.on_trial_error(iteration=1, trials=[best, failed], trial=failed)
    assert kept(best, failed) == "a"


@pytest.mark.parametrize(("mode", "earlier", "expected"), [("min", 0.2, ""), ("min", 0.9, "a")])
def test_the_best_of_an_earlier_experiment_counts(trial, mode, earlier, expected) -> None:
    keeper = Housekeeping("loss", mode)
    end(keeper, [], one := trial("a", 0.5, best=earlier))
    assert kept(one) == expected
    keeper = Housekeeping("loss", "max")
    end(keeper, [], one := trial("b", 0.5, best=1.0 - earlier))
    assert kept(one) == expected.replace("a", "b")


@pytest.mark.parametrize("way", ["state", "pickle"])
def test_after_a_restart_it_knows_the_best_of_before(trial, way: str) -> None:
    first = Housekeeping("loss", "min")
    best = trial("a", 0.5)
    end(first, [best], best)
    if way == "state":
        again = Housekeeping("loss", "min")
        again.set_state(first.get_state())
    else:
        again = cloudpickle.loads(cloudpickle.dumps(first))
    worse, better = trial("w", 0.6), trial("b", 0.4)
    trials = [best, worse, better]
    end(again, trials, worse)
    assert kept(*trials) == "ab"
    end(again, trials, better)
    assert kept(*trials) == "b"


def test_without_a_checkpoint_there_is_nothing_to_delete(trial) -> None:
    keeper = Housekeeping("loss", "min")
    bare, gone, best = trial("n", 0.9), trial("g", 0.8), trial("a", 0.5)
    shutil.rmtree(gone.checkpoint.path)
    bare.checkpoint = None
    for one in (best, bare, gone):
        end(keeper, [best, bare, gone], one)
    assert kept(best) == "a"


def test_the_folder_of_an_earlier_experiments_trial_goes_whole(tmp_path: Path) -> None:
    folder = tmp_path / "experiment" / "trial_a" / "checkpoint_3"
    folder.mkdir(parents=True)
    other = tmp_path / "experiment" / "trial_b"
    other.mkdir()
    delete_trial_folder(str(folder))
    assert [p.name for p in (tmp_path / "experiment").iterdir()] == ["trial_b"]
    delete_trial_folder(str(folder))  # gone already
