"""Studies to draw: written as a watch and a sweep would have, without training anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from lrsearch.integrations.optuna import (
    COST_KEY,
    ERROR_KEY,
    VERDICT_KEY,
    cost_of,
    edge_key,
    store_edge,
)
from lrsearch.search import PLAN_KEY, Plan
from lrsearch.stability import Edge, Reading, Verdict

BUDGET = 200
EDGE = Edge(
    learning_rate=0.1,
    uncertainty=1.0,
    method="annealed runs, weighed",
    optimizer="SGD",
    usual_rate=0.02,
    proxy_rate=0.25,
    proxy_steps=40,
    cost=100.0,
    trace=((0.04, 2.0), (0.16, 1.0), (0.64, 0.5), (2.56, None)),
)


def plan(multiplier: float, family: str) -> Plan:
    return Plan(
        family=family, multiplier=multiplier, alignment=1.0, edge=0.1, edge_method="known",
        peak=0.1 * multiplier, budget=BUDGET,
    )  # fmt: skip


def readings_at(rho: float, *, steps: int = BUDGET, look: float = 0.5) -> list[Reading]:
    """A run that holds this normalised sharpness at a constant rate."""
    return [
        Reading(
            step=step, budget=BUDGET, learning_rate=0.1, peak=0.1, threshold=2.0,
            sharpness=20.0 * rho, loss=2.0 * 0.98**step, initial_loss=2.0, gradient_norm=1.0,
            update_norm=0.1, annealed_loss=look,
            annealed_validation=look if step in (20, 40, 80) else None,
        )
        for step in range(10, steps + 1, 10)
    ]  # fmt: skip


def stop(regime: Any, step: int) -> Verdict:
    return Verdict(stop=True, regime=regime, step=step, reason=f"{regime}: at step {step}")


class Book:
    """A study that is written by hand."""

    readings = staticmethod(readings_at)
    edge = EDGE

    def __init__(self, name: str = "book", **options: Any) -> None:
        self.study = optuna.create_study(study_name=name, **options)

    def add(
        self,
        value: float | list[float] | None,
        multiplier: float | None = 1.0,
        *,
        family: str = "cosine",
        seen: list[Reading] | None = None,
        verdict: Verdict | None = None,
        error: str | None = None,
    ) -> None:
        trial = self.study.ask()
        if multiplier is not None:
            trial.set_user_attr(PLAN_KEY, plan(multiplier, family).to_dict())
        for reading in seen or ():
            trial.set_user_attr(f"lrsearch:reading:{reading.step:010d}", reading.to_dict())
        trial.set_user_attr(COST_KEY, cost_of(verdict.step if verdict else BUDGET, 0.0))
        state = TrialState.COMPLETE
        if verdict is not None:
            trial.set_user_attr(VERDICT_KEY, verdict.to_dict())
            state = TrialState.PRUNED
        elif error is not None:
            trial.set_user_attr(ERROR_KEY, error)
            state = TrialState.FAIL
        self.study.tell(trial, value, state)

    def calibrated(self, edge: Edge = EDGE, key: Any = "curve") -> None:
        store_edge(self.study, edge_key(key, ""), edge)


@pytest.fixture
def make_book() -> Callable[..., Book]:
    return Book


@pytest.fixture(scope="module")
def book() -> Book:
    """Two trials below the edge, three at it, and one for each way to end without a value."""
    made = Book()
    made.calibrated()
    made.add(0.9, 1 / 8, seen=readings_at(0.1, look=1.5))
    made.add(0.8, 1 / 4, family="linear", seen=readings_at(0.2, look=1.2))
    made.add(0.3, 1 / 2, family="linear", seen=readings_at(0.8, look=0.9))
    made.add(0.2, 1.0, seen=readings_at(1.0, look=0.4))
    made.add(0.4, 2.0, family="wsd", seen=readings_at(1.5, look=0.6))
    made.add(None, 8.0, family="wsd", seen=readings_at(1.0, steps=40), verdict=stop("diverged", 40))
    made.add(None, 1 / 8, seen=readings_at(0.05, steps=60), verdict=stop("below the edge", 60))
    made.add(None, 1.5, verdict=stop("behind", 80))
    made.add(None, 1.0, error="ValueError: a <b>bad</b> trial")
    return made
