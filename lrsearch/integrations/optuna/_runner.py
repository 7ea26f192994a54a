"""Who runs a trial: so that trials of a process that is gone do not stay RUNNING for ever."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from lrsearch.integrations.optuna._attributes import ERROR_KEY, logger

RUNNER_KEY = "lrsearch:runner"


def runner() -> dict[str, Any]:
    """This process: its machine (and container), number and start."""
    pid = os.getpid()
    return {"machine": _machine(), "pid": pid, "started": _started(pid)}


def fail_abandoned(study: optuna.Study) -> list[int]:
    """Tell FAIL of running trials whose process is gone from this machine.

    Trials of other machines, and those that `optuna.Study.optimize` has begun, are left alone: for
    them there is the heartbeat of Optuna's storages.

    Returns:
        Their numbers.
    """
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        who = trial.user_attrs.get(RUNNER_KEY)
        if who is None or who["machine"] != _machine() or _started(who["pid"]) == who["started"]:
            continue
        try:
            reason = f"its process ({who['pid']}) ended in the middle of it"
            study._storage.set_trial_user_attr(trial._trial_id, ERROR_KEY, reason)
            study.tell(trial.number, state=TrialState.FAIL)
        except (UpdateFinishedTrialError, ValueError):  # told by somebody else meanwhile
            continue
        logger.warning("trial %d failed: %s.", trial.number, reason)
        found.append(trial.number)
    return found


def _machine() -> str:
    """Name of the machine and of the space in which process numbers count."""
    space = Path("/proc/self/ns/pid")
    return f"{platform.node()}/{space.stat().st_ino if space.exists() else 0}"


def _started(pid: int) -> str | None:
    """When a process was started, in the clock of its machine; ``None`` if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
