"""`EdgeSampler`: the engine as an Optuna sampler, beside the host's for other parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from lrsearch.exceptions import SpaceMismatchError
from lrsearch.integrations.optuna._attributes import ERROR_KEY, SPACE_KEY, records_of
from lrsearch.integrations.optuna._earlier import RawStudy, runs_of
from lrsearch.integrations.optuna._past import Past
from lrsearch.search import (
    MULTIPLIER,
    RATE_KEY,
    REQUEST_KEY,
    Dimension,
    Engine,
    Outlook,
    ScheduleSpace,
    Standing,
    TrialRecord,
    earlier,
)


class EdgeSampler(BaseSampler):
    """Samples schedule family, shape and edge multiplier; other parameters go to another sampler.

    Its only state is the storage: with a seed, a trial's values are a pure function of its number
    and the trials before it. The study remembers the space; another one is refused at the first
    trial.

    Args:
        space: The schedule space.
        sampler: Sampler for all other parameters; Optuna's `TPESampler` by default.
        prior_studies: Earlier studies on other models, the latest last: their finished trials, in
            units of their own edges, tell where to begin. A study of absolute learning rates comes
            as `RawStudy`. They are read once, here.
        seed: Seed of this sampler (and of the default one beside it).

    Raises:
        SpaceMismatchError: When a study that was begun with another space is continued.
        StudyMismatchError: If an earlier study has no finished trial that tells anything.
    """

    def __init__(
        self,
        space: ScheduleSpace,
        *,
        sampler: BaseSampler | None = None,
        prior_studies: Sequence[Study | RawStudy] = (),
        seed: int | None = None,
    ) -> None:
        self.space = space
        self.sampler = sampler if sampler is not None else TPESampler(seed=seed)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self._engine = Engine(space, seed, earlier([runs_of(prior) for prior in prior_studies]))
        self._dimensions = {d.name: d for d in space.dimensions()}
        self._past: WeakKeyDictionary[Any, dict[int, Past]] = WeakKeyDictionary()

    def reseed_rng(self) -> None:
        """Reseed the other sampler; ours draws by trial number and needs no reseeding."""
        self.sampler.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Refuse a study of another space, then tell the other sampler."""
        self._check_space(study, trial)
        self.sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Tell the other sampler."""
        self.sampler.after_trial(study, trial, state, values)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Ours, known from the first trial on, and the other sampler's without ours."""
        theirs = self.sampler.infer_relative_search_space(study, trial)
        ours = {name: _distribution(d) for name, d in self._dimensions.items()}
        return {name: d for name, d in theirs.items() if name not in ours} | ours

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values for the parameters of ``search_space``, each from the sampler it belongs to."""
        theirs = {n: d for n, d in search_space.items() if n not in self._dimensions}
        values = self.sampler.sample_relative(study, trial, theirs)
        if len(theirs) == len(search_space):
            return values
        ours = self._engine.ask(trial.number, self._records(study, trial.number))
        if RATE_KEY in trial.user_attrs:  # an absolute rate was enqueued: known once aligned
            ours.pop(MULTIPLIER)
        return values | {n: v for n, v in ours.items() if n in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """An enqueued rate's multiplier, a shape's default, or the other sampler's value."""
        if param_name == MULTIPLIER and REQUEST_KEY in trial.user_attrs:
            return float(trial.user_attrs[REQUEST_KEY])
        dimension = self._dimensions.get(param_name)
        if dimension is not None and dimension.default is not None:
            return dimension.default
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def outlook(self, study: Study) -> Outlook | None:
        """What a study of ours may still gain; see `study_outlook`."""
        return self._engine.outlook(self._records(study, number=-1))

    def standings(self, study: Study) -> list[Standing]:
        """How far every family is behind in a study of ours; see `study_standings`."""
        return self._engine.standings(self._records(study, number=-1))

    def _records(self, study: Study, number: int) -> list[TrialRecord]:
        """All other trials, for the engine; of those that have ended it is known since they did."""
        known = self._past.setdefault(study._storage, {})
        trials = study.get_trials(deepcopy=False)

        def made(some: Sequence[FrozenTrial]) -> list[TrialRecord]:
            return records_of(some, study.directions, self._dimensions)

        past = known.get(study._study_id, Past())
        if not past.fits(trials):  # one of Hyperband's brackets
            return sorted(made([t for t in trials if t.number != number]), key=_number)
        known[study._study_id] = past = past.grown(trials, made)
        return past.all(trials, made, number)

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be read from the storage."""
        return {name: value for name, value in self.__dict__.items() if name != "_past"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As it was, with everything to be read again."""
        self.__dict__ = state | {"_past": WeakKeyDictionary()}

    def _check_space(self, study: Study, trial: FrozenTrial) -> None:
        # Under Hyperband a sampler sees a study without public attributes, but with its storage.
        storage, study_id = study._storage, study._study_id
        stored = storage.get_study_user_attrs(study_id).get(SPACE_KEY)
        try:
            refuse_other_space(study.study_name, stored, self.space)
        except SpaceMismatchError as error:
            # Optuna has begun the trial already: end it, or it would stay RUNNING for ever.
            storage.set_trial_user_attr(trial._trial_id, ERROR_KEY, str(error))
            storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
            raise
        if stored is None:
            storage.set_study_user_attr(study_id, SPACE_KEY, self.space.fingerprint())


def refuse_other_space(
    study_name: str, stored: Mapping[str, Any] | None, space: ScheduleSpace
) -> None:
    """Refuse to continue a study with another space than the stored fingerprint's.

    Raises:
        SpaceMismatchError: If it is another one; the message names every difference.
    """
    mine = json.loads(json.dumps(space.fingerprint()))
    if stored is not None and stored != mine:
        raise SpaceMismatchError(
            f"study {study_name!r} was begun with another search space: "
            f"{_difference(stored, mine)}. Use that space to continue it, or give the new one a "
            "study of its own (another study name)."
        )


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.choices:
        return CategoricalDistribution(list(dimension.choices))
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _difference(stored: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    def flat(space: Mapping[str, Any]) -> dict[str, Any]:
        plain = {k: v for k, v in space.items() if k != "dimensions"}
        for dimension in space.get("dimensions", ()):
            plain[dimension["name"]] = {k: v for k, v in dimension.items() if k != "name"}
        return plain

    a, b = flat(stored), flat(mine)
    names = sorted(n for n in a.keys() | b.keys() if a.get(n) != b.get(n))
    return "; ".join(f"{n} was {a.get(n)} and is now {b.get(n)}" for n in names)


_number = attrgetter("number")
