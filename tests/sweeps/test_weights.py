"""The best trial's weights, whoever dies when."""

from __future__ import annotations

import math
from pathlib import Path
from threading import Thread
from typing import Any

import optuna
import pytest
import torch

from lrsearch.sweeps import best_weights, keep_best
from lrsearch.sweeps._weights import put_in_place, set_aside, settle_weights
from lrsearch.training import load_checkpoint


def model(value: float) -> dict[str, Any]:
    return {"weight": torch.full((3,), value)}


def kept(folder: Path) -> tuple[int, float, float]:
    found = load_checkpoint(best_weights(folder))
    return found["trial"], found["metric"], float(found["model"]["weight"][0])


def study_of(*values: float | None) -> optuna.Study:
    study = optuna.create_study()
    for value in values:
        trial = study.ask()
        if value is not None:
            study.tell(trial, value)
    return study


@pytest.mark.parametrize(("direction", "best"), [("minimize", 1), ("maximize", 2)])
def test_the_best_one_stays(tmp_path: Path, direction: str, best: int) -> None:
    values = [0.3, 0.1, 0.5, 0.2]
    for number, value in enumerate(values):
        keep_best(tmp_path, model(number), trial=number, metric=value, direction=direction)
    assert kept(tmp_path) == (best, values[best], float(best))
    assert {p.name for p in tmp_path.iterdir()} == {"best.pt", "begin.lock"}
    again = keep_best(tmp_path, model(9), trial=9, metric=values[best], direction=direction)
    assert not again  # the first of equals


def test_workers_that_end_at_the_same_moment(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for turn in range(5):
            trial = 5 * number + turn
            metric = abs(trial - 13.0)
            keep_best(tmp_path, model(trial), trial=trial, metric=metric, direction="minimize")

    threads = [Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept(tmp_path) == (13, 0.0, 13.0)


def test_a_trial_that_did_not_complete_leaves_none(tmp_path: Path) -> None:
    set_aside(tmp_path, model(0), trial=0, metric=0.1, direction="minimize")
    assert not put_in_place(tmp_path, 0, "minimize", complete=False)
    assert not best_weights(tmp_path).exists()
    assert not list(tmp_path.glob("*.weights"))


def test_a_start_ends_what_a_dead_worker_has_begun(tmp_path: Path) -> None:
    keep_best(tmp_path, model(0), trial=0, metric=0.3, direction="minimize")
    for number, value in ((1, 0.1), (2, 0.2), (3, 0.0)):
        set_aside(tmp_path, model(number), trial=number, metric=value, direction="minimize")
    study = study_of(0.3, 0.1, None)  # trial 1 was told, 2 was not, 3 is of another study
    settle_weights(tmp_path, study)
    assert kept(tmp_path) == (1, 0.1, 1.0)
    assert [p.name for p in tmp_path.glob("*.weights")] == ["trial-00002.weights"]


@pytest.mark.parametrize("found", [study_of(), study_of(0.7), study_of(None)])
def test_weights_of_a_deleted_study_are_not_taken_for_ones_own(tmp_path: Path, found) -> None:
    keep_best(tmp_path, model(0), trial=0, metric=0.3, direction="minimize")
    settle_weights(tmp_path, found)
    assert not best_weights(tmp_path).exists()


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_damaged_weights_are_replaced(tmp_path: Path, content: bytes) -> None:
    best_weights(tmp_path).write_bytes(content)
    assert keep_best(tmp_path, model(4), trial=4, metric=math.inf, direction="minimize")
    assert kept(tmp_path)[0] == 4
    best_weights(tmp_path).write_bytes(content)
    settle_weights(tmp_path, study_of(0.3))
    assert not best_weights(tmp_path).exists()


def test_parameters_that_want_gradients_are_kept_as_numbers(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    keep_best(tmp_path, {"weight": weight}, trial=0, metric=0.1, direction="minimize")
    assert not load_checkpoint(best_weights(tmp_path))["model"]["weight"].requires_grad
