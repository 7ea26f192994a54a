"""What the tests of Ray's host share: `tune.report` without a running Ray."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("ray")
import ray
from ray import tune

from lrsearch.integrations.ray import _searcher as searcher_module


@pytest.fixture(autouse=True)
def no_cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray starts by itself at the first call of an actor: not behind a test's back."""

    def init(*_: Any, **__: Any) -> None:
        raise AssertionError("this test would start a Ray cluster")

    if not request.node.get_closest_marker("distributed"):
        monkeypatch.setattr(ray, "init", init)


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every result that the test reports, with its checkpoint where it has one."""
    told: list[dict[str, Any]] = []

    def report(metrics: dict[str, Any], *, checkpoint: Any = None) -> None:
        told.append(metrics if checkpoint is None else metrics | {"checkpoint": checkpoint})

    monkeypatch.setattr(tune, "report", report)
    return told


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """No actors: the names of the boards that were opened, and what they were told."""
    opened: list[tuple[str, dict[str, Any]]] = []

    def open_board(name: str, known: dict[str, Any]) -> str:
        opened.append((name, known))
        return name

    monkeypatch.setattr(searcher_module, "open_board", open_board)
    return opened
