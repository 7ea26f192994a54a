"""One trial's story: what it set out to do, what it was doing when, and why it ended."""

from __future__ import annotations

from typing import Any

import optuna

from lrsearch.exceptions import StudyMismatchError
from lrsearch.integrations.optuna import readings_of
from lrsearch.stability import phases
from lrsearch.sweeps._leaderboard import row_of


def story(study: optuna.Study, number: int) -> dict[str, Any]:
    """A trial as plain data: ``row`` of the leaderboard, ``phases`` and ``readings``.

    A phase has ``step`` (its last), ``regime``, ``reason`` (one sentence) and ``trend``.

    Raises:
        StudyMismatchError: If there is no such trial.
    """
    trials = study.get_trials(deepcopy=False)
    found = next((t for t in trials if t.number == number), None)
    if found is None:
        raise StudyMismatchError(
            f"study {study.study_name!r} has no trial {number}; its numbers end at "
            f"{len(trials) - 1}."
        )
    readings = readings_of(found.user_attrs)
    return {
        "row": row_of(found),
        "phases": [verdict.to_dict() for verdict in phases(readings)],
        "readings": [reading.to_dict() for reading in readings],
    }


def sentences(told: dict[str, Any], metric: str) -> list[str]:
    """A story for people, a line each."""
    row, seen = told["row"], len(told["readings"])
    lines = [f"trial {row['trial']}: {row['state']}, {metric} {_number(row['metric'])}"]
    if row["peak"] is not None:
        shape = f" ({row['shape']})" if row["shape"] else ""
        lines.append(
            f"{row['family']}{shape}, peak learning rate {row['peak']:.4g} = "
            f"{row['multiplier']:.3g} x alignment {row['alignment']:.3g} x edge {row['edge']:.4g}"
        )
    lines.append(f"{row['steps']} steps, {row['cost']:.2f} full runs, {seen} readings")
    lines += [f"  to step {p['step']}: {p['reason']}" for p in told["phases"]]
    if seen and not told["phases"]:
        lines.append("  the readings are too few to say what it was doing")
    return [*lines, f"end: {row['reason']}"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"
