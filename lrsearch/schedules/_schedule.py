"""The schedule: a frozen description that is also a function from the step to the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._adapters import Adapters
from lrsearch.schedules._averaging import Averaging
from lrsearch.schedules._checks import LARGEST_STEP, finite_number, show, whole_number
from lrsearch.schedules._document import JSON
from lrsearch.schedules._family import FloatArray, Parameters, Span
from lrsearch.schedules._mapping import FrozenMapping
from lrsearch.schedules._stored import Stored
from lrsearch.schedules.shapes._registry import get_family


@dataclass(frozen=True)
class Schedule(Adapters, Stored):
    """A learning-rate schedule over a budget of optimizer steps.

    With `T` the budget, `W` the warm-up and `n = T - W`, the update number `step` (from 0) uses

        step < W:        rate(W) * (step + 1) / (W + 1)
        W <= step < T:   end + (peak - end) * shape(x),   x = (step - W) / n
        step >= T:       end + (peak - end) * shape(1)

    The warm-up is linear and reaches exactly what the shape starts with at step `W`: the peak in
    most families, and then no step of it is zero. The shape ends at step `T` (not `T - 1`), one
    step after the last update, as torch's own schedulers do: `CosineAnnealingLR(T_max=T)`,
    `LinearLR(start_factor=1, end_factor=0, total_iters=T)`. So the last update still moves.

        constant         1; never leaves the peak, `end_value` has no effect
        linear           1 - x
        cosine           (1 + cos(pi x)) / 2
        wsd              1, then a cooldown over the last `N = round(cooldown * T)` steps
        uba              1 / (1 + (phi / 2) tan(pi x / 2)^2), in `cycles` phases
        polynomial       (1 - x)^power
        exponential      (r^x - r) / (1 - r)
        rex              (1 - x) / (1 - alpha x)
        step             factor^k after k drops; the end is a floor
        inverse_sqrt     1 / sqrt(1 + (step - W) / (timescale T)); the end is a floor
        power            min(1, (step / (cap T))^-exponent), then a cooldown
        one_cycle        up from `start` to 1 and down to 0, momentum the other way round
        cosine_restarts  the cosine, `cycles` times
        cyclic           triangles between `low` and 1, the last one down to 0
        two_phase        1, then constant at `ratio`; the end is a floor
        swa, ema         1; the result is a mean of the weights of the last steps
        piecewise        straight lines between given levels
        join             schedules one after the other; see `lrsearch.schedules.join`

    The module of each family has formula, rounding and paper.

    Attributes:
        family: One of `families()` or `tuner_families()`, or "piecewise" or "join".
        peak: Largest learning rate; finite, above 0.
        budget: Optimizer steps; at least 1.
        parameters: Shape parameters of the family, completed with its defaults; read-only.
        warmup_steps: Optimizer steps of linear warm-up; 0 <= W < T.
        end_value: Learning rate at step T, where the family reaches its end; 0 <= end < peak.
        provenance: Where it comes from (study, trial, edge, multiplier, ...), as JSON values;
            carried along, no part of equality.
        averaging: The phase whose mean weights are the result; `None` for the last weights. In
            swa and ema it follows from the parameters: leave it out.

    Raises:
        InvalidScheduleError: If a value makes no sense; the message names it.
    """

    family: str
    peak: float
    budget: int
    parameters: Parameters = field(default_factory=dict)
    warmup_steps: int = 0
    end_value: float = 0.0
    provenance: Mapping[str, JSON] = field(default_factory=dict, compare=False)
    averaging: Averaging | None = None

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
        if not isinstance(self.averaging, Averaging | None):
            raise InvalidScheduleError(
                f"averaging must be None or an lrsearch.schedules.Averaging, "
                f"got {show(self.averaging)}"
            )
        if family.tuned and (warmup_steps or end_value or self.averaging is not None):
            raise InvalidScheduleError(
                f"the tuner {family.name!r} sets its rate while training: it takes no "
                "warmup_steps, end_value or averaging"
            )
        parameters = family.complete(self.parameters)
        family.check_room(budget, warmup_steps, parameters)
        averaging = family.averaging(budget, parameters) or self.averaging
        if self.averaging not in (None, averaging):
            raise InvalidScheduleError(
                f"schedule family {family.name!r} averages as its parameters say ({averaging}), "
                f"got {self.averaging}: leave averaging out; with another one the family is "
                "'constant'"
            )
        completed = {
            "family": family.name,
            "peak": peak,
            "budget": budget,
            "parameters": parameters,
            "warmup_steps": warmup_steps,
            "end_value": end_value,
            "provenance": FrozenMapping(self.provenance),
            "averaging": averaging,
        }
        for name, value in completed.items():
            object.__setattr__(self, name, value)

    def __call__(self, step: int) -> float:
        """Return the learning rate of update `step` (0, 1, ...); from the budget on it holds.

        Raises:
            InvalidScheduleError: If the step is negative or no whole number.
        """
        hint = "values() and at() take many"
        whole = min(whole_number("step", step, low=0, hint=hint), self.budget)
        return float(self.at(np.array([float(whole)]))[0])

    def values(self) -> FloatArray:
        """Return the learning rates of all updates, shape `(budget,)`, bit for bit as called."""
        return self.at(np.arange(self.budget, dtype=np.float64))

    def effective_values(self) -> FloatArray:
        """Return the learning rates that lead to the result, to first order, shape `(budget,)`.

        `values()`, times the share of the averaged weights that contains the update
        (`Averaging.shares`): a plain run at these rates ends where the mean lies, as long as the
        gradients are the same. Averaging the last part of a constant rate is so a linear decay.

        Source: arXiv 2301.02312.
        """
        if self.averaging is None:
            return self.values()
        return self.values() * self.averaging.shares(self.budget)

    def momentum(self, step: int) -> float | None:
        """Return the momentum (Adam's first beta) of update `step`; `None` to leave it alone.

        Raises:
            InvalidScheduleError: If the step is negative or no whole number.
        """
        whole = min(whole_number("step", step, low=0), self.budget)
        left = np.array([float(min(self.budget - whole, self.span.steps))])
        values = get_family(self.family).momentum(left, self.span, self.parameters)
        return None if values is None else float(values[0])

    def factor(self, step: int) -> float:
        """Return `value(step) / peak`, warm-up and end included; dimensionless."""
        return self(step) / self.peak

    @property
    def mean_factor(self) -> float:
        """Mean of the shape over the steps after the warm-up, for an end of 0; dimensionless.

        In closed form, as the integral over `x`; for example constant 1, linear and cosine 1/2,
        uba `1 / (1 + sqrt(phi / 2))`. The mean over whole steps differs by at most `1 / n` a cycle.
        """
        return get_family(self.family).mean(self.span, self.parameters)

    def rescale(self, budget: int) -> Schedule:
        """Return the same shape over another budget.

        The warm-up keeps its share of the budget, rounded to whole steps, and gives way where
        rounding leaves the shape too little room. So do the parts of a join, each for itself.

        Raises:
            InvalidScheduleError: If the budget is no whole number >= 1, or too short for the shape.
        """
        budget = whole_number("budget", budget, low=1, high=LARGEST_STEP)
        family = get_family(self.family)
        warmup_steps = (2 * self.warmup_steps * budget + self.budget) // (2 * self.budget)
        if not family.counts_steps:
            room = family.room(budget, self.parameters)
            warmup_steps = max(0, min(warmup_steps, budget - room))
        warmup_steps = min(warmup_steps, budget - 1)
        parameters = family.resize(budget - warmup_steps, self.parameters)
        return replace(
            self,
            budget=budget,
            warmup_steps=warmup_steps,
            parameters=parameters,
            averaging=None if family.averages else self.averaging,
        )

    @property
    def tuned(self) -> bool:
        """Whether a tuner sets the rate while training; the values here are nominal then."""
        return get_family(self.family).tuned

    @property
    def stable_steps(self) -> int:
        """Steps from 0 on that every longer run of this peak shares; a checkpoint there branches.

        The cooldown of wsd and the second phase of two_phase start there, and the whole budget of
        constant is such a phase; an averaging phase ends it. All other families know their horizon
        from the start: 0.
        """
        stable = get_family(self.family).stable(self.span, self.parameters)
        if self.averaging is None:
            return stable
        return min(stable, self.averaging.first_step(self.budget))

    def extend(self, budget: int) -> Schedule:
        """Return the same run continued to a larger budget: its stable phase is kept as it is.

        Both schedules are equal at all steps before `stable_steps`: a checkpoint of that step or
        an earlier one goes on under the new one, whose scheduler takes the state of the old. The
        warm-up keeps its steps, the cooldown its share.

        Raises:
            InvalidScheduleError: If the family has no stable phase, or the budget is not larger.
        """
        budget = whole_number("budget", budget, low=1, high=LARGEST_STEP)
        if not self.stable_steps:
            raise InvalidScheduleError(
                f"this schedule of family {self.family!r} has no stable phase to extend (constant, "
                "wsd, two_phase, swa and ema have, before cooldown, second phase and averaging); "
                "train anew with rescale, or join another schedule to it"
            )
        if budget <= self.budget:
            raise InvalidScheduleError(
                f"budget must be above the {self.budget} steps of this run to extend it, "
                f"got {budget}; a shorter run is trained anew with rescale"
            )
        own = get_family(self.family).averages
        return replace(self, budget=budget, averaging=None if own else self.averaging)

    def with_provenance(self, **items: JSON) -> Schedule:
        """Return the same schedule with these items of provenance added or replaced."""
        return replace(self, provenance={**self.provenance, **items})

    @property
    def span(self) -> Span:
        """The steps that the shape is stretched over."""
        return Span(self.budget, self.budget - self.warmup_steps)

    def at(self, steps: FloatArray) -> FloatArray:
        """Return the learning rates at whole steps in [0, budget], `(k,) -> (k,)`; unchecked."""
        span = self.span
        # The first of all is where the warm-up leads to.
        left = np.append(float(span.steps), np.minimum(self.budget - steps, span.steps))
        shape = get_family(self.family).shape(left, span, self.parameters)
        # Not end + (peak - end) * shape, which may miss the peak by the last bit; and neither
        # rounding may leave the range.
        decay = self.peak * shape + self.end_value * (1.0 - shape)
        start, decay = np.split(np.clip(decay, self.end_value, self.peak), [1])
        warmup = start * ((steps + 1.0) / (self.warmup_steps + 1.0))
        return np.where(steps < self.warmup_steps, warmup, decay)
