"""One searched parameter: a range or a list of choices, free of any framework."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lrsearch.exceptions import InvalidScheduleError, InvalidSpaceError

if TYPE_CHECKING:
    from lrsearch.schedules import Parameter

Setting = float | str | tuple[float, float] | Sequence[float | str]


class SuggestingTrial(Protocol):
    """The part of a trial that a space needs; Optuna's trials have it."""

    @property
    def user_attrs(self) -> dict[str, Any]:
        """Attributes stored with the trial."""

    def set_user_attr(self, key: str, value: Any) -> None:
        """Store an attribute with the trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number in [low, high]."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A searched parameter.

    Attributes:
        name: Name in the study.
        low: Lower bound, for a range.
        high: Upper bound, for a range.
        log: Whether the range is searched in its logarithm.
        choices: The choices, for a categorical one.
        family: The schedule family that it belongs to; ``None`` where it always counts.
        default: The value of someone who does not say, where there is one inside the range.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[float | str, ...] = ()
    family: str | None = None
    default: float | str | None = None

    def suggest(self, trial: SuggestingTrial) -> Any:
        """Ask the trial for this parameter."""
        if self.choices:
            return trial.suggest_categorical(self.name, list(self.choices))
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def to_unit(self, value: float) -> float:
        """A value of the range as a position in [0, 1]."""
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def from_unit(self, position: float) -> float:
        """A position in [0, 1] as a value of the range."""
        if self.log:
            value = self.low * (self.high / self.low) ** position
        else:
            value = self.low + (self.high - self.low) * position
        return float(min(max(value, self.low), self.high))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-safe form."""
        if self.choices:
            return {"name": self.name, "choices": list(self.choices)}
        return {"name": self.name, "low": self.low, "high": self.high, "log": self.log}


def as_setting(value: Any) -> Setting | None:
    """A user's setting with numbers as floats."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    return value  # type: ignore[no-any-return]


def shape_dimension(family: str, declared: Parameter, setting: Setting | None) -> Dimension | None:
    """The dimension of a family's shape parameter under a setting; ``None`` where it is fixed.

    Raises:
        InvalidSpaceError: If the setting does not fit the parameter.
    """
    name = f"{family}_{declared.name}"
    if isinstance(setting, float | str):
        _legal(family, declared, [setting])
        return None
    if isinstance(setting, tuple) and len(setting) == 2 and declared.whole:
        setting = _whole_numbers(family, declared, *setting)
    if isinstance(setting, tuple) and len(setting) == 2 and not declared.choices:
        low, high = (float(bound) for bound in _legal(family, declared, setting))
        if not (low < high and (low > 0 or not declared.log)):
            raise InvalidSpaceError(
                f"the range of {declared.name!r} must be (low, high) with low < high"
                f"{' and low > 0' if declared.log else ''}, got {setting!r}."
            )
        known = isinstance(declared.default, float) and low <= declared.default <= high
        default = declared.default if known else None
        return Dimension(name, low, high, declared.log, family=family, default=default)
    if setting is not None:
        if not isinstance(setting, Sequence) or len(setting) == 0:
            raise InvalidSpaceError(
                f"{declared.name!r} needs a value, (low, high) or a list of choices, "
                f"got {setting!r}."
            )
        choices = _legal(family, declared, setting)
        return Dimension(name, choices=choices, family=family, default=choices[0])
    if not declared.matters:
        return None
    default = declared.default
    if choices := declared.searched or declared.choices:
        return Dimension(name, choices=choices, family=family, default=default)
    return Dimension(
        name, declared.low, declared.high, declared.log, family=family, default=default
    )


def _whole_numbers(family: str, declared: Parameter, *bounds: Any) -> list[float | str]:
    """The whole numbers from one bound to the other, as choices."""
    low, high = (float(bound) for bound in _legal(family, declared, bounds))
    if not low < high <= low + 20:
        raise InvalidSpaceError(
            f"the range of {declared.name!r} must be (low, high) with low < high <= low + 20, or "
            f"a list of choices, got {bounds!r}."
        )
    return [low + step for step in range(int(high - low) + 1)]


def _legal(family: str, declared: Parameter, values: Sequence[Any]) -> tuple[float | str, ...]:
    """The values as a schedule takes them.

    Raises:
        InvalidSpaceError: If a schedule would refuse one: now, not at the first trial.
    """
    try:
        return tuple(declared.check(value) for value in values)
    except InvalidScheduleError as error:
        raise InvalidSpaceError(
            f"no schedule takes this shape parameter: {error} ({family}.{declared.name})."
        ) from error
