"""The families that there are, by name."""

from __future__ import annotations

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._classic import CONSTANT, COSINE, LINEAR
from lrsearch.schedules._decays import EXPONENTIAL, POLYNOMIAL, REX
from lrsearch.schedules._family import Family
from lrsearch.schedules._join import JOIN
from lrsearch.schedules._one_cycle import ONE_CYCLE
from lrsearch.schedules._piecewise import PIECEWISE
from lrsearch.schedules._restarts import COSINE_RESTARTS, CYCLIC
from lrsearch.schedules._step import STEP
from lrsearch.schedules._tails import INVERSE_SQRT, POWER
from lrsearch.schedules._uba import UBA
from lrsearch.schedules._wsd import WSD

_CHOSEN = (
    *(CONSTANT, LINEAR, COSINE, WSD, UBA),
    *(POLYNOMIAL, EXPONENTIAL, REX, STEP, INVERSE_SQRT, POWER),
    *(ONE_CYCLE, COSINE_RESTARTS, CYCLIC),
)
_FAMILIES = {family.name: family for family in (*_CHOSEN, PIECEWISE, JOIN)}


def families() -> tuple[str, ...]:
    """Return the names of the families that a few numbers describe, if any.

    Beside them there are "piecewise" and "join", which are made of data: levels and schedules.
    """
    return tuple(family.name for family in _CHOSEN)


def get_family(name: str) -> Family:
    """Return the family of this name, of `families()` or one made of data.

    Raises:
        InvalidScheduleError: If there is none; the message names those that there are.
    """
    if not isinstance(name, str) or name not in _FAMILIES:
        raise InvalidScheduleError(
            f"unknown schedule family {show(name)}; known: {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[name]
