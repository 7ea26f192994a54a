"""A run that is so far behind the best finished one that it will not catch up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lrsearch.search._forecast import lag_left
from lrsearch.search._records import TrialRecord, ranked
from lrsearch.stability import Reading, Verdict

# Deviations that the expected end lies above the best run's. Chosen on the development tables of
# studies/search_efficiency, as the most that is saved at 2 % of wrong stops and less.
CERTAIN = 0.5


def behind(readings: Sequence[Reading], peers: Sequence[TrialRecord]) -> Verdict | None:
    """Whether the last look at a run says that it will end behind the best finished one.

    Both are compared as if they had been annealed at that step (`lag_left`). Without a look, or a
    finished run that was looked at there, nothing is said.
    """
    looks = [r for r in readings if r.annealed_validation is not None]
    if not looks or not looks[-1].progress:
        return None
    step, progress, loss = looks[-1].step, looks[-1].progress, looks[-1].annealed_validation
    best = next((p for p in ranked(peers) if step in p.looks), None)
    if best is None or loss is None:
        return None
    lag, deviation = lag_left(progress, math.log(loss / best.looks[step]))
    if lag <= CERTAIN * deviation:
        return None
    return Verdict(
        stop=True,
        regime="behind",
        step=readings[-1].step,
        reason=f"behind: annealed at step {step} ({progress:.0%} of the budget) it would give "
        f"{loss:.3g}, where trial {best.number}, which ended best, gave {best.looks[step]:.3g}; "
        f"at the end it is expected to be {math.expm1(lag):.0%} worse (deviation "
        f"{math.expm1(deviation):.0%})",
        trend={
            "annealed_validation": loss,
            "best_then": best.looks[step],
            "lag_left": lag,
            "deviation": deviation,
        },
    )
