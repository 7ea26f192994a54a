"""The families that there are, by name."""

from __future__ import annotations

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._classic import CONSTANT, COSINE, LINEAR
from lrsearch.schedules._family import Family
from lrsearch.schedules._uba import UBA
from lrsearch.schedules._wsd import WSD

_FAMILIES = {family.name: family for family in (CONSTANT, LINEAR, COSINE, WSD, UBA)}


def families() -> tuple[str, ...]:
    """Return the names of all schedule families."""
    return tuple(_FAMILIES)


def get_family(name: str) -> Family:
    """Return the family of this name.

    Raises:
        InvalidScheduleError: If there is none; the message names those that there are.
    """
    if not isinstance(name, str) or name not in _FAMILIES:
        raise InvalidScheduleError(
            f"unknown schedule family {show(name)}; known: {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[name]
