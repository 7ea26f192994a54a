"""The schedule: a frozen description that is also a function from the step to the learning rate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from lrsearch.exceptions import DocumentError, InvalidScheduleError
from lrsearch.schedules import _document
from lrsearch.schedules._checks import LARGEST_STEP, finite_number, show, whole_number
from lrsearch.schedules._document import JSON
from lrsearch.schedules._family import FloatArray, Span
from lrsearch.schedules._mapping import FrozenMapping
from lrsearch.schedules._registry import get_family

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lrsearch.schedules._torch import ScheduleLR


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule over a budget of optimizer steps.

    With `T` the budget and `W` the warm-up, the update number `step` (from 0) uses

        step < W:        peak * (step + 1) / (W + 1)
        W <= step < T:   end + (peak - end) * shape(x),   x = (step - W) / (T - W)
        step >= T:       end + (peak - end) * shape(1)

    The warm-up is never zero and reaches exactly the peak at step `W`. The shape ends at step `T`
    (not `T - 1`), one step after the last update, as torch's own schedulers do:
    `CosineAnnealingLR(T_max=T)`, `LinearLR(start_factor=1, end_factor=0, total_iters=T)`. So the
    last update still moves. The families:

        constant  1; never leaves the peak, `end_value` has no effect
        linear    1 - x
        cosine    (1 + cos(pi x)) / 2
        wsd       1, then `1 - z` or `1 - sqrt(z)` over the last `N = round(cooldown * T)` steps,
                  `z = (step - (T - N)) / N`; at least one step
        uba       1 / (1 + (phi / 2) tan(pi x / 2)^2); `phi = 0` never leaves the peak

    Papers: wsd arXiv 2405.18392, uba arXiv 2505.24452.

    Attributes:
        family: One of `families()`.
        peak: Largest learning rate; finite, above 0.
        budget: Optimizer steps; at least 1.
        parameters: Shape parameters of the family, completed with its defaults; read-only.
        warmup_steps: Optimizer steps of linear warm-up; 0 <= W < T.
        end_value: Learning rate at step T; 0 <= end < peak.
        provenance: Where it comes from (study, trial, edge, multiplier, ...), as JSON values;
            carried along, no part of equality.

    Raises:
        InvalidScheduleError: If a value makes no sense; the message names it.
    """

    family: str
    peak: float
    budget: int
    parameters: Mapping[str, float | str] = field(default_factory=dict)
    warmup_steps: int = 0
    end_value: float = 0.0
    provenance: Mapping[str, JSON] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        family = get_family(self.family)
        peak = finite_number("peak", self.peak)
        if peak <= 0.0:
            raise InvalidScheduleError(f"peak must be above 0, got {show(self.peak)}")
        budget = whole_number(
            "budget", self.budget, low=1, high=LARGEST_STEP, hint="it counts optimizer steps"
        )
        warmup_steps = whole_number(
            "warmup_steps",
            self.warmup_steps,
            low=0,
            high=budget - 1,
            hint=f"the warm-up must be shorter than the budget of {budget} steps",
        )
        end_value = finite_number("end_value", self.end_value)
        if not 0.0 <= end_value < peak:
            raise InvalidScheduleError(
                f"end_value must be >= 0 and below the peak of {peak}, got {show(self.end_value)}"
            )
        for name in ("parameters", "provenance"):
            if not isinstance(getattr(self, name), Mapping):
                raise InvalidScheduleError(
                    f"{name} must be a mapping of names to values, got {show(getattr(self, name))}"
                )
        parameters = family.complete(self.parameters)
        room = family.room(budget, parameters)
        if warmup_steps + room > budget:
            raise InvalidScheduleError(
                f"schedule family {self.family!r} with {dict(parameters)} needs {room} of "
                f"{budget} steps after the warm-up, but warmup_steps = {warmup_steps} leaves "
                f"{budget - warmup_steps}; shorten one of them"
            )
        completed = {
            "family": family.name,
            "peak": peak,
            "budget": budget,
            "parameters": parameters,
            "warmup_steps": warmup_steps,
            "end_value": end_value,
            "provenance": FrozenMapping(self.provenance),
        }
        for name, value in completed.items():
            object.__setattr__(self, name, value)

    def __call__(self, step: int) -> float:
        """Return the learning rate of update `step` (0, 1, ...); from the budget on it holds.

        Raises:
            InvalidScheduleError: If the step is negative or no whole number.
        """
        whole = min(whole_number("step", step, low=0), self.budget)
        return float(self._at(np.array([float(whole)]))[0])

    def values(self) -> FloatArray:
        """Return the learning rates of all updates, shape `(budget,)`, bit for bit as called."""
        return self._at(np.arange(self.budget, dtype=np.float64))

    def factor(self, step: int) -> float:
        """Return `value(step) / peak`, warm-up and end included; dimensionless."""
        return self(step) / self.peak

    @property
    def mean_factor(self) -> float:
        """Mean of the shape over the steps after the warm-up, for an end of 0; dimensionless.

        In closed form, as the integral over `x`: constant 1, linear and cosine 1/2, wsd
        `1 - c/2` (linear) or `1 - 2c/3` (1-sqrt) with `c = N / (T - W)`, uba
        `1 / (1 + sqrt(phi / 2))`. The mean over whole steps differs by at most `1 / (T - W)`.
        """
        return get_family(self.family).mean(self._span, self.parameters)

    def rescale(self, budget: int) -> Schedule:
        """Return the same shape over another budget.

        The warm-up keeps its share of the budget, rounded to whole steps, and gives way where
        rounding leaves the shape too little room.

        Raises:
            InvalidScheduleError: If the budget is no whole number >= 1.
        """
        budget = whole_number("budget", budget, low=1, high=LARGEST_STEP)
        warmup_steps = (2 * self.warmup_steps * budget + self.budget) // (2 * self.budget)
        room = get_family(self.family).room(budget, self.parameters)
        return replace(self, budget=budget, warmup_steps=min(warmup_steps, budget - room))

    def with_provenance(self, **items: JSON) -> Schedule:
        """Return the same schedule with these items of provenance added or replaced."""
        return replace(self, provenance={**self.provenance, **items})

    def torch(self, optimizer: Optimizer, last_epoch: int = -1) -> ScheduleLR:
        """Return a torch scheduler; call its `step()` after every `optimizer.step()`.

        The peak refers to the first parameter group; the others keep their ratio to it (see
        `ScheduleLR`).

        Raises:
            InvalidScheduleError: If a group has a learning rate that gives no ratio.
        """
        from lrsearch.schedules._torch import ScheduleLR

        return ScheduleLR(optimizer, self, last_epoch)

    def to_dict(self) -> dict[str, JSON]:
        """Return the document: plain JSON values, complete, with schema and version.

        Raises:
            DocumentError: If the provenance holds something that is not JSON.
        """
        return _document.encode(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> Schedule:
        """Return the schedule of a document; nothing in it is executed.

        Raises:
            DocumentError: If it is no schedule document of a version that we know, or if one of
                its values makes no sense.
        """
        try:
            return cls(**_document.decode(document))
        except InvalidScheduleError as error:
            raise DocumentError(f"schedule document: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the document as JSON; the file is replaced as a whole or not at all.

        Raises:
            DocumentError: If the provenance is not JSON or the file cannot be written.
        """
        _document.write(path, _document.dumps(self.to_dict()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Schedule:
        """Return the schedule of a file that `save` wrote.

        Raises:
            DocumentError: If the file cannot be read or is no schedule document; the message
                names the path.
        """
        document = _document.read(path)
        try:
            return cls.from_dict(document)
        except DocumentError as error:
            raise DocumentError(f"{os.fspath(path)}: {error}") from error

    @property
    def _span(self) -> Span:
        return Span(self.budget, self.budget - self.warmup_steps)

    def _at(self, steps: FloatArray) -> FloatArray:
        """Return the learning rate at whole steps in [0, budget], `(k,) -> (k,)`."""
        span = self._span
        left = np.minimum(self.budget - steps, span.steps)
        shape = get_family(self.family).shape(left, span, self.parameters)
        # Not end + (peak - end) * shape, which may miss the peak by the last bit.
        decay = self.peak * shape + self.end_value * (1.0 - shape)
        warmup = self.peak * ((steps + 1.0) / (self.warmup_steps + 1.0))
        return np.where(steps < self.warmup_steps, warmup, decay)
