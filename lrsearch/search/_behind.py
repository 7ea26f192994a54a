"""A run that is so far behind the best finished one that it will not catch up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lrsearch.search._forecast import forecast
from lrsearch.search._records import TrialRecord, ranked
from lrsearch.stability import Reading, Verdict

# Deviations that the expected end lies above the best run's. Chosen on the development tables of
# studies/search_efficiency, for about 2 % of wrong stops there.
CERTAIN = 0.4
# Runs that must have finished, and runs in a row that may be stopped: then one goes to its end.
# Else one lucky run could stop all others, and nothing would ever contradict the forecast.
FEWEST, MOST = 3, 5


def behind(readings: Sequence[Reading], peers: Sequence[TrialRecord]) -> Verdict | None:
    """Whether a look at a run says that it will end behind the best finished one.

    Runs are compared as if they had been annealed at that step (`forecast`). Between looks, with
    fewer than three finished runs that were looked at there, or when five runs in a row have been
    stopped for this, nothing is said.

    Args:
        readings: Of the run.
        peers: Finished runs with their looks, the best ones at least, and the runs that were
            stopped for being behind since the last one finished.
    """
    if not readings:
        return None
    step, progress = readings[-1].step, readings[-1].progress
    loss = readings[-1].annealed_validation
    if loss is None or not progress:
        return None
    seen = [p for p in ranked(peers) if step in p.looks]
    waiting = sum(p.state == "stopped" for p in peers)
    if len(seen) < FEWEST or waiting >= MOST:
        return None
    ahead = forecast(progress, loss, [(p.values[0], p.looks[step]) for p in seen])
    if ahead.lag <= CERTAIN * ahead.deviation:
        return None
    best = seen[0]
    return Verdict(
        stop=True,
        regime="behind",
        step=step,
        reason=f"behind: annealed at step {step} ({progress:.0%} of the budget) it would give "
        f"{loss:.3g} (trial {best.number}, which ended best, gave {best.looks[step]:.3g}); it is "
        f"expected to end {math.expm1(ahead.lag):.0%} above it, by {len(seen)} finished trials "
        f"(deviation {math.expm1(ahead.deviation):.0%})",
        trend={
            "annealed_validation": loss,
            "best_then": best.looks[step],
            "lag": ahead.lag,
            "deviation": ahead.deviation,
        },
    )
