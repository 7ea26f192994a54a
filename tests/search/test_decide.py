"""The one decision: its order, and what it takes from the plan."""

from __future__ import annotations

from dataclasses import replace

from lrsearch.search import Plan, TrialRecord, decide
from lrsearch.stability import CONTINUE, Reading, below_edge, dead, diverged

PLAN = Plan(
    family="linear",
    multiplier=1.0,
    alignment=1.0,
    edge=0.5,
    edge_method="given",
    peak=0.5,
    budget=1000,
)


def run(**changes: object) -> list[Reading]:
    """Four readings to a quarter of the budget: loss at 90 %, rho 0.05."""
    common = {
        "learning_rate": 0.5,
        "budget": 1000,
        "loss": 1.8,
        "initial_loss": 2.0,
        "gradient_norm": 1.0,
        "sharpness": 0.2,
        "threshold": 2.0,
    }
    return [Reading(step=step, **common | changes) for step in (50, 100, 150, 200, 250)]


def collapsed(readings: list[Reading]) -> list[Reading]:
    return [*readings[:3], *(replace(r, gradient_norm=1e-4) for r in readings[3:])]


def test_nothing_to_say() -> None:
    assert decide([]) is CONTINUE
    assert decide(run(sharpness=2.0)) is CONTINUE
    assert decide(run(sharpness=2.0), plan=PLAN) is CONTINUE


def test_each_rule_is_asked() -> None:
    assert decide(run(loss=2.5, sharpness=2.0)).regime == "diverged"
    assert decide(collapsed(run(sharpness=2.0))).regime == "dead"
    assert decide(run()).regime == "below the edge"


def test_the_order_of_the_rules() -> None:
    dead_and_cold = collapsed(run())
    assert dead(dead_and_cold) is not None
    assert below_edge(dead_and_cold) is not None
    assert decide(dead_and_cold) == dead(dead_and_cold)
    all_three = [replace(r, loss=2.5) for r in dead_and_cold]
    assert all(rule(all_three) is not None for rule in (diverged, dead, below_edge))
    assert decide(all_three) == diverged(all_three)


def test_the_plan_fills_in_the_budget() -> None:
    unknown = run(budget=None)
    assert decide(unknown) is CONTINUE
    assert decide(unknown, plan=PLAN) == decide(run(peak=0.5))
    assert decide(unknown, plan=replace(PLAN, budget=10_000)) is CONTINUE  # still in its grace


def test_the_plan_fills_in_the_peak_alone() -> None:
    # At the peak of 5 the rho of 0.05 seen at a rate of 0.5 is 0.5: not cold.
    hot = replace(PLAN, peak=5.0)
    assert decide(run(), plan=hot) is CONTINUE
    assert decide(run(budget=None), plan=hot) is CONTINUE


def test_the_plan_overrides_nothing() -> None:
    other = replace(PLAN, budget=100_000, peak=5.0)
    assert decide(run(peak=0.5), plan=other) == decide(run(peak=0.5))
    assert decide(run(budget=None, peak=0.5), plan=PLAN) == decide(run(peak=0.5))
    kept = run(budget=None, peak=5.0)
    assert decide(kept, plan=PLAN) is CONTINUE


def test_peers_do_not_change_the_verdict() -> None:
    peers = [TrialRecord(number=i, state="complete", values=(0.0,)) for i in range(5)]
    assert decide(run(), peers) == decide(run())
    assert decide(run(sharpness=2.0), peers) is CONTINUE
