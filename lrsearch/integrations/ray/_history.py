"""What a trial has reported before the driver was started again, read back from its storage."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.utils import flatten_dict

logger = logging.getLogger("lrsearch")
RESULTS = "result.json"  # Tune's JSON logger: one result a line


def results_of(trial: Trial) -> list[dict[str, Any]]:
    """All results of a restored trial, flattened, oldest first; none for a new one.

    Where Tune's JSON logger was switched off only the last one is known.
    """
    last = trial.last_result or {}
    if "training_iteration" not in last:
        return []
    found = [flatten_dict(line) for line in _lines(trial)]
    if not found or found[-1].get("training_iteration") != last["training_iteration"]:
        # The file may be ahead of Tune's own state, or behind it: the state is what goes on.
        known = last["training_iteration"]
        found = [r for r in found if r.get("training_iteration", 0) < known]
        found.append(flatten_dict(last))
    return found


def forget_lost_checkpoint(trial: Trial) -> None:
    """Let a restored trial start over whose checkpoint is gone; Tune would give it up instead.

    A checkpoint is deleted for a better one, or at the trial's end. Where the driver dies before
    its next snapshot, the snapshot still names it.
    """
    checkpoint = trial.checkpoint
    if checkpoint is None or trial.is_finished():
        return
    (found,) = checkpoint.filesystem.get_file_info([checkpoint.path])
    if found.type.name == "NotFound":  # pyarrow's FileType
        logger.warning("trial %s starts over: its checkpoint is gone", trial.trial_id)
        manager = trial.run_metadata.checkpoint_manager
        trial.run_metadata.checkpoint_manager = type(manager)(manager.checkpoint_config)


def decided_before(tune_controller: Any, trial: Trial) -> str | None:
    """What the last driver had decided on a restored trial while its checkpoint was being written.

    Tune keeps such a decision in its snapshot and carries it out after the first checkpoint of the
    restored trial, wherever that has come to by then. It is taken out there.
    """
    controller = getattr(tune_controller, "_tune_controller", tune_controller)
    decisions: dict[str, str] = getattr(controller, "_cached_trial_decisions", {})
    return decisions.pop(trial.trial_id, None)


def _lines(trial: Trial) -> list[dict[str, Any]]:
    found = []
    for line in _text(trial).splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:  # the driver died while it wrote this line
            logger.warning("trial %s: a line of its %s is damaged", trial.trial_id, RESULTS)
    return found


def _text(trial: Trial) -> str:
    storage = trial.storage
    if storage is None:
        return ""
    here = Path(storage.trial_driver_staging_path) / RESULTS
    if here.exists():
        return here.read_text(encoding="utf-8")
    try:
        with storage.storage_filesystem.open_input_stream(
            f"{storage.trial_fs_path}/{RESULTS}"
        ) as file:
            return bytes(file.read()).decode("utf-8")
    except OSError:  # the logger is off, or the driver died before its first synchronisation
        return ""
