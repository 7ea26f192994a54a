"""When to probe: a fixed share of the run's cost, densest at its beginning and near an event.

With a known budget T the i-th of n probes stands at ``T (i / n)^2``: half of them fall into the
first quarter, where a run can still be saved its cost. A quarter of what the share pays for is
held back for events. Without a budget, probes stand at doubling steps until the share pays for one
every ``cost / share`` steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

# A verdict at a quarter of the budget wants three readings past the first tenth; twelve probes at
# squared positions give them. Runs too short to pay for twelve with their share take them all the
# same.
FLOOR = 12
CEILING = 100  # a storage write each; more would tell no more
FIRST = 8  # the first losses, whose median is the run's start
RESERVE = 4  # one in this many affordable probes waits for an event
FEWEST = 6  # eigenvalue readings that are worth beginning with
SPACING = 4  # without a budget, probes from one eigenvalue reading to the next


def squared(budget: int, n: int) -> list[int]:
    """Up to ``n`` steps of a run, at ``budget (i / n)^2``; none within the first losses."""
    steps = {max(1, round(budget * (i / n) ** 2)) for i in range(1, n + 1)}
    return sorted(s for s in steps if s >= min(FIRST, budget))


def moved(planned: list[int], looks: Sequence[int]) -> list[int]:
    """The plan with the probe nearest to each look moved there."""
    free = list(planned)
    for look in looks:
        if free:
            free.remove(min(free, key=lambda step: (abs(step - look), step)))
    return sorted({*free, *looks})


def next_probe(step: int, share: float, cost: float) -> int:
    """The probe after one at ``step`` when the budget is not known."""
    return step + max(1, min(step, math.ceil(cost / share)))


class Cadence:
    """Plans probes, some of them with an eigenvalue reading, within a share of the run's cost.

    Args:
        budget: Optimizer steps of the run, if known.
        share: Share of its cost, in gradients, that probes may take.
        probe: Cost of a probe.
        top: Cost of an eigenvalue reading on top of it; 0 for none.
        cold: What the first of these costs more than the others.
        looks: Steps at which there must be a probe.
    """

    def __init__(
        self,
        budget: int | None,
        share: float,
        probe: float,
        top: float,
        cold: float = 0.0,
        looks: Sequence[int] = (),
    ) -> None:
        self.budget, self.share, self.probe, self.top = budget, share, probe, top
        self.reserve = 0
        self.every = 0  # an eigenvalue reading at every so many probes; 0 for never
        self.planned: list[int] = []
        self.next = 1
        self.count = 0
        if budget is None:
            self.every = SPACING if top else 0
            return
        pay = share * budget
        if top and pay >= FLOOR * probe + FEWEST * top + cold:
            n = min(int(pay / 2 / probe), int((pay - FEWEST * top - cold) / probe))
            n = min(max(n, FLOOR), CEILING)
            tops = int((pay - n * probe - cold) / top)
        else:
            n, tops = min(max(int(pay / probe), FLOOR), CEILING), 0
        self.reserve = max(0, min(n // RESERVE, n - FLOOR))
        regular = n - self.reserve
        self.planned = moved(squared(budget, regular), looks)
        self.every = max(1, regular // tops) if tops else 0
        self.next = self.planned[0]

    def wants_top(self, cost: float) -> bool:
        """Whether this probe is to read the eigenvalue, ``cost`` gradients having been spent."""
        if not self.every or self.count % self.every:
            return False
        if self.budget is None:
            return True
        left = len(self.planned) + self.reserve  # what the probes to come will take
        return cost + self.top + left * self.probe <= self.share * self.budget

    def done(self, step: int, event: bool) -> None:
        """Plan the probe after one at ``step``; -1 if there is none."""
        self.count += 1
        if self.budget is None:
            cost = self.probe + (self.top / self.every if self.every else 0.0)
            self.next = next_probe(step, self.share, cost)
            return
        self.planned = [s for s in self.planned if s > step]
        regular = self.planned[0] if self.planned else -1
        halfway = (step + regular) // 2
        if event and self.reserve and halfway > step:
            self.reserve -= 1
            regular = halfway
        self.next = regular

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in ("next", "reserve", "count", "planned")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        for name in ("next", "reserve", "count", "planned"):
            setattr(self, name, state[name])
