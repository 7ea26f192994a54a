"""The search space: schedule family x shape parameters x edge multiplier, for a fixed budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from lrsearch.exceptions import InvalidSpaceError, UnsupportedError
from lrsearch.schedules import Parameter, Schedule, families, get_family, tuner_families
from lrsearch.search._alignment import alignment
from lrsearch.search._dimension import (
    Dimension,
    Setting,
    SuggestingTrial,
    as_setting,
    shape_dimension,
)
from lrsearch.search._plan import Plan
from lrsearch.stability import Edge

SPACE_VERSION = 1
# What a space holds otherwise than a schedule's own default: it does not know whether there is a
# momentum to cycle.
HELD: Mapping[str, float | str] = {"momentum": "kept"}
# What a space searches unasked: the shapes that a budget asks for, without near-copies of them.
# In studies/budgeted_schedules (three tasks, two optimizers, five budgets), each at its best peak,
# they give up: linear 0.6 %, UBA 0.7 (phi 0.5), WSD 1.1, cosine 1.4; constant, WSD's trunk, 9.5.
# Left out: REX 0.2 (it lies beside linear), one-cycle 1.9, cyclic 3.4, step 4.8.
DEFAULT_FAMILIES = ("constant", "linear", "cosine", "wsd", "uba")
FAMILY = "schedule_family"
MULTIPLIER = "edge_multiplier"
WARMUP = "warmup_fraction"
PLAN_KEY = "lrsearch:plan"
RATE_KEY = "lrsearch:learning_rate"
REQUEST_KEY = "lrsearch:requested_multiplier"


@dataclass(frozen=True)
class ScheduleSpace:
    """Families x shape parameters x edge multiplier, for one training budget.

    A point's peak learning rate is ``multiplier * alignment(shape) * edge``.

    Args:
        budget: Optimizer steps of every run.
        families: Schedule families to choose from, any of `lrsearch.schedules.families()`;
            constant, linear, cosine, wsd and uba by default. Tuners stand beside them ("cdat",
            "clara"), which set the rate while training: without a warm-up, and cdat's sigma is
            twice the multiplier, for it is a multiple of the edge at every step. Schedules of
            swa and ema average weights, and want the model (`Schedule.torch`).
        multiplier: Bounds of the edge multiplier. Three octaves either way by default: more than
            twice what the edge was off by on its development tasks (1.2 octaves root mean square);
            the prior, not the bounds, keeps the search near 1.
        warmup: Linear warm-up as a share of the budget: a number, or ``(low, high)`` to search it.
        parameters: Settings for shape parameters by name, or by family and name: a value fixes
            one, ``(low, high)`` narrows its range, a list gives choices. Example:
            ``{"cooldown": 0.2, "uba.phi": (0.5, 5.0)}``. What a family declares to matter is
            searched in its own range if nothing is said; everything else keeps its default, and
            one_cycle leaves momentum alone.

    Raises:
        InvalidSpaceError: If a value makes no sense; the message names it.
    """

    budget: int
    families: tuple[str, ...] = ()
    multiplier: tuple[float, float] = (0.125, 8.0)
    warmup: float | tuple[float, float] = 0.05
    parameters: Mapping[str, Setting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.budget, bool) or not isinstance(self.budget, int) or self.budget < 1:
            raise InvalidSpaceError(
                f"budget must be a whole number of optimizer steps >= 1, got {self.budget!r}."
            )
        names = (self.families,) if isinstance(self.families, str) else tuple(self.families)
        object.__setattr__(self, "families", names or DEFAULT_FAMILIES)
        known_names = (*families(), *tuner_families())
        unknown = [name for name in self.families if name not in known_names]
        if unknown:
            raise InvalidSpaceError(
                f"unknown schedule families {unknown}; known: {', '.join(known_names)}."
            )
        if len(set(self.families)) != len(self.families):
            raise InvalidSpaceError(f"a family stands twice in {list(self.families)}.")
        low, high = _pair(self.multiplier)
        if not (math.isfinite(high) and 0 < low < high):
            raise InvalidSpaceError(
                f"multiplier bounds must be finite with 0 < low < high, got {self.multiplier!r}."
            )
        searched = isinstance(self.warmup, tuple)
        lowest, highest = _pair(self.warmup if searched else (self.warmup, self.warmup))
        if not 0 <= lowest <= highest < 1:
            raise InvalidSpaceError(
                "warmup must be a share of the budget in [0, 1), or (low, high), "
                f"got {self.warmup!r}."
            )
        declared = [(name, p.name) for name in self.families for p in get_family(name).parameters]
        known = {name for _, name in declared} | {f"{family}.{name}" for family, name in declared}
        if stray := set(map(str, self.parameters)) - known:
            raise InvalidSpaceError(
                f"unknown shape parameters {sorted(stray)}; the families of this space have: "
                f"{', '.join(f'{family}.{name}' for family, name in declared) or 'none'}."
            )
        self.dimensions()
        self._check_room()

    def dimensions(self) -> tuple[Dimension, ...]:
        """Everything that is searched, in the order in which it is suggested."""
        found = [Dimension(FAMILY, choices=self.families)]
        for name in self.families:
            for declared in get_family(name).parameters:
                dimension = shape_dimension(name, declared, self.setting(name, declared))
                if dimension is not None:
                    found.append(dimension)
        if isinstance(self.warmup, tuple):
            found.append(Dimension(WARMUP, low=self.warmup[0], high=self.warmup[1]))
        found.append(Dimension(MULTIPLIER, *self.multiplier, log=True))
        return tuple(found)

    def fingerprint(self) -> dict[str, Any]:
        """What must stay the same for the trials of a study to be comparable; JSON-safe."""
        return {
            "version": SPACE_VERSION,
            "budget": self.budget,
            "warmup": list(self.warmup) if isinstance(self.warmup, tuple) else self.warmup,
            "fixed": {
                name: setting
                for name, value in sorted(self.parameters.items())
                if isinstance(setting := as_setting(value), float | str)
            },
            "dimensions": [dimension.to_dict() for dimension in self.dimensions()],
        }

    def plan(self, values: Mapping[str, Any], edge: Edge | float) -> Plan:
        """The point with these values (by dimension name), in absolute units."""
        edge = edge if isinstance(edge, Edge) else Edge.known(edge)
        shape = self.shape(values)
        multiplier = float(values[MULTIPLIER])
        aligned = alignment(shape.family, shape.parameters)
        scaled = {
            name: factor * multiplier
            for name, factor in get_family(shape.family).per_multiplier.items()
            if f"{shape.family}.{name}" not in self.parameters and name not in self.parameters
        }
        return Plan(
            family=shape.family,
            parameters={**shape.parameters, **scaled},
            multiplier=multiplier,
            alignment=aligned,
            edge=edge.learning_rate,
            edge_method=edge.method,
            peak=multiplier * aligned * edge.learning_rate,
            budget=self.budget,
            warmup_steps=shape.warmup_steps,
        )

    def sample(self, trial: SuggestingTrial) -> dict[str, Any]:
        """Ask a trial for a point of this space, by dimension name, where no edge is known yet."""
        return _ask(trial, self.dimensions())

    def suggest(self, trial: SuggestingTrial, edge: Edge | float) -> Schedule:
        """Ask a trial for a point of this space and turn it into a schedule.

        Multiplier, alignment, edge and peak are stored in the trial.

        Args:
            trial: An Optuna trial (or anything with its ``suggest_*`` and ``set_user_attr``).
            edge: The measured edge (`lrsearch.edge`), or an edge learning rate.

        Raises:
            UnsupportedError: If an absolute learning rate was enqueued under a sampler that ignores
                it.
        """
        edge = edge if isinstance(edge, Edge) else Edge.known(edge)
        *shape, multiplier = self.dimensions()
        values = _ask(trial, shape)
        requested = trial.user_attrs.get(RATE_KEY)
        if requested is not None:
            found = self.shape(values)
            aligned = alignment(found.family, found.parameters)
            wanted = float(requested) / (aligned * edge.learning_rate)
            trial.set_user_attr(REQUEST_KEY, wanted)
        values[MULTIPLIER] = multiplier.suggest(trial)
        if requested is not None and not math.isclose(values[MULTIPLIER], wanted, rel_tol=1e-6):
            raise UnsupportedError(
                f"learning rate {requested} was enqueued, but the study's sampler chose another "
                "multiplier: use lrsearch.EdgeSampler, or enqueue the parameter "
                f"{MULTIPLIER!r} = {wanted:.6g} itself."
            )
        plan = self.plan(values, edge)
        trial.set_user_attr(PLAN_KEY, plan.to_dict())
        number = getattr(trial, "number", None)
        study = getattr(getattr(trial, "study", None), "study_name", None)
        return plan.schedule(**({} if study is None else {"study": study, "trial": number}))

    def setting(self, family: str, declared: Parameter) -> Setting | None:
        """What is said of a family's parameter: by family and name, by name, or not at all."""
        general = self.parameters.get(declared.name, HELD.get(declared.name))
        return as_setting(self.parameters.get(f"{family}.{declared.name}", general))

    def _check_room(self) -> None:
        """Refuse a budget that is too short for a shape in the space: now, not in some trial."""
        dimensions = {dimension.name: dimension for dimension in self.dimensions()}
        for name in self.families:
            family = get_family(name)
            corners = []
            for declared in family.parameters:
                setting = self.setting(name, declared)
                fixed = setting if isinstance(setting, float | str) else declared.default
                searched = dimensions.get(f"{name}_{declared.name}")
                corners.append((searched.choices or (searched.high,)) if searched else (fixed,))
            for corner in product(*corners):
                shape = {p.name: v for p, v in zip(family.parameters, corner, strict=True)}
                if (room := family.room(self.budget, shape)) > self.budget:
                    raise InvalidSpaceError(
                        f"schedule family {name!r} with {shape} needs {room} steps, more than the "
                        f"budget of {self.budget}: leave it out, or narrow its parameters."
                    )

    def shape(self, values: Mapping[str, Any]) -> Schedule:
        """The schedule with these values (by dimension name), peak 1."""
        name = str(values[FAMILY])
        shape: dict[str, Any] = {}
        for declared in get_family(name).parameters:
            setting = self.setting(name, declared)
            fixed = setting if isinstance(setting, float | str) else declared.default
            shape[declared.name] = values.get(f"{name}_{declared.name}", fixed)
        warmup = self.warmup if isinstance(self.warmup, float | int) else values[WARMUP]
        warmup = 0.0 if get_family(name).tuned else warmup
        room = get_family(name).room(self.budget, shape)
        return Schedule(
            family=name,
            peak=1.0,
            budget=self.budget,
            parameters=shape,
            warmup_steps=max(0, min(round(warmup * self.budget), self.budget - room)),
        )


def _ask(trial: SuggestingTrial, dimensions: Iterable[Dimension]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for dimension in dimensions:
        if dimension.family in (None, values.get(FAMILY)):
            values[dimension.name] = dimension.suggest(trial)
    return values


def _pair(value: Any) -> tuple[float, float]:
    """Two numbers; NaN, which every check refuses, where it is anything else."""
    pair = tuple(value) if isinstance(value, tuple | list) else ()
    numeric = len(pair) == 2 and all(isinstance(v, float | int) for v in pair)
    return (pair[0], pair[1]) if numeric else (math.nan, math.nan)
