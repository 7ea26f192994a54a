"""`RayTrial`: a Tune trial, in its worker, as a space, an edge and a watch want to see it."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

from ray import tune

from lrsearch.exceptions import RunStopped, UnsupportedError
from lrsearch.integrations.optuna._attributes import VERDICT_KEY, plan_of, reading_key
from lrsearch.integrations.ray._record import CONFIG_KEY, RECORD_KEY, START_KEY, STEP_KEY
from lrsearch.schedules import get_family
from lrsearch.search import MULTIPLIER, PLAN_KEY, RATE_KEY, REQUEST_KEY, Plan
from lrsearch.stability import CONTINUE, Reading, Verdict, diverged

T = TypeVar("T")


class RayTrial:
    """One Tune trial: the point in its config, and the host of its watch.

    ``space.suggest(trial, edge)`` reads the point that the searcher chose: ours, or any of Tune's
    whose space has `param_space`. Every reading of a watch becomes one result of Tune (it counts in
    ``training_iteration``, carries ``lrsearch_step`` and no metric), so that the trial scheduler
    can stop the run there. A run that is no longer finite ends itself, under any trial scheduler.

    Args:
        config: What Tune gave the training function.
        resumed_from: Optimizer steps of the checkpoint that this attempt begins with.
    """

    def __init__(self, config: Mapping[str, Any], *, resumed_from: int = 0) -> None:
        self.config = config
        self.own: Mapping[str, Any] = config.get(CONFIG_KEY) or {}
        self.user_attrs: dict[str, Any] = {}
        self.step = resumed_from
        if (rate := self.own.get("rate")) is not None:
            self.user_attrs[RATE_KEY] = rate
        start = {"host": socket.gethostname(), "pid": os.getpid(), "step": resumed_from}
        self._pending: list[tuple[str, Any]] = [(START_KEY, start)]

    @property
    def leads(self) -> bool:
        """Whether this process speaks for its trial: always, but for later ranks of several."""
        return True

    def first(self, decide: Callable[[], T]) -> T:
        """What ``decide`` returns in the process that leads, in all of the trial's."""
        return decide()

    def checkpoint(self) -> tune.Checkpoint | None:
        """The checkpoint that this attempt is to go on from, where there is one."""
        return tune.get_checkpoint()

    @property
    def number(self) -> int | None:
        """Number in the study of our searcher; ``None`` under another searcher."""
        return self.own.get("number")

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The searcher's choice.

        Raises:
            UnsupportedError: If the config has none, or one outside the space.
        """
        value = self._value(name)
        if value not in choices:
            raise UnsupportedError(
                f"the config's {name} is {value!r}, and the space has {list(choices)}: build "
                "searcher (or param_space) and training function with the same ScheduleSpace."
            )
        return value

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """The searcher's number.

        Raises:
            UnsupportedError: If the config has none, or one outside the space.
        """
        if name == MULTIPLIER and REQUEST_KEY in self.user_attrs:
            return float(self.user_attrs[REQUEST_KEY])
        value = self._value(name)
        slack = 1e-9 * (high - low)
        known = name == MULTIPLIER and RATE_KEY in self.user_attrs
        if not known and not low - slack <= value <= high + slack:
            raise UnsupportedError(
                f"the config's {name} is {value!r}, outside [{low}, {high}]: build searcher (or "
                "param_space) and training function with the same ScheduleSpace."
            )
        return float(value)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep an attribute; it goes to the driver with the next result."""
        self.user_attrs[key] = value
        self._pending.append((key, value))

    @property
    def plan(self) -> Plan | None:
        """What the trial set out to do, once `ScheduleSpace.suggest` has said it."""
        return plan_of(self.user_attrs)

    @property
    def budget(self) -> int | None:
        """Budget of the trial's schedule."""
        return self.plan.budget if self.plan else None

    @property
    def peak(self) -> float | None:
        """Peak learning rate of the trial's schedule."""
        return self.plan.peak if self.plan else None

    @property
    def tuned(self) -> bool:
        """Whether a tuner sets the trial's learning rate, and its peak is nominal."""
        return self.plan is not None and get_family(self.plan.family).tuned

    def emit(self, reading: Reading) -> None:
        """Give a reading to the driver; where its trial scheduler stops the run, this ends it."""
        self.keep(reading)
        self.report({})

    def keep(self, reading: Reading) -> None:
        """Put a reading into the next result."""
        self.step = reading.step
        self._pending.append((reading_key(reading.step), reading.to_dict()))

    def decide(self, readings: Sequence[Reading]) -> Verdict:
        """Whether the run is no longer finite; everything else the trial scheduler has decided."""
        if not readings or readings[-1].finite:
            return CONTINUE
        return diverged(readings) or CONTINUE

    def stop(self, verdict: Verdict) -> None:
        """End the trial with its reason; does not return."""
        self.set_user_attr(VERDICT_KEY, verdict.to_dict())
        self.report({"done": True})
        raise RunStopped(verdict.reason)

    def report(self, metrics: Mapping[str, Any], *, checkpoint: Any = None) -> None:
        """``ray.tune.report`` with what has to be recorded, and the steps done so far.

        A number that is not finite is left out: NaN never reaches a searcher.

        Args:
            metrics: What Tune is to see, such as ``{"loss": 0.2}``.
            checkpoint: A `ray.tune.Checkpoint` that belongs to it.
        """
        tune.report(self.packed(metrics), checkpoint=checkpoint)

    def packed(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """A result of Tune: the finite metrics, the step, and what has not been recorded yet."""
        finite = {
            name: value
            for name, value in metrics.items()
            if not (isinstance(value, Real) and not math.isfinite(value))
        }
        record, self._pending = self._pending, []
        if metrics and self.plan is not None and PLAN_KEY not in dict(record):
            record = [*record, (PLAN_KEY, self.user_attrs[PLAN_KEY])]  # for `best_schedule`
        return {**finite, STEP_KEY: self.step, RECORD_KEY: tuple(record)}

    def _value(self, name: str) -> Any:
        if name not in self.config:
            raise UnsupportedError(
                f"the trial's config has no {name!r}: search with lrsearch.ray.EdgeSearcher(space, "
                "...), or put **lrsearch.ray.param_space(space) into Tune's param_space."
            )
        return self.config[name]
