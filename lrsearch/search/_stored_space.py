"""A space as a study remembers it, turned back into the space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lrsearch.exceptions import LrsearchError
from lrsearch.schedules import get_family
from lrsearch.search._dimension import Setting, shape_dimension
from lrsearch.search._space import FAMILY, MULTIPLIER, WARMUP, ScheduleSpace


def space_of(fingerprint: Mapping[str, Any]) -> ScheduleSpace | None:
    """The space of a `ScheduleSpace.fingerprint`; ``None`` where this version has no such space."""
    try:
        dimensions = {each["name"]: each for each in fingerprint["dimensions"]}
        families = tuple(dimensions.pop(FAMILY)["choices"])
        multiplier = _setting(dimensions.pop(MULTIPLIER))
        dimensions.pop(WARMUP, None)
        parameters = dict(fingerprint["fixed"])
        for name, each in dimensions.items():
            family = max((f for f in families if name.startswith(f"{f}_")), key=len)
            parameter = name.removeprefix(f"{family}_")
            if not _unasked(family, parameter, each):
                parameters[f"{family}.{parameter}"] = _setting(each)
        warmup = fingerprint["warmup"]
        space = ScheduleSpace(
            fingerprint["budget"],
            families=families,
            multiplier=multiplier,  # type: ignore[arg-type]
            warmup=tuple(warmup) if isinstance(warmup, list) else warmup,
            parameters=parameters,
        )
    except (LrsearchError, KeyError, TypeError, ValueError, StopIteration):
        return None
    same = json.loads(json.dumps(space.fingerprint())) == json.loads(json.dumps(fingerprint))
    return space if same else None


def _unasked(family: str, name: str, dimension: Mapping[str, Any]) -> bool:
    """Whether a space searches this where nothing is said of it; then it knows a default, too."""
    declared = next(p for p in get_family(family).parameters if p.name == name)
    searched = shape_dimension(family, declared, None)
    return searched is not None and searched.to_dict() == dimension


def _setting(dimension: Mapping[str, Any]) -> Setting:
    if "choices" in dimension:
        return list(dimension["choices"])
    return float(dimension["low"]), float(dimension["high"])
