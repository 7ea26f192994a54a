"""The one function that every host calls: does this run go on?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lrsearch.search._behind import behind
from lrsearch.search._plan import Plan
from lrsearch.search._records import TrialRecord
from lrsearch.stability import CONTINUE, Reading, Verdict, below_edge, dead, diverged

RULES = (diverged, dead, below_edge)


def decide(
    readings: Sequence[Reading],
    peers: Sequence[TrialRecord] = (),
    plan: Plan | None = None,
) -> Verdict:
    """Judge a run from its readings.

    Cheap and pure: a median and a slope over at most a hundred readings.

    Args:
        readings: The run's readings in order of their steps.
        peers: Finished trials of the study with their looks, the best ones at least. Without them a
            run is judged alone. Losses of unannealed runs are never compared: that loses winners.
        plan: What the run set out to do; a budget or peak missing in the readings is taken from it.

    Returns:
        The first rule's verdict that stops the run, or `CONTINUE`.
    """
    if plan is not None:
        readings = [_completed(reading, plan) for reading in readings]
    for rule in RULES:
        verdict = rule(readings)
        if verdict is not None:
            return verdict
    return behind(readings, peers) or CONTINUE


def _completed(reading: Reading, plan: Plan) -> Reading:
    if reading.budget is not None and (reading.peak is not None or reading.tuned):
        return reading
    budget = plan.budget if reading.budget is None else reading.budget
    peak = plan.peak if reading.peak is None and not reading.tuned else reading.peak
    return replace(reading, budget=budget, peak=peak)
