"""What a schedule family is: a shape, its mean, its promises, and its declared parameters.

Symbols, used in every shape of this folder:
    span.budget   T, optimizer steps of the whole run
    span.steps    n = T - W, steps after a warm-up of W steps
    left (k,)     steps left until the end, n at the end of the warm-up, 0 at step T
    shape (k,)    dimensionless, in [0, 1]; the part of `peak - end` that remains
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._averaging import Averaging
from lrsearch.schedules._checks import show
from lrsearch.schedules._mapping import FrozenMapping
from lrsearch.schedules._parameter import Parameter
from lrsearch.schedules._source import Source

FloatArray: TypeAlias = npt.NDArray[np.float64]

# Checked values by name: `float` or `str`; a tuple of levels or parts in `piecewise` and `join`.
Parameters: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Span:
    """The steps that a shape is stretched over.

    Attributes:
        budget: Optimizer steps of the whole run, warm-up included.
        steps: Optimizer steps after the warm-up.
    """

    budget: int
    steps: int


class Shape(Protocol):
    """The shape as a function of the steps that are left: `(k,) -> (k,)`, within [0, 1]."""

    def __call__(self, left: FloatArray, span: Span, parameters: Parameters) -> FloatArray:
        """Return the shape at `left`."""


class Mean(Protocol):
    """The mean of a shape over its steps, as an integral over `x` in [0, 1]."""

    def __call__(self, span: Span, parameters: Parameters) -> float:
        """Return the mean."""


class Room(Protocol):
    """The optimizer steps that a shape needs after the warm-up."""

    def __call__(self, budget: int, parameters: Parameters) -> int:
        """Return the number of steps, at least one."""


class Resize(Protocol):
    """Shape parameters for another number of steps after the warm-up, where they count steps."""

    def __call__(self, steps: int, parameters: Parameters) -> Parameters:
        """Return the parameters."""


class Momentum(Protocol):
    """The momentum that goes with a shape; `None` where the family leaves it alone."""

    def __call__(self, left: FloatArray, span: Span, parameters: Parameters) -> FloatArray | None:
        """Return the momentum at `left`, `(k,) -> (k,)`."""


TOO_LONG = "take a larger budget, a shorter warm-up, or a shape that needs fewer steps"


def one_step(budget: int, parameters: Parameters) -> int:
    """Return 1: the shape fits wherever there is a step at all."""
    return 1


def same(steps: int, parameters: Parameters) -> Parameters:
    """Return the parameters: they are dimensionless."""
    return parameters


class Stable(Protocol):
    """Steps from 0 on that do not depend on the budget."""

    def __call__(self, span: Span, parameters: Parameters) -> int:
        """Return the number of steps, 0 for none."""


def no_steps(span: Span, parameters: Parameters) -> int:
    """Return 0: every step knows the budget."""
    return 0


def kept(left: FloatArray, span: Span, parameters: Parameters) -> None:
    """Return `None`: the optimizer keeps its momentum."""


class Averages(Protocol):
    """The averaging phase that belongs to a family; `None` where it has none of its own."""

    def __call__(self, budget: int, parameters: Parameters) -> Averaging | None:
        """Return the phase."""


def no_averaging(budget: int, parameters: Parameters) -> None:
    """Return `None`: the result are the last weights, unless a schedule says otherwise."""


@dataclass(frozen=True)
class Family:
    """A schedule family: one shape with declared parameters.

    Attributes:
        name: The name in documents and search spaces.
        shape: The learning rate after the warm-up.
        mean: The mean of the shape in closed form.
        source: The shape as lines of code, for exports.
        summary: One line for people.
        parameters: Declarations of the shape parameters.
        room: Steps that must remain after the warm-up.
        resize: Shape parameters for another number of steps.
        momentum: The momentum that goes with the shape.
        momentum_source: The momentum as lines of code, where there is one.
        stable: Steps that a run shares with every longer one of the same peak.
        averaging: The phase whose mean weights are the result, where the family is about one.
        starts_at_peak: Whether the shape is 1 right after the warm-up.
        reaches_peak: Whether the shape is exactly 1 at some whole step.
        monotone: Whether the shape never rises, but to start a new cycle.
        reaches_end: Whether the shape is 0 at step T (where it is not constant altogether).
        tuned: Whether a tuner sets the rate while training; the shape is nominal then.
        gradients: What a step costs, in gradients.
        per_multiplier: Parameters that a space sets to this many edge multipliers.
    """

    name: str
    shape: Shape
    mean: Mean
    source: Source
    summary: str
    parameters: tuple[Parameter, ...] = ()
    room: Room = one_step
    resize: Resize = same
    momentum: Momentum = kept
    momentum_source: Source | None = None
    stable: Stable = no_steps
    averaging: Averages = no_averaging
    starts_at_peak: bool = True
    reaches_peak: bool = True
    monotone: bool = True
    reaches_end: bool = True
    tuned: bool = False
    gradients: float = 1.0
    per_multiplier: Mapping[str, float] = FrozenMapping({})

    @property
    def counts_steps(self) -> bool:
        """Whether the parameters stand for a number of steps, and no other fits."""
        return self.resize is not same

    @property
    def averages(self) -> bool:
        """Whether the parameters say how weights are averaged, so that a schedule need not."""
        return self.averaging is not no_averaging

    def check_room(self, budget: int, warmup_steps: int, parameters: Parameters) -> None:
        """Do nothing where the shape fits after the warm-up.

        Raises:
            InvalidScheduleError: If it does not.
        """
        room, steps = self.room(budget, parameters), budget - warmup_steps
        if room > steps or (self.counts_steps and room != steps):
            raise InvalidScheduleError(
                f"schedule family {self.name!r} with {show(dict(parameters))} needs {room} of "
                f"{budget} steps after the warm-up, but warmup_steps = {warmup_steps} leaves "
                f"{steps}; {TOO_LONG if room > steps else 'use rescale'}"
            )

    def complete(self, parameters: Mapping[str, object]) -> FrozenMapping[Any]:
        """Return all shape parameters: those given, checked, and the defaults of the others.

        Raises:
            InvalidScheduleError: If a parameter is unknown to this family, not legal, or missing
                where there is no default.
        """
        known = {declaration.name: declaration for declaration in self.parameters}
        unknown = [key for key in parameters if key not in known]
        if unknown:
            raise InvalidScheduleError(
                f"schedule family {self.name!r} has no parameter {show(unknown[0])}; "
                f"it has {', '.join(map(repr, known)) or 'none'}"
            )
        for name, declaration in known.items():
            if declaration.default is None and name not in parameters:
                raise InvalidScheduleError(
                    f"schedule family {self.name!r} needs its parameter {name!r}: {declaration.doc}"
                )
        return FrozenMapping(
            {name: known[name].check(parameters.get(name, known[name].default)) for name in known}
        )
