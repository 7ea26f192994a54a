"""A sweep's listener, told of what happens in Ray Tune; and where each trial's checkpoint is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState
from ray.tune import Callback

from lrsearch.integrations.optuna import ERROR_KEY, plan_of, verdict_of
from lrsearch.integrations.ray import (
    CHECKPOINT_KEY,
    CONFIG_KEY,
    START_KEY,
    WEIGHTS,
    address_of,
    delete_trial_folder,
    pairs_of,
    step_of,
)
from lrsearch.search import Plan
from lrsearch.sweeps._events import Listener, TrialEnd
from lrsearch.sweeps._leaderboard import row_of
from lrsearch.sweeps._weights import keep_best
from lrsearch.training import load_checkpoint


class Progress(Callback):  # type: ignore[misc]  # Ray's base is untyped
    """Passes on begins, steps and ends of trials, and ends the experiment when it is interrupted.

    Args:
        study: The study that the searcher remembers in.
        listener: Told what happens.
        interrupted: Asked between Tune's steps.
        root: Where Tune keeps its files, as it was given to Tune.
        folder: Where the best trial's weights are kept.
    """

    def __init__(
        self,
        study: optuna.Study,
        listener: Listener,
        interrupted: Callable[[], bool],
        root: str,
        folder: Path,
    ) -> None:
        self.study, self.listener, self.interrupted = study, listener, interrupted
        self.root, self.folder = root, folder
        self._asked = False
        self._dropped: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its callbacks down; a terminal cannot be

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Where the sweep is interrupted, have Tune end as its own handler of Ctrl-C does."""
        if self.interrupted() and not self._asked:
            self._asked = True
            os.kill(os.getpid(), signal.SIGUSR1)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial has come further; the first result of an attempt is its beginning."""
        own = trial.config[CONFIG_KEY]
        start = dict(pairs_of(result)).get(START_KEY)
        if start is not None:
            self.listener.begin(own["number"], Plan.from_dict(own["plan"]), int(start["step"]))
        self.listener.step(own["number"], step_of(result) or 0)

    def on_checkpoint(
        self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any
    ) -> None:
        """Remember in the study where the checkpoint is, for a sweep that goes on later."""
        storage, number = self.study._storage, trial.config[CONFIG_KEY]["id"]
        with suppress(UpdateFinishedTrialError):  # the weights of a whole run
            storage.set_trial_user_attr(number, CHECKPOINT_KEY, address_of(checkpoint, self.root))
        self._drop_earlier(trial)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its process died, and Tune starts it again."""
        number = trial.config[CONFIG_KEY]["number"]
        self.listener.note(f"the process of trial {number} died: Tune starts it again")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has ended."""
        self._end(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial is given up."""
        self._end(trial)

    def _drop_earlier(self, trial: Any) -> None:
        """Delete the checkpoint that the trial went on from, once it has a better one or an end."""
        if (earlier := trial.config[CONFIG_KEY].get("checkpoint")) and earlier not in self._dropped:
            self._dropped.add(earlier)
            delete_trial_folder(earlier)

    def _keep_weights(self, trial: Any, direction: str) -> None:
        """Bring the weights of a whole run here, where it sent them: it may be the best."""
        if trial.checkpoint is None:
            return
        with trial.checkpoint.as_directory() as folder:
            path = Path(folder) / WEIGHTS
            kept = load_checkpoint(path) if path.exists() else None
        if kept is not None:
            found = {name: kept[name] for name in ("trial", "metric")}
            keep_best(self.folder, kept["model"], direction=direction, **found)

    def _end(self, trial: Any) -> None:
        self._drop_earlier(trial)
        frozen = self.study._storage.get_trial(trial.config[CONFIG_KEY]["id"])
        if frozen.state == TrialState.COMPLETE:
            self._keep_weights(trial, self.study.direction.name.lower())
        verdict = verdict_of(frozen.user_attrs)
        reason = frozen.user_attrs.get(ERROR_KEY) or (verdict.reason if verdict else "finished")
        row = row_of(frozen)
        self.listener.end(
            TrialEnd(
                number=frozen.number,
                state=frozen.state.name.lower(),
                metric=row["metric"],
                reason=reason,
                plan=plan_of(frozen.user_attrs),
                cost=row["cost"],
            )
        )
