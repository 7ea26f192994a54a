"""Starts of work on a trial are kept, and a trial that kills its process ends."""

from __future__ import annotations

import os
import socket
from typing import Any

import optuna
import pytest

from lrsearch.integrations.optuna import ATTEMPTS_KEY, ERROR_KEY
from lrsearch.integrations.optuna._attributes import reading_key
from lrsearch.stability import Reading
from lrsearch.sweeps import leaderboard
from lrsearch.sweeps._attempts import (
    begin_attempt,
    cause_of_death,
    leave_attempt,
    restarts,
)


def start(step: int = 0, seen: int = 0, *, left: bool = False) -> dict[str, Any]:
    return {"host": "h", "pid": 1, "step": step, "seen": seen} | ({"left": True} if left else {})


def reading(step: int) -> dict[str, Any]:
    return {reading_key(step): Reading(step=step, learning_rate=0.1, loss=1.0).to_dict()}


@pytest.mark.parametrize(
    ("starts", "at", "dead"),
    [
        ([], 0, False),
        ([start()] * 2, 0, False),
        ([start()] * 3, 0, True),
        ([start()] * 3, 4, False),  # the third one has left a checkpoint
        ([start(0), start(8), start(8), start(8)], 8, True),
        ([start(0), start(8), start(8), start(12)], 12, False),
        ([start(8), start(0), start(0)], 0, True),  # on machines without its checkpoint
        ([start(), start(left=True), start()], 0, False),  # one was told to stop
        ([start(), start(left=True), start(), start()], 0, True),
        ([start(), start(), start(seen=3), start(seen=3)], 0, False),  # a later reading
        ([{"host": "h", "pid": 1, "step": 0}] * 3, 0, True),  # as Ray's are written
    ],
)
def test_when_a_trial_is_given_up(starts: list[dict[str, Any]], at: int, dead: bool) -> None:
    found = cause_of_death({ATTEMPTS_KEY: starts}, at)
    assert (found is not None) == dead


def test_the_reason_tells_how_often_and_how_far() -> None:
    assert cause_of_death({ATTEMPTS_KEY: [start(0), start(8), start(8), start(8)]}, 8) == (
        "its process died 3 times without coming further than step 8 (out of memory?)"
    )


def test_a_reading_of_the_last_one_counts_as_coming_further() -> None:
    starts = {ATTEMPTS_KEY: [start()] * 3}
    assert cause_of_death(starts | reading(5), 0) is None


def test_what_is_written() -> None:
    study = optuna.create_study()
    trial = study.ask()
    begin_attempt(trial, 7)
    begin_attempt(trial, 0, instead=True)
    trial.set_user_attr(*next(iter(reading(5).items())))
    leave_attempt(trial)
    begin_attempt(trial, 4)
    here = {"host": socket.gethostname(), "pid": os.getpid()}
    assert trial.user_attrs[ATTEMPTS_KEY] == [
        here | {"step": 0, "seen": 0, "left": True},
        here | {"step": 4, "seen": 5},
    ]
    assert restarts(trial.user_attrs) == 1


def test_the_leaderboard_tells_of_restarts() -> None:
    study = optuna.create_study()
    for count in (1, 2, 4):
        trial = study.ask()
        trial.set_user_attr(ATTEMPTS_KEY, [start()] * count)
        study.tell(trial, float(count))
    stopped = study.ask()
    stopped.set_user_attr(ATTEMPTS_KEY, [start()] * 2)
    study.tell(stopped, state=optuna.trial.TrialState.PRUNED)
    failed = study.ask()
    failed.set_user_attr(ATTEMPTS_KEY, [start()] * 3)
    failed.set_user_attr(ERROR_KEY, "its process died 3 times")
    study.tell(failed, state=optuna.trial.TrialState.FAIL)
    assert leaderboard(study)["reason"].tolist() == [
        "finished",
        "finished (after 1 restart)",
        "finished (after 3 restarts)",
        "stopped by the study's pruner (after 1 restart)",
        "its process died 3 times",
    ]
