"""What a trial scheduler remembers of trials that ended, for others to be compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from lrsearch.integrations.optuna._attributes import PEERS
from lrsearch.integrations.ray._record import CONFIG_KEY, step_of
from lrsearch.search import Plan, TrialRecord, ranked
from lrsearch.stability import Reading, Verdict, looks_in


class Peers:
    """The best trials that came to the end of their budget and were looked at on the way."""

    def __init__(self) -> None:
        self._best: list[TrialRecord] = []
        self._since: list[TrialRecord] = []
        self._count = 0

    def known(self) -> Sequence[TrialRecord]:
        """Those trials, and those stopped as behind since the last, as `decide` takes them."""
        return [*self._best, *self._since]

    def stopped(self, verdict: Verdict) -> None:
        """Take a trial that our rules stop into account."""
        if verdict.regime == "behind":
            self._since.append(TrialRecord(number=self._count, state="stopped"))

    def ended(
        self,
        config: Mapping[str, Any],
        result: Mapping[str, Any],
        readings: Sequence[Reading],
        plan: Plan | None,
        metric: str | None,
        mode: str | None,
    ) -> None:
        """Take a trial that ended into account.

        Args:
            config: The trial's.
            result: Its last result.
            readings: All of them.
            plan: What it set out to do; a trial that stopped short of it does not count.
            metric: Name of the objective.
            mode: "min" or "max".
        """
        place, self._count = self._count, self._count + 1
        value, looks = result.get(metric) if metric else None, looks_in(readings)
        if not (isinstance(value, Real) and math.isfinite(value) and looks):
            return
        if plan is None or (step_of(result) or readings[-1].step) < plan.budget:
            return
        objective = -float(value) if mode == "max" else float(value)
        number = (config.get(CONFIG_KEY) or {}).get("number", place)
        one = TrialRecord(number=int(number), state="complete", values=(objective,), looks=looks)
        self._since = []
        self._best = ranked([*self._best, one])[:PEERS]
