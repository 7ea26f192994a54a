"""The declaration of one shape parameter: what is legal, what is worth searching, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import finite_number, show


@dataclass(frozen=True)
class Parameter:
    """One shape parameter of a schedule family: a number, or one of a few names.

    Two ranges are told apart: a schedule accepts every legal value (`minimum` to `maximum`), a
    search space proposes those that are worth trying (`low` to `high`).

    Attributes:
        name: The key in `Schedule.parameters`.
        default: The value of a schedule that does not say; dimensionless.
        low: Lower end of the searched range.
        high: Upper end of the searched range.
        log: Whether the searched range is to be walked in octaves rather than in equal steps.
        choices: The legal names; empty for a number.
        minimum: Least legal number.
        maximum: Largest legal number.
        exclusive_minimum: Whether `minimum` itself is illegal.
        doc: What it does, in one sentence.
    """

    name: str
    default: float | str
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    choices: tuple[str, ...] = ()
    minimum: float = -math.inf
    maximum: float = math.inf
    exclusive_minimum: bool = False
    doc: str = ""

    def check(self, value: object) -> float | str:
        """Return the value as a plain `float` (or as one of the names).

        Raises:
            InvalidScheduleError: If the value is not legal.
        """
        if self.choices:
            if isinstance(value, str) and value in self.choices:
                return str(value)
            known = ", ".join(map(repr, self.choices))
            raise InvalidScheduleError(f"{self.name} must be one of {known}, got {show(value)}")
        number = finite_number(self.name, value)
        too_low = number <= self.minimum if self.exclusive_minimum else number < self.minimum
        if too_low or number > self.maximum:
            raise InvalidScheduleError(f"{self.name} must be {self._range()}, got {show(value)}")
        return number

    def _range(self) -> str:
        lower = f"{'>' if self.exclusive_minimum else '>='} {self.minimum:g}"
        return lower if math.isinf(self.maximum) else f"{lower} and <= {self.maximum:g}"
