"""When to probe: a fixed share of the run's cost, densest at its beginning.

With a known budget T the i-th of n probes stands at ``T (i / n)^2``: half of them fall into the
first quarter, where a run can still be saved its cost. Without one, probes stand at doubling
steps until the share pays for one every ``cost / share`` steps.
"""

from __future__ import annotations

import math

# A verdict at a quarter of the budget wants three readings past the first tenth; twelve probes at
# squared positions give them. Runs too short to pay for twelve with their share take them all the
# same.
FLOOR = 12
CEILING = 100  # a storage write each; more would tell no more
FIRST = 8  # the first losses, whose median is the run's start


def probe_steps(budget: int, share: float, cost: float) -> list[int]:
    """Steps at which to probe a run of ``budget`` steps when one probe costs ``cost`` gradients."""
    affordable = int(share * budget / cost)
    n = min(max(affordable, FLOOR), CEILING)
    steps = {max(1, round(budget * (i / n) ** 2)) for i in range(1, n + 1)}
    return sorted(s for s in steps if s >= min(FIRST, budget))


def next_probe(step: int, share: float, cost: float) -> int:
    """The probe after one at ``step`` when the budget is not known."""
    return step + max(1, min(step, math.ceil(cost / share)))
