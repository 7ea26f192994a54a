"""The declaration of one shape parameter: what is legal, what is worth searching, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import finite_number, show


@dataclass(frozen=True)
class Parameter:
    """One shape parameter of a schedule family: a number, or one of a few names.

    Two ranges are told apart: a schedule accepts every legal value (`minimum` to `maximum`, or
    `choices`), a search space proposes those that are worth trying (`low` to `high`, or
    `searched`).

    Attributes:
        name: The key in `Schedule.parameters`.
        default: The value of a schedule that does not say; `None` where it must say.
        low: Lower end of the searched range.
        high: Upper end of the searched range.
        log: Whether the searched range is to be walked in octaves rather than in equal steps.
        choices: The legal names; empty for a number.
        searched: The values worth trying, where these are a few rather than a range.
        minimum: Least legal number.
        maximum: Largest legal number.
        exclusive_minimum: Whether `minimum` itself is illegal.
        exclusive_maximum: Whether `maximum` itself is illegal.
        whole: Whether only whole numbers are legal (stored as `float` all the same).
        matters: Whether a search space varies it unasked; otherwise the default holds.
        since: The document version that added it to its family; older ones mean its default.
        doc: What it does, in one sentence.
    """

    name: str
    default: float | str | None
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    choices: tuple[str, ...] = ()
    searched: tuple[float | str, ...] = ()
    minimum: float = -math.inf
    maximum: float = math.inf
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    whole: bool = False
    matters: bool = True
    since: int = 1
    doc: str = ""

    def check(self, value: object) -> Any:
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
        too_high = number >= self.maximum if self.exclusive_maximum else number > self.maximum
        if too_low or too_high or (self.whole and not number.is_integer()):
            raise InvalidScheduleError(f"{self.name} must be {self._range()}, got {show(value)}")
        return number

    def plain(self, value: Any) -> Any:
        """Return a checked value in plain JSON types; `check` reads it back."""
        return value

    def _range(self) -> str:
        lower = f"{'>' if self.exclusive_minimum else '>='} {self.minimum:g}"
        upper = f"{'<' if self.exclusive_maximum else '<='} {self.maximum:g}"
        bounds = lower if math.isinf(self.maximum) else f"{lower} and {upper}"
        return f"a whole number {bounds}" if self.whole else bounds
