"""Edges shared by workers: one measures, the others wait, and nobody waits for the dead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("ray")
import ray
from ray.exceptions import RayError

from lrsearch.exceptions import CalibrationError
from lrsearch.integrations.ray import CONFIG_KEY, RayTrial
from lrsearch.integrations.ray import _board as board_module
from lrsearch.integrations.ray._board import LIFE, EdgeBoard, shared_edge
from lrsearch.stability import Edge

EDGE, OTHER = Edge.known(0.3), Edge.known(0.7)
NAME = "lrsearch:edge:x"


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(board_module, "time", made)
    return made


# The board


def test_the_first_to_ask_measures_and_the_others_wait(clock: Clock) -> None:
    board = EdgeBoard({})
    assert [board.ask("x", token) for token in "abca"] == [True, False, False, True]
    assert board.ask("y", "b") is True  # another key
    assert board.put("x", {"rate": 1}) == {"rate": 1}
    assert [board.ask("x", token) for token in "abc"] == [{"rate": 1}] * 3


def test_what_is_known_is_not_measured(clock: Clock) -> None:
    assert EdgeBoard({"x": {"rate": 1}}).ask("x", "a") == {"rate": 1}


def test_the_first_edge_stands(clock: Clock) -> None:
    board = EdgeBoard({})
    assert board.put("x", {"rate": 1}) == {"rate": 1}
    assert board.put("x", {"rate": 2}) == {"rate": 1}


def test_a_claim_without_a_sign_of_life_expires(clock: Clock) -> None:
    board = EdgeBoard({}, life=10.0)
    assert board.ask("x", "a") is True
    clock.now += 9.0
    assert board.ask("x", "b") is False
    board.renew("x", "a")
    clock.now += 9.0
    assert board.ask("x", "b") is False
    clock.now += 1.0
    assert board.ask("x", "b") is True
    assert board.ask("x", "a") is False  # it is b's now


def test_by_default_two_minutes_are_a_sign_of_death(clock: Clock) -> None:
    board = EdgeBoard({})
    assert board.ask("x", "a") is True
    clock.now += LIFE - 1.0
    assert board.ask("x", "b") is False
    clock.now += 1.0
    assert board.ask("x", "b") is True


def test_who_gives_up_lets_the_next_one_try(clock: Clock) -> None:
    board = EdgeBoard({})
    assert board.ask("x", "a") is True
    board.give_up("x", "b")  # not the one that measures
    assert board.ask("x", "b") is False
    board.give_up("x", "a")
    assert board.ask("x", "b") is True
    board.give_up("unknown", "a")


# A worker before it


class Method:
    """An actor's method: what Ray would call elsewhere is called here."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.remote = method


class Actor:
    def __init__(self, board: EdgeBoard) -> None:
        self.board = board

    def __getattr__(self, name: str) -> Method:
        return Method(getattr(self.board, name))


@pytest.fixture
def board(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> EdgeBoard:
    made = EdgeBoard({})

    def get_actor(name: str) -> Actor:
        if name != "board":
            raise ValueError(name)
        return Actor(made)

    monkeypatch.setattr(ray, "get_actor", get_actor)
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    return made


def worker(**own: Any) -> RayTrial:
    return RayTrial({CONFIG_KEY: {"board": "board"} | own})


def never(progress: Any) -> Edge:
    raise AssertionError("measured though it is known")


def test_an_edge_that_holds_for_all_trials_is_taken(board: EdgeBoard) -> None:
    trial = worker(edge=EDGE.to_dict())
    assert shared_edge(trial, NAME, never) == EDGE
    assert trial.user_attrs == {}


def test_the_first_worker_measures_and_its_trial_carries_the_edge(board: EdgeBoard) -> None:
    first, second = worker(), worker()
    assert shared_edge(first, NAME, lambda progress: EDGE) == EDGE
    assert first.user_attrs == {NAME: EDGE.to_dict()}
    assert shared_edge(second, NAME, never) == EDGE
    assert second.user_attrs == {}
    assert shared_edge(second, "lrsearch:edge:y", lambda progress: OTHER) == OTHER


def test_a_worker_waits_for_another_ones_edge(board: EdgeBoard, clock: Clock, monkeypatch) -> None:
    board.ask(NAME, "another")
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            board.put(NAME, OTHER.to_dict())

    monkeypatch.setattr(clock, "sleep", sleep)
    assert shared_edge(worker(), NAME, never) == OTHER
    assert len(naps) == 3


def test_a_worker_takes_over_from_a_dead_one(board: EdgeBoard, clock: Clock) -> None:
    board.ask(NAME, "another")
    begun = clock.now
    assert shared_edge(worker(), NAME, lambda progress: EDGE) == EDGE
    assert clock.now - begun >= LIFE


def test_progress_is_a_sign_of_life(board: EdgeBoard, clock: Clock) -> None:
    def measure(progress: Callable[[str], None]) -> Edge:
        for _ in range(5):
            clock.now += 0.6 * LIFE
            assert board.ask(NAME, "another") is False
            progress("a line")
        return EDGE

    assert shared_edge(worker(), NAME, measure) == EDGE


def test_two_that_measured_use_the_one_edge_that_stands(board: EdgeBoard) -> None:
    def measure(progress: Any) -> Edge:
        board.put(NAME, OTHER.to_dict())  # by one that was taken for dead
        return EDGE

    trial = worker()
    assert shared_edge(trial, NAME, measure) == OTHER
    assert trial.user_attrs == {NAME: OTHER.to_dict()}


@pytest.mark.parametrize("error", [CalibrationError, KeyboardInterrupt])
def test_who_cannot_measure_gives_up_its_claim(board: EdgeBoard, error: type) -> None:
    def measure(progress: Any) -> Edge:
        raise error("no rate trains")

    with pytest.raises(error):
        shared_edge(worker(), NAME, measure)
    assert board.ask(NAME, "another") is True


@pytest.mark.parametrize("own", [{"board": "gone"}, {"board": None}])
def test_without_a_board_every_trial_measures_for_itself(board: EdgeBoard, own) -> None:
    trial = worker(**own)
    assert shared_edge(trial, NAME, lambda progress: progress("line") or EDGE) == EDGE
    assert trial.user_attrs == {NAME: EDGE.to_dict()}
    assert shared_edge(RayTrial({}), NAME, lambda progress: OTHER) == OTHER


def test_a_board_whose_node_is_gone_costs_a_measurement(
    board: EdgeBoard, monkeypatch, caplog
) -> None:
    def get(answer: Any) -> Any:
        raise RayError("the actor died")

    monkeypatch.setattr(ray, "get", get)
    assert shared_edge(worker(), NAME, lambda progress: EDGE) == EDGE
    assert "cannot be asked for" in caplog.text
