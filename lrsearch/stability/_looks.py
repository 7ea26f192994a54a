"""Where in a run its averaged weights are compared with those of other runs: the same for all."""

from __future__ import annotations

from collections.abc import Iterable

from lrsearch.stability._reading import Reading

LOOKS = (0.05, 0.1, 0.2, 0.4)  # of the budget
SOONEST = 16  # steps: an average over fewer says nothing
FEWEST = 100  # steps of a run that is compared at all; those measured had 400 or more


def look_steps(budget: int | None) -> tuple[int, ...]:
    """Optimizer steps of a run's looks, in order; none of one that is too short or of no length."""
    if budget is None or budget < FEWEST:
        return ()
    return tuple(step for step in (round(share * budget) for share in LOOKS) if step >= SOONEST)


def looks_in(readings: Iterable[Reading]) -> dict[int, float]:
    """Annealed validation losses by the step of their look."""
    return {r.step: r.annealed_validation for r in readings if r.annealed_validation is not None}
