"""Edges shared by the workers of one Tune experiment: each key is measured once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import ray
from ray.exceptions import RayError

from lrsearch.integrations.ray._trial import RayTrial
from lrsearch.stability import Edge

logger = logging.getLogger("lrsearch")

LIFE = 120.0  # seconds without a sign of life after which another worker may measure
PAUSE = 0.2  # seconds between two questions of a worker that waits

Progress = Callable[[str], None]


class EdgeBoard:
    """Who measures which edge, and what came of it. Runs as one small actor."""

    def __init__(self, known: Mapping[str, Any], life: float = LIFE) -> None:
        self._known = dict(known)
        self._claims: dict[str, tuple[str, float]] = {}
        self._life = life

    def ask(self, name: str, token: str) -> dict[str, Any] | bool:
        """The edge; or whether the asking worker is to measure it (else: wait, ask again)."""
        if name in self._known:
            found: dict[str, Any] = self._known[name]
            return found
        holder, expires = self._claims.get(name, (token, 0.0))
        if holder != token and time.monotonic() < expires:
            return False
        self.renew(name, token)
        return True

    def renew(self, name: str, token: str) -> None:
        """A sign of life of the worker that measures."""
        self._claims[name] = (token, time.monotonic() + self._life)

    def give_up(self, name: str, token: str) -> None:
        """The worker could not measure: the next one may try."""
        if self._claims.get(name, ("",))[0] == token:
            del self._claims[name]

    def put(self, name: str, edge: dict[str, Any]) -> dict[str, Any]:
        """Store an edge, unless one is there; the one that stands."""
        found: dict[str, Any] = self._known.setdefault(name, edge)
        return found


def open_board(name: str, known: Mapping[str, Any]) -> Any:
    """The board of an experiment, for its driver: it lives as long as the handle is kept."""
    actor = ray.remote(num_cpus=0, max_restarts=-1)(EdgeBoard)
    return actor.options(name=name, get_if_exists=True).remote(dict(known))


def shared_edge(trial: RayTrial, name: str, measure: Callable[[Progress], Edge]) -> Edge:
    """The edge under this name: known, measured by another worker, or measured here.

    Where there is no board (another searcher than ours) every trial measures its own.
    """
    if (fixed := trial.own.get("edge")) is not None:
        return Edge.from_dict(fixed)
    if (known := (trial.own.get("edges") or {}).get(name)) is not None:
        return Edge.from_dict(known)
    board = _board_of(trial)
    token = uuid4().hex
    if board is None:
        return _kept(trial, name, measure(lambda line: None))
    try:
        while isinstance(answer := ray.get(board.ask.remote(name, token)), bool):
            if answer:
                return _measured(trial, board, name, token, measure)
            time.sleep(PAUSE)
    except RayError as error:  # its node is gone
        logger.warning("the edges of this experiment cannot be asked for (%s): measuring", error)
        return _kept(trial, name, measure(lambda line: None))
    return Edge.from_dict(answer)


def _measured(
    trial: RayTrial, board: Any, name: str, token: str, measure: Callable[[Progress], Edge]
) -> Edge:
    def alive(line: str) -> None:
        board.renew.remote(name, token)

    try:
        found = measure(alive)
    except BaseException:
        board.give_up.remote(name, token)
        raise
    return _kept(trial, name, Edge.from_dict(ray.get(board.put.remote(name, found.to_dict()))))


def _kept(trial: RayTrial, name: str, edge: Edge) -> Edge:
    trial.set_user_attr(name, edge.to_dict())
    return edge


def _board_of(trial: RayTrial) -> Any:
    name = trial.own.get("board")
    if name is None:
        return None
    try:
        return ray.get_actor(name)
    except ValueError:
        return None
