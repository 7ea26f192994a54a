"""What is still to be gained, against studies whose best is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lrsearch.exceptions import UnsupportedError
from lrsearch.search import (
    FAMILY,
    MULTIPLIER,
    Engine,
    FinishedRun,
    Outlook,
    ScheduleSpace,
    TrialRecord,
    believed,
    earlier,
)
from lrsearch.search._finished import FEWEST

SPACE = ScheduleSpace(1000, families=("linear", "cosine"))


def played(n: int, seed: int, noise: float = 0.01, unit: float = 1.0) -> list[TrialRecord]:
    """A study on a noisy basin whose bottom is one octave above the edge."""
    rng, engine, records = np.random.default_rng(seed), Engine(SPACE, seed), []
    for number in range(n):
        values = engine.ask(number, records)
        loss = truth(values) + noise * rng.normal()
        records.append(
            TrialRecord(
                number=number, state="complete", parameters=values, values=(unit * float(loss),)
            )
        )
    return records


def truth(values: dict[str, float | str]) -> float:
    return 1 + 0.03 * (math.log2(float(values[MULTIPLIER])) - 1.0) ** 2


def look(records: list[TrialRecord]) -> Outlook | None:
    return Engine(SPACE, 0).outlook(records)


def run(multiplier: float, loss: float) -> FinishedRun:
    return FinishedRun(family="linear", multiplier=multiplier, values=(loss,))


def test_nothing_is_foretold_from_three_runs() -> None:
    assert look(played(3, 0)) is None
    assert look([]) is None


def test_it_falls_as_runs_are_added_and_is_about_right() -> None:
    first, later, left = [], [], []
    for seed in range(10):
        records = played(12, seed)
        early, late = look(records[:4]), look(records)
        assert early is not None
        assert late is not None
        assert late.runs == 12
        assert 0 <= late.ahead <= late.remaining < early.remaining + 0.005
        first.append(early.remaining)
        later.append(late.remaining)
        runs = [run(float(r.parameters[MULTIPLIER]), r.values[0]) for r in records]
        best = believed(runs)
        assert best is not None
        left.append(truth(dict(records[best].parameters)) - 1)
    assert np.mean(later) < 0.85 * np.mean(first)
    assert np.mean(left) < np.mean(later) < 0.02


def test_it_is_a_share_of_the_loss() -> None:
    one, thousand = look(played(6, 1)), look(played(6, 1, unit=1000.0))
    assert one is not None
    assert thousand is not None
    assert thousand.remaining == pytest.approx(one.remaining, rel=0.05)


def test_an_accuracy_has_a_share_too() -> None:
    # Maximised: 0.9 at its best, 0.02 less an octave away.
    records = [
        TrialRecord(
            number=i,
            state="complete",
            parameters={FAMILY: "linear", MULTIPLIER: 2.0**x},
            values=(-(0.9 - 0.02 * (x - 1) ** 2),),
        )
        for i, x in enumerate((-1.0, 0.0, 0.5, 1.0, 1.5))
    ]
    found = look(records)
    assert found is not None
    assert 0 <= found.remaining < 0.02


@pytest.mark.parametrize("values", [(0.0, 0.1, 0.2, 0.1), (0.0, 0.0, 0.0, 0.0)])
def test_a_best_value_of_nothing_is_no_division_by_it(values: tuple[float, ...]) -> None:
    records = [
        TrialRecord(
            number=i,
            state="complete",
            parameters={FAMILY: "linear", MULTIPLIER: 1.0 + 0.2 * i},
            values=(value,),
        )
        for i, value in enumerate(values)
    ]
    found = look(records)
    assert found is not None
    assert 0 <= found.ahead <= found.remaining < 1


def test_running_and_diverged_runs_do_not_break_it() -> None:
    records = played(6, 2)
    hot = {FAMILY: "linear", MULTIPLIER: 6.0}
    more = [
        TrialRecord(number=6, state="stopped", side="hot", parameters=hot),
        TrialRecord(number=7, state="running", parameters=hot),
        TrialRecord(number=8, state="complete", parameters=hot, values=(math.inf,)),
    ]
    found = look([*records, *more])
    assert found is not None
    assert found.runs == 6


def test_several_objectives_are_refused() -> None:
    records = [replace(r, values=(1.0, 2.0)) for r in played(4, 0)]
    with pytest.raises(UnsupportedError, match="one objective"):
        look(records)


def test_the_sentence_has_its_numbers() -> None:
    found = look(played(5, 0))
    assert found is not None
    assert f"{found.remaining:.1%}" in found.sentence()
    assert f"{found.ahead:.1%}" in found.sentence()


# ------------------------------------------------------------------ believed


def test_a_lucky_run_among_bad_neighbours_is_not_believed() -> None:
    octaves = [-2.0, -1.9, -1.8, -0.2, 0.0, 0.2]
    losses = [1.12, 0.995, 1.11, 1.0, 1.001, 1.002]
    at = believed([run(2.0**x, loss) for x, loss in zip(octaves, losses, strict=True)])
    assert at in (3, 4, 5)


def test_few_runs_are_not_enough_and_infinite_ones_do_not_count() -> None:
    runs = [run(1.0 + 0.1 * i, 1.0) for i in range(FEWEST)]
    assert believed(runs[:-1]) is None
    assert believed([run(0.9, math.nan), *runs[1:]]) is None
    assert believed([*runs, run(3.0, -math.inf)]) in range(FEWEST)


def test_earlier_studies_leave_less_to_be_gained() -> None:
    before = earlier([[run(2.0**x, 1 + 0.03 * (x - 1) ** 2) for x in (-1.0, 0.0, 0.5, 1.0, 2.0)]])
    records = played(4, 3)
    alone, after = look(records), Engine(SPACE, 0, before).outlook(records)
    assert alone is not None
    assert after is not None
    assert after.remaining < alone.remaining
