"""The families that there are, by name."""

from __future__ import annotations

from lrsearch.exceptions import InvalidScheduleError
from lrsearch.schedules._checks import show
from lrsearch.schedules._family import Family
from lrsearch.schedules.shapes._averaged import EMA, SWA
from lrsearch.schedules.shapes._classic import CONSTANT, COSINE, LINEAR
from lrsearch.schedules.shapes._cosine_restarts import COSINE_RESTARTS
from lrsearch.schedules.shapes._cyclic import CYCLIC
from lrsearch.schedules.shapes._decays import EXPONENTIAL, POLYNOMIAL, REX
from lrsearch.schedules.shapes._inverse_sqrt import INVERSE_SQRT
from lrsearch.schedules.shapes._join import JOIN
from lrsearch.schedules.shapes._one_cycle import ONE_CYCLE
from lrsearch.schedules.shapes._piecewise import PIECEWISE
from lrsearch.schedules.shapes._power import POWER
from lrsearch.schedules.shapes._step import STEP
from lrsearch.schedules.shapes._tuned import CDAT, CLARA
from lrsearch.schedules.shapes._two_phase import TWO_PHASE
from lrsearch.schedules.shapes._uba import UBA
from lrsearch.schedules.shapes._wsd import WSD

_CHOSEN = (
    *(CONSTANT, LINEAR, COSINE, WSD, UBA),
    *(POLYNOMIAL, EXPONENTIAL, REX, STEP, INVERSE_SQRT, POWER),
    *(ONE_CYCLE, COSINE_RESTARTS, CYCLIC),
    *(TWO_PHASE, SWA, EMA),
)
_TUNED = (CDAT, CLARA)
_FAMILIES = {family.name: family for family in (*_CHOSEN, *_TUNED, PIECEWISE, JOIN)}


def families() -> tuple[str, ...]:
    """Return the names of the families that a few numbers describe, if any.

    Beside them there are "piecewise" and "join", which are made of data: levels and schedules; and
    tuners.
    """
    return tuple(family.name for family in _CHOSEN)


def tuner_families() -> tuple[str, ...]:
    """Return the names of the tuners that stand beside families, in a search space for example."""
    return tuple(family.name for family in _TUNED)


def get_family(name: str) -> Family:
    """Return the family of this name, of `families()`, a tuner, or one made of data.

    Raises:
        InvalidScheduleError: If there is none; the message names those that there are.
    """
    if not isinstance(name, str) or name not in _FAMILIES:
        raise InvalidScheduleError(
            f"unknown schedule family {show(name)}; known: {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[name]
