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

    Where there is no board (another searcher than ours) every trial measures its own. Several ranks
    of one trial all call it: the first asks, all of them measure together.
    """
    if (fixed := trial.own.get("edge")) is not None:
        return Edge.from_dict(fixed)
    board = _board_of(trial) if trial.leads else None
    token = uuid4().hex

    def ask() -> dict[str, Any] | None:
        try:
            while board is not None:
                answer = ray.get(board.ask.remote(name, token))
                if not isinstance(answer, bool):
                    return dict(answer)
                if answer:
                    return None
                time.sleep(PAUSE)
        except RayError as error:  # its node is gone
            logger.warning("the edges of this experiment cannot be asked for: %s", error)
        return None

    def alive(line: str) -> None:
        if board is not None:
            board.renew.remote(name, token)

    known = trial.first(ask)
    if known is None:
        try:
            found = measure(alive)
        except BaseException:
            if board is not None:
                board.give_up.remote(name, token)
            raise
        known = trial.first(lambda: _put(board, name, found.to_dict()))
        trial.set_user_attr(name, known)
    return Edge.from_dict(known)


def _put(board: Any, name: str, edge: dict[str, Any]) -> dict[str, Any]:
    try:
        return edge if board is None else dict(ray.get(board.put.remote(name, edge)))
    except RayError:
        return edge


def _board_of(trial: RayTrial) -> Any:
    name = trial.own.get("board")
    if name is None:
        return None
    try:
        return ray.get_actor(name)
    except ValueError:
        return None
