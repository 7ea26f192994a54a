"""How a shape is written as code: one set of lines, spelt for `math`, numpy or jax.

A family's source is a function of a dialect, the numbers of steps and the parameters. It returns
lines that set `shape`, given `left` (steps left) and `steps` (n), which are numbers or arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lrsearch.schedules._family import Span


@dataclass(frozen=True)
class Dialect:
    """The names of the elementary functions.

    Attributes:
        module: The module that they are taken from.
        arrays: Whether they work on arrays rather than on single numbers.
    """

    module: str
    arrays: bool

    def call(self, function: str, argument: str) -> str:
        """An elementary function that `math`, numpy and jax call by the same name."""
        return f"{self.module}.{function}({argument})"

    def maximum(self, one: str, other: str) -> str:
        """The larger of two."""
        return f"{self.module}.maximum({one}, {other})" if self.arrays else f"max({one}, {other})"

    def minimum(self, one: str, other: str) -> str:
        """The smaller of two."""
        return f"{self.module}.minimum({one}, {other})" if self.arrays else f"min({one}, {other})"

    def where(self, condition: str, yes: str, no: str) -> str:
        """One of two; among arrays both are computed."""
        if self.arrays:
            return f"{self.module}.where({condition}, {yes}, {no})"
        return f"({yes} if {condition} else {no})"

    def whole(self, value: str) -> str:
        """The whole part of a number that is not negative."""
        if self.arrays:
            return f"{self.module}.asarray({self.module}.floor({value}), dtype=int)"
        return f"int({value})"

    def pick(self, values: Sequence[float], index: str) -> str:
        """An item of a constant list."""
        items = ", ".join(map(repr, values))
        return (
            f"{self.module}.asarray([{items}])[{index}]" if self.arrays else f"[{items}][{index}]"
        )

    def count(self, values: Sequence[float], at: str) -> str:
        """How many of the values, one at least, `at` has reached."""
        return f"sum({at} >= edge for edge in [{', '.join(map(repr, values))}])"


MATH = Dialect("math", arrays=False)
NUMPY = Dialect("np", arrays=True)
JAX = Dialect("jnp", arrays=True)


class Source(Protocol):
    """A shape (or a momentum) as lines of code."""

    def __call__(self, dialect: Dialect, span: Span, parameters: Mapping[str, Any]) -> list[str]:
        """Return the lines; they set `shape` (or `momentum`)."""
