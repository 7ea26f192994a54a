"""What a schedule family is: a shape, its mean, and the declarations of its parameters.

Symbols, used in every shape of this folder:
    span.budget   T, optimizer steps of the whole run
    span.steps    n = T - W, steps after a warm-up of W steps
    left (k,)     steps left until the end, n at the end of the warm-up, 0 at step T
    shape (k,)    dimensionless, 1 at `left = n`; the part of `peak - end` that remains
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._mapping import FrozenMapping
from lrsearch.schedules._parameter import Parameter

FloatArray: TypeAlias = npt.NDArray[np.float64]
Parameters: TypeAlias = Mapping[str, float | str]


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
    """The decay as a function of the steps that are left: `(k,) -> (k,)`, from 1 downwards."""

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


def one_step(budget: int, parameters: Parameters) -> int:
    """Return 1: the shape fits wherever there is a step at all."""
    return 1


@dataclass(frozen=True)
class Family:
    """A schedule family: one shape with declared parameters.

    Attributes:
        name: The name in documents and search spaces.
        shape: The decay after the warm-up.
        mean: The mean of the shape in closed form.
        summary: One line for people.
        parameters: Declarations of the shape parameters.
        room: Steps that must remain after the warm-up.
    """

    name: str
    shape: Shape
    mean: Mean
    summary: str
    parameters: tuple[Parameter, ...] = ()
    room: Room = one_step

    def complete(self, parameters: Mapping[str, object]) -> FrozenMapping[float | str]:
        """Return all shape parameters: those given, checked, and the defaults of the others.

        Raises:
            InvalidScheduleError: If a parameter is unknown to this family or not legal.
        """
        known = {declaration.name: declaration for declaration in self.parameters}
        unknown = [key for key in parameters if key not in known]
        if unknown:
            raise InvalidScheduleError(
                f"schedule family {self.name!r} has no parameter {show(unknown[0])}; "
                f"it has {', '.join(map(repr, known)) or 'none'}"
            )
        return FrozenMapping(
            {name: known[name].check(parameters.get(name, known[name].default)) for name in known}
        )
