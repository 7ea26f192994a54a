"""What a study knows: its edges, its best schedule, rates to be tried."""

from __future__ import annotations

import copy
import json
import math
from collections import Counter
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lrsearch.exceptions import InvalidSpaceError, StudyMismatchError
from lrsearch.integrations.optuna._attributes import EDGE_PREFIX, plan_of, readings_of, verdict_of
from lrsearch.integrations.optuna._sampler import EdgeSampler
from lrsearch.schedules import Schedule, distilled, get_family
from lrsearch.search import (
    FAMILY,
    MULTIPLIER,
    RATE_KEY,
    WARMUP,
    Dimension,
    FinishedRun,
    Plan,
    ScheduleSpace,
    believed,
)
from lrsearch.stability import Edge


def best_schedule(study: optuna.Study, trial: FrozenTrial | None = None) -> Schedule:
    """The schedule of a study's `recommended` trial, with where it comes from.

    Of a trial whose rate a tuner set it is what the tuner did, smoothed
    (`lrsearch.schedules.distilled`): from then on its cost is not paid again.

    Args:
        study: A study whose trials used `ScheduleSpace.suggest`.
        trial: The trial to take instead: ``study.best_trial`` for the lowest loss seen (studies of
            several objectives have no best).

    Raises:
        StudyMismatchError: If no trial has finished, several objectives leave no single best, or
            the trial has no schedule.
    """
    if trial is None:
        if len(study.directions) > 1:
            raise StudyMismatchError(
                f"study {study.study_name!r} has {len(study.directions)} objectives and no single "
                "best trial: choose one of study.best_trials and pass it as trial=."
            )
        if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            raise StudyMismatchError(_nothing_finished(study))
        trial = recommended(study)
    plan = plan_of(trial.user_attrs)
    if plan is None:
        raise StudyMismatchError(
            f"trial {trial.number} of study {study.study_name!r} has no schedule of lrsearch: was "
            "it suggested by ScheduleSpace.suggest?"
        )
    planned = plan.schedule(
        study=study.study_name,
        trial=trial.number,
        metric=trial.values[0] if len(trial.values or ()) == 1 else trial.values,
        direction=[d.name.lower() for d in study.directions],
        seed=trial.user_attrs.get("lrsearch:seed"),
        versions=_versions(),
    )
    return _recorded(trial, planned) if planned.tuned else planned


def _recorded(trial: FrozenTrial, tuner: Schedule) -> Schedule:
    """What a tuner did in a trial.

    Raises:
        StudyMismatchError: If its readings are too few to tell.
    """
    readings = [r for r in readings_of(trial.user_attrs) if r.learning_rate > 0]
    if len(readings) < 3:
        raise StudyMismatchError(
            f"the rate of trial {trial.number} was set by {tuner.family!r} while training, and it "
            f"has {len(readings)} readings to tell what was done, of three that it takes: train it "
            "under lrsearch.watch(..., host=trial), with a longer budget, or choose another trial."
        )
    steps, rates = [r.step for r in readings], [r.learning_rate for r in readings]
    known = dict(tuner.provenance)
    known["tuner_metric"] = known.pop("metric")  # not what this schedule has reached
    return distilled(steps, rates, tuner.budget).with_provenance(
        **known, tuner=tuner.family, tuner_parameters=dict(tuner.parameters)
    )


def recommended(study: optuna.Study) -> FrozenTrial:
    """The finished trial with the least expected loss, which need not be the lowest seen.

    Of many noisy runs the lowest was also lucky; what its neighbours reached tells how much
    (`lrsearch.search.believed`). It is ``study.best_trial`` where fewer than four trials have
    finished, and in studies that search parameters beside the schedule, or without one.

    Args:
        study: A study of one objective with a finished trial.
    """
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    plans = [plan_of(t.user_attrs) for t in finished]
    known = [plan for plan in plans if plan is not None]
    if len(known) < len(plans) or any(map(searches_more, finished, known)):
        return study.best_trial
    sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
    runs = [
        FinishedRun.of_plan(plan, (sign * trial.values[0],))
        for plan, trial in zip(known, finished, strict=True)
    ]
    at = believed(runs)
    return study.best_trial if at is None else copy.deepcopy(finished[at])


def searches_more(trial: FrozenTrial, plan: Plan) -> bool:
    """Whether a trial has parameters beside its schedule's."""
    ours = {FAMILY, MULTIPLIER, WARMUP} | {f"{plan.family}_{name}" for name in plan.parameters}
    return not ours.issuperset(trial.params)


def enqueue(
    study: optuna.Study, learning_rate: float, family: str | None = None, **parameters: Any
) -> None:
    """Have a known peak learning rate tried next, in absolute units.

    The multiplier follows once the trial's edge is measured, and may lie outside the space's
    bounds. Needs the study's sampler to be an `EdgeSampler`.

    Args:
        study: The study.
        learning_rate: Peak learning rate.
        family: Schedule family; the sampler chooses if not given.
        **parameters: Shape parameters of that family; its defaults if not given.

    Raises:
        InvalidSpaceError: If the rate is not finite and > 0, family or shape lie outside the
            sampler's space, or the family is a tuner whose rate no peak sets.
        InvalidScheduleError: If there is no such family.
    """
    if not (isinstance(learning_rate, float | int) and math.isfinite(learning_rate)):
        raise InvalidSpaceError(f"learning_rate must be a finite number, got {learning_rate!r}.")
    if learning_rate <= 0:
        raise InvalidSpaceError(f"learning_rate must be > 0, got {learning_rate!r}.")
    fixed: dict[str, Any] = {}
    if family is not None:
        known = {p.name for p in get_family(family).parameters}
        if stray := set(parameters) - known:
            raise InvalidSpaceError(f"{family} has no parameters {sorted(stray)}; has {known}.")
        _check_rate_counts(family)
        fixed = {FAMILY: family} | {f"{family}_{n}": v for n, v in parameters.items()}
        if isinstance(study.sampler, EdgeSampler):
            fixed = _within(study.sampler.space, fixed)
    elif parameters:
        raise InvalidSpaceError(f"shape parameters {sorted(parameters)} need a family.")
    elif isinstance(study.sampler, EdgeSampler):
        for name in study.sampler.space.families:
            _check_rate_counts(name)
    study.enqueue_trial(fixed, user_attrs={RATE_KEY: float(learning_rate)})


def _check_rate_counts(family: str) -> None:
    if scaled := get_family(family).per_multiplier:
        raise InvalidSpaceError(
            f"no peak learning rate sets what {family} does, whose {', '.join(scaled)} follows "
            "from the multiplier: name another family, or enqueue the multiplier itself, "
            f"study.enqueue_trial({{{FAMILY!r}: {family!r}, {MULTIPLIER!r}: 1.0}})."
        )


def _within(space: ScheduleSpace, fixed: dict[str, Any]) -> dict[str, Any]:
    """Fixed values with the defaults of what they leave open, if the space has such a point."""
    family = fixed[FAMILY]
    if family not in space.families:
        raise InvalidSpaceError(
            f"this study does not search {family}: its families are {', '.join(space.families)}."
        )
    searched = {d.name: d for d in space.dimensions() if d.family == family}
    declared = {item.name: item for item in get_family(family).parameters}
    for name, value in fixed.items():
        if name in searched:
            room: Any = searched[name].to_dict()
            inside = _inside(searched[name], value)
        else:
            held = declared.get(name.removeprefix(f"{family}_"))
            setting = space.setting(family, held) if held else None
            room = setting if setting is not None or held is None else held.default
            inside = name == FAMILY or value == room
        if not inside:
            raise InvalidSpaceError(f"{name} = {value!r} is outside this study's space: {room}.")
    open_ones = {n: d.default for n, d in searched.items() if d.default is not None}
    return open_ones | fixed


def _inside(dimension: Dimension, value: Any) -> bool:
    if dimension.choices:
        return value in dimension.choices
    return isinstance(value, float | int) and dimension.low <= value <= dimension.high


def edge_key(key: Any, optimizer: str) -> str:
    """Attribute name of the edge measured for ``key`` and a kind of optimizer."""
    return EDGE_PREFIX + json.dumps([optimizer, key], default=repr, sort_keys=True)


def stored_edge(study: optuna.Study, name: str) -> Edge | None:
    """The edge stored in the study under this attribute name."""
    plain = study.user_attrs.get(name)
    return None if plain is None else Edge.from_dict(plain)


def stored_edges(study: optuna.Study) -> list[tuple[str, Any, Edge]]:
    """All edges of a study: kind of optimizer, key as JSON has it (a tuple is a list), edge."""
    names = sorted(name for name in study.user_attrs if name.startswith(EDGE_PREFIX))
    keys = [json.loads(name.removeprefix(EDGE_PREFIX)) for name in names]
    return [
        (optimizer, key, Edge.from_dict(study.user_attrs[name]))
        for name, (optimizer, key) in zip(names, keys, strict=True)
    ]


def store_edge(study: optuna.Study, name: str, edge: Edge) -> Edge:
    """Store an edge, unless another worker was first: one key has one edge.

    Returns:
        The edge that stands in the study.
    """
    other = stored_edge(study, name)
    if other is not None:
        return other
    study.set_user_attr(name, edge.to_dict())
    return stored_edge(study, name) or edge


def _nothing_finished(study: optuna.Study) -> str:
    trials = study.get_trials(deepcopy=False)
    if not trials:
        return f"study {study.study_name!r} has no trials yet: run it first."
    states = Counter(t.state.name.lower() for t in trials)
    reasons = Counter(
        v.regime if (v := verdict_of(t.user_attrs)) else t.user_attrs.get("lrsearch:error", "?")
        for t in trials
        if t.state.is_finished()
    )
    ended = ", ".join(f"{n} {name}" for name, n in states.items())
    why = "; ".join(f"{n} x {reason}" for reason, n in reasons.most_common(3))
    return (
        f"no trial of study {study.study_name!r} has finished ({ended}; {why or 'no reasons'}): "
        "run more trials, or look at `lrsearch show`."
    )


def _versions() -> dict[str, str]:
    import torch

    from lrsearch._version import __version__

    return {"lrsearch": __version__, "optuna": optuna.__version__, "torch": str(torch.__version__)}
