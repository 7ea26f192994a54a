"""When a study has found what there is to find."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial

from lrsearch.exceptions import InvalidSpaceError, UnsupportedError
from lrsearch.integrations.optuna._attributes import logger
from lrsearch.integrations.optuna._sampler import EdgeSampler
from lrsearch.search import Outlook


def study_outlook(study: optuna.Study) -> Outlook | None:
    """What a study may still gain; ``None`` before four of its trials have finished.

    Args:
        study: A study of one objective whose sampler is an `EdgeSampler`.

    Raises:
        UnsupportedError: If it is not.

    Cost: tens of milliseconds; no gradients.
    """
    if not isinstance(study.sampler, EdgeSampler):
        raise UnsupportedError(
            "what is still to be gained is foretold by the sampler's own model: give the study "
            f"lrsearch.EdgeSampler instead of {type(study.sampler).__name__}."
        )
    return study.sampler.outlook(study)


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
