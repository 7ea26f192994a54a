"""Trials that end with their experiment, told to our searcher."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.utils import flatten_dict

from lrsearch.integrations.ray._record import step_of
from lrsearch.stability import Verdict


class Ending(Callback):  # type: ignore[misc]  # Ray's base is untyped
    """Tells a searcher of trials that Tune stops all at once, which it hears nothing of by itself.

    A `Stopper` with ``stop_all``, ``time_budget_s`` and ``fail_fast`` end an experiment that way.
    Its trials cannot go on after a restore; in the study they would seem to run for ever.

    Args:
        searcher: An `EdgeSearcher`, or what Tune has wrapped around it.
    """

    def __init__(self, searcher: Any) -> None:
        self.searcher = searcher
        self._running: dict[str, Trial] = {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial begins, or goes on."""
        self._running[trial.trial_id] = trial

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """It has ended by itself, or alone: Tune has told the searcher."""
        self._running.pop(trial.trial_id, None)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """It has failed: Tune has told the searcher."""
        self._running.pop(trial.trial_id, None)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Before Tune's last snapshot: which trials have ended without a word?"""
        ended = [t for t in self._running.values() if t.status == Trial.TERMINATED]
        for trial in ended:
            del self._running[trial.trial_id]
            end_with_experiment(self.searcher, trial)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_running": {}}


def inner_with(searcher: Any, method: str) -> Any:
    """The searcher that has this method, inside whatever Tune has wrapped around it; or none."""
    while searcher is not None and not hasattr(searcher, method):
        searcher = getattr(searcher, "searcher", None)
    return searcher


def end_with_experiment(searcher: Any, trial: Trial) -> None:
    """Record a trial as pruned where it stands."""
    searcher = inner_with(searcher, "stopping")
    if searcher is None:  # another searcher: its own affair
        return
    result = flatten_dict(trial.last_result) if trial.last_result else None
    readings = searcher.readings(trial.trial_id)
    step = step_of(result) or (readings[-1].step if readings else 0)
    reason = f"stopped with the whole experiment at step {step} (time_budget_s, fail_fast, Stopper)"
    verdict = Verdict(stop=True, regime="host", step=step, reason=reason)
    searcher.stopping(trial.trial_id, verdict)
    searcher.on_trial_complete(trial.trial_id, result)
