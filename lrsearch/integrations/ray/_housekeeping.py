"""Checkpoints of ended trials, deleted; the best trial's weights, kept."""

from __future__ import annotations

import logging
from typing import Any

from ray.tune import Callback, Checkpoint
from ray.tune.experiment import Trial

from lrsearch.integrations.optuna._attributes import COST_KEY
from lrsearch.integrations.ray._record import CONFIG_KEY, pairs_of

logger = logging.getLogger("lrsearch")


class Housekeeping(Callback):  # type: ignore[misc]  # Ray's base is untyped
    """Keeps a checkpoint of every running trial and of the best whole one, and no other.

    Args:
        metric: Name of the metric.
        mode: "min" or "max".
    """

    def __init__(self, metric: str, mode: str) -> None:
        self.metric, self.sign = metric, 1.0 if mode == "min" else -1.0
        self.best: tuple[float, str] | None = None
        self._kept: Trial | None = None

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Delete the trial's checkpoint, or that of the one that it is better than."""
        value = (trial.last_result or {}).get(self.metric)
        whole = COST_KEY in dict(pairs_of(trial.last_result))
        earlier = (trial.config.get(CONFIG_KEY) or {}).get("best")  # of the study, when it began
        best = [self.best[0]] if self.best is not None else []
        best += [self.sign * earlier] if earlier is not None else []
        if value is None or not whole or any(self.sign * value > known for known in best):
            _delete(trial)
            return
        before = self._kept or next(
            (t for t in trials if self.best is not None and t.trial_id == self.best[1]), None
        )
        if before is not None and before.trial_id != trial.trial_id:
            _delete(before)
        self.best, self._kept = (self.sign * value, trial.trial_id), trial

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Delete the checkpoint of a trial that is given up."""
        _delete(trial)

    def get_state(self) -> dict[str, Any]:
        """For Tune's snapshots."""
        return {"best": self.best}

    def set_state(self, state: dict[str, Any]) -> None:
        """From a snapshot."""
        self.best = state["best"]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": None}


def delete_trial_folder(address: str) -> None:
    """Delete the folder of a trial of an earlier experiment, given its checkpoint's address."""
    checkpoint = Checkpoint(address)
    _delete_folder(checkpoint.filesystem, checkpoint.path.rpartition("/")[0])


def _delete(trial: Trial) -> None:
    if (checkpoint := trial.checkpoint) is not None:
        _delete_folder(checkpoint.filesystem, checkpoint.path)


def _delete_folder(filesystem: Any, path: str) -> None:
    try:
        filesystem.delete_dir(path)
    except OSError as error:  # gone already, or a storage that does not answer
        logger.debug("%s is not deleted: %s", path, error)
