"""When a study has found what there is to find."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, TrialState

from lrsearch.exceptions import InvalidSpaceError, UnsupportedError
from lrsearch.integrations.optuna._attributes import SPACE_KEY, logger, plan_of
from lrsearch.integrations.optuna._sampler import EdgeSampler
from lrsearch.integrations.optuna._study import searches_more
from lrsearch.search import Outlook, Standing, space_of


def study_outlook(study: optuna.Study) -> Outlook | None:
    """What a study may still gain; ``None`` before four of its trials have finished.

    Args:
        study: A study of one objective whose sampler is an `EdgeSampler`, or that was begun under
            one. A study that was loaded without its sampler is judged without ``prior_studies``.

    Raises:
        UnsupportedError: If it is not.

    Cost: tens of milliseconds; no gradients.
    """
    return _sampler_of(study).outlook(study)


def study_standings(study: optuna.Study) -> list[Standing]:
    """How far every family with a finished trial is behind the `recommended` one, best first.

    Nothing before four trials have finished, and where parameters beside the schedule are searched:
    a run without a better rate may have had a better width.

    Args:
        study: As of `study_outlook`.

    Raises:
        UnsupportedError: If it is not.

    Cost: tens of milliseconds; no gradients.
    """
    sampler = _sampler_of(study)
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for trial in finished:
        plan = plan_of(trial.user_attrs)
        if plan is None or searches_more(trial, plan):
            return []
    return sampler.standings(study)


def _sampler_of(study: optuna.Study) -> EdgeSampler:
    if isinstance(study.sampler, EdgeSampler):
        return study.sampler
    stored = study.user_attrs.get(SPACE_KEY)
    space = None if stored is None else space_of(stored)
    if space is None:
        raise UnsupportedError(
            "what is still to be gained is foretold by the sampler's own model: give the study "
            f"lrsearch.EdgeSampler instead of {type(study.sampler).__name__}."
        )
    return EdgeSampler(space, seed=0)


class SettledCallback:
    """Ends ``study.optimize`` once little is left to be gained.

    The study stops when the best schedule of its space is expected to be better than the
    recommended one by no more than ``tolerance``. Parameters of the user's own count as noise.

    Args:
        tolerance: Share of the best loss, such as 0.01.

    Raises:
        InvalidSpaceError: If it does not lie in (0, 1).
    """

    def __init__(self, tolerance: float = 0.01) -> None:
        check_tolerance(tolerance)
        self.tolerance = tolerance

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        found = study_outlook(study)
        if found is not None and found.remaining <= self.tolerance:
            logger.info("%s", found.sentence())
            study.stop()


def check_tolerance(tolerance: float | None) -> None:
    """Refuse a share of the loss that is none; ``None`` is no tolerance at all.

    Raises:
        InvalidSpaceError: If it does not lie in (0, 1).
    """
    if tolerance is not None and not 0 < tolerance < 1:
        raise InvalidSpaceError(
            f"the gain at which a sweep ends is a share of the loss in (0, 1), such as 0.01, got "
            f"{tolerance!r}."
        )
