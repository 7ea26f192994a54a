"""Servers that can be stopped, and what a study must look like after all that."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from lrsearch.integrations.optuna import ATTEMPTS_KEY, COST_KEY, ERROR_KEY
from lrsearch.sweeps import open_storage, open_study

CALIBRATION = 1e-3  # the rate that a calibration makes its optimizer with


def _load(name: str) -> Any:
    """A module beside this file: pytest's importlib mode puts no folder on the path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    module = _load("postgresql")
    where = module.binaries()
    if where is None:
        pytest.skip("needs PostgreSQL's server (initdb, pg_ctl)")
    server = module.PostgreSQL(where)
    try:
        yield server.begin()
    finally:
        server.end()


@pytest.fixture
def free_port() -> int:
    return int(_load("postgresql").free_port())


class Accounts:
    """Compares what a study says with what the processes have really trained.

    Args:
        url: The study's storage.
        shells: Where the commands ran; one a machine.
    """

    def __init__(self, url: str, *shells: Any) -> None:
        self.url, self.shells = url, shells
        self.storage: Any = None

    @property
    def study(self) -> optuna.Study:
        self.storage = self.storage or open_storage(self.url, create=False)
        return open_study(self.storage, "curve-40")

    def close(self) -> None:
        inner = getattr(self.storage, "inner", None)
        if hasattr(inner, "close"):
            inner.close()
        elif inner is not None:
            inner.remove_session()
            inner._backend.engine.dispose()

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return self.study.get_trials()

    def log(self) -> list[tuple[int, float, int]]:
        return [entry for shell in self.shells for entry in shell.log()]

    def trained(self) -> list[tuple[int, float, int]]:
        return [entry for entry in self.log() if entry[1] != CALIBRATION]

    def calibrated(self) -> set[int]:
        return {pid for pid, rate, _ in self.log() if rate == CALIBRATION}

    def check(self, *, trials: int | range, killed: int = 0) -> None:
        """Every trial has ended, was trained once, and says by whom.

        Args:
            trials: How many there must be.
            killed: Processes that died in a trial.
        """
        found = self.trials
        wanted = trials if isinstance(trials, range) else range(trials, trials + 1)
        assert len(found) in wanted
        assert [t.number for t in found] == list(range(len(found)))
        assert [t.user_attrs.get(ERROR_KEY) for t in found if t.state.name == "FAIL"] == []
        assert {t.state.name for t in found} <= {"COMPLETE", "PRUNED"}
        starts = [start for t in found for start in t.user_attrs[ATTEMPTS_KEY]]
        assert len(starts) == len(found) + killed
        assert Counter(s["pid"] for s in starts) == Counter(pid for pid, *_ in self.trained())
        whole = [
            int(t.user_attrs[COST_KEY]["steps"])
            for t in found
            if len(t.user_attrs[ATTEMPTS_KEY]) == 1
        ]
        assert not Counter(whole) - Counter(steps for *_, steps in self.trained())
        assert len(self.calibrated()) == 1  # the edge is measured once
        edges = [n for n in self.study.user_attrs if n.startswith("lrsearch:edge:")]
        assert len(edges) == 1


@pytest.fixture
def accounts() -> Iterator[Callable[..., Accounts]]:
    made: list[Accounts] = []

    def make(url: str, *shells: Any) -> Accounts:
        made.append(Accounts(url, *shells))
        return made[-1]

    yield make
    for each in made:
        each.close()
