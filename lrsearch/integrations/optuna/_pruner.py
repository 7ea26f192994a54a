"""`StabilityPruner`: the one `decide` as an Optuna pruner."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.pruners import BasePruner, HyperbandPruner
from optuna.study import Study
from optuna.trial import FrozenTrial

from lrsearch.exceptions import UnsupportedError
from lrsearch.integrations.optuna._attributes import (
    logger,
    peers_of,
    plan_of,
    readings_of,
)
from lrsearch.search import Plan, decide
from lrsearch.stability import Reading, Verdict


class StabilityPruner(BasePruner):
    """Stops runs that diverged, are dead, train far below the edge of stability, or are behind.

    It judges a run by its own readings (from `lrsearch.watch`), so it needs no other trial and no
    reported value. Where the watch has a ``validation_loss``, a run is also compared with the best
    one, once three have finished: as both would be if they were annealed at that step, never as
    they are.
    The watch asks at every probe; nothing has to be called in the loop. Where a
    run has no readings it is the wrapped pruner, or lets every run go on; it says so once. A run
    whose last reported value is not finite is stopped in any case.

    Args:
        wrapped: Another pruner that may stop a run as well, for the user's own
            ``trial.report`` and ``trial.should_prune``.

    Raises:
        UnsupportedError: If ``wrapped`` is, or wraps, a `HyperbandPruner`: Optuna recognises its
            brackets only by the type of the study's own pruner, so they would be lost silently.
    """

    def __init__(self, wrapped: BasePruner | None = None) -> None:
        inner: object = wrapped
        while inner is not None:
            if isinstance(inner, HyperbandPruner):
                raise UnsupportedError(
                    "a wrapped HyperbandPruner loses its brackets (Optuna looks at the type of the "
                    "study's pruner): give HyperbandPruner to the study itself, where lrsearch's "
                    "sampler and watch work beneath it, or wrap SuccessiveHalvingPruner."
                )
            inner = getattr(inner, "_wrapped_pruner", getattr(inner, "wrapped", None))
        self.wrapped = wrapped
        self._said = False

    def judge(
        self,
        readings: Sequence[Reading],
        plan: Plan | None = None,
        study: Study | None = None,
    ) -> Verdict:
        """What our own rules say of a run, with the reason.

        Args:
            readings: Of the run.
            plan: What it set out to do.
            study: Where its peers are; without one it is judged alone.
        """
        looked = bool(readings) and readings[-1].annealed_validation is not None
        return decide(readings, peers_of(study) if study and looked else (), plan)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop: by its readings, a value that is not finite, or the wrapped pruner."""
        readings = readings_of(trial.user_attrs)
        if not readings and not self._said:
            self._said = True
            logger.warning(
                "trial %d has no readings: until lrsearch.watch gives it some, %s.",
                trial.number,
                f"{type(self.wrapped).__name__} decides alone" if self.wrapped else "it runs on",
            )
        if readings and self.judge(readings, plan_of(trial.user_attrs), study).stop:
            return True
        if not reported_finite(trial):
            return True
        return self.wrapped is not None and self.wrapped.prune(study, trial)


def reported_finite(trial: FrozenTrial) -> bool:
    """Whether the value that the user reported last, if any, is a finite number."""
    step = trial.last_step
    return step is None or math.isfinite(trial.intermediate_values[step])
