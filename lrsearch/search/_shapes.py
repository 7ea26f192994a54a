"""Schedule shapes as points: what lies near in them trains alike, and some start out as better.

A shape is its curve over the budget, peak 1, and where its warm-up ends; the distance of two is the
root mean square of their difference. So families with neighbouring curves share what is learnt, and
a family that no table holds has a place all the same. A tuner's curve is constant, and lies apart.
Averaged weights have the curve that they act like (`Schedule.effective_values`): a mean over the
last quarter of a constant rate lies beside a linear cooldown over it, at some distance, for it acts
so to first order only.

What a shape is believed to lose against the best one (log loss) before the first trial:

    belief = SLOPE * log(bound(shape) / bound(linear)) + sum_i w_i k(shape, i)

with the convex bound at its best peak (Schaipp et al. 2025, 2501.18965) and a correction that
passes near what the shapes of the development tables lost (studies/search_efficiency/beliefs.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrsearch.schedules import Schedule, get_family, tuner_families
from lrsearch.search._alignment import STEPS, alignment
from lrsearch.theory import convex_bound

Array = NDArray[np.float64]

POINTS = 40  # of a curve
PLACES = POINTS + 2  # coordinates: the curve, the warm-up, and what it is beside a plain schedule
APART = 2.0  # of tuners from schedules, in the last coordinate: little is shared
AVERAGED = 1.0  # of averaged weights from last ones, likewise: 60 % is shared
LENGTH = 0.25  # distance at which two shapes still share 60 % (linear decay and WSD: 0.43)
WARMUP_LENGTH = 0.15  # the same for the share of the budget that is warm-up
SLOPE = 0.3  # of measured losses on the bound's logarithm
TRUST = 0.1  # variance of a measured shape's correction, in units of the kernel
# Log loss that a shape's best rate loses to the best cell, mean over the development tables.
MEASURED: tuple[tuple[str, Mapping[str, Any], float], ...] = (
    ("linear", {}, 0.010),
    ("cosine", {}, 0.015),
    ("wsd", {"cooldown": 0.2, "cooldown_shape": "1-sqrt"}, 0.005),
    ("uba", {"phi": 0.5, "cycles": 1.0}, 0.006),
    ("uba", {"phi": 5.0, "cycles": 1.0}, 0.027),
    ("constant", {}, 0.096),
)


@dataclass(frozen=True, slots=True)
class ShapePoint:
    """A shape as the surrogate sees it.

    Attributes:
        place: Its coordinates, (PLACES,); distances are in units of `LENGTH`.
        belief: Log loss that it is believed to lose, before any trial.
        octaves: Its alignment, log2.
        cost: Gradients of a step.
    """

    place: Array
    belief: float
    octaves: float
    cost: float = 1.0


def shape_point(family: str, parameters: Mapping[str, Any], warmup: float = 0.0) -> ShapePoint:
    """The point of a shape, with a share ``warmup`` of the budget before it."""
    known = _known(family, tuple(sorted(parameters.items())))
    apart = AVERAGED if get_family(family).averages else 0.0
    if get_family(family).tuned:
        apart = APART * (1 + tuner_families().index(family))
    place = np.append(known.place, [warmup / WARMUP_LENGTH, apart])
    return ShapePoint(place, known.belief, known.octaves, get_family(family).gradients)


@lru_cache(maxsize=4096)
def _known(family: str, items: tuple[tuple[str, Any], ...]) -> ShapePoint:
    parameters = dict(items)
    place, advantage = _curve(family, parameters)
    anchors, weights = _corrections()
    near = np.exp(-((anchors - place) ** 2).sum(axis=1) / 2)
    belief = SLOPE * advantage + float(near @ weights)
    return ShapePoint(place, belief, math.log2(alignment(family, parameters)))


def _curve(family: str, parameters: Mapping[str, Any]) -> tuple[Array, float]:
    """Coordinates, and log of the bound over linear decay's."""
    room = get_family(family).room(STEPS, get_family(family).complete(parameters))
    schedule = Schedule(family, 1.0, max(STEPS, room), parameters)
    values = np.asarray(schedule.effective_values())
    means = np.array([float(part.mean()) for part in np.array_split(values, POINTS)])
    linear = convex_bound(Schedule("linear", 1.0, schedule.budget)).optimal_value
    advantage = math.log(convex_bound(schedule).optimal_value / linear)
    return means / (math.sqrt(POINTS) * LENGTH), advantage


@lru_cache(maxsize=1)
def _corrections() -> tuple[Array, Array]:
    """Places of the measured shapes, and the weights of their corrections."""
    curves = [_curve(family, parameters) for family, parameters, _ in MEASURED]
    places = np.array([place for place, _ in curves])
    zero = MEASURED[0][2]  # linear decay's: beliefs are relative to it
    left = [
        lost - zero - SLOPE * said for (_, said), (_, _, lost) in zip(curves, MEASURED, strict=True)
    ]
    squares = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    kernel = np.exp(-squares / 2) + TRUST * np.eye(len(places))
    return places, np.linalg.solve(kernel, np.array(left))
