"""The final weights of the best complete trial, kept beside the checkpoints.

A trial's weights are set aside before the study is told of its end, and take the best one's place
after. So whenever a worker dies, either the study does not know of the end yet, and the trial is
ended once more, or the weights still lie aside, and the next start puts them in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from lrsearch.exceptions import CheckpointError
from lrsearch.sweeps._turn import turn
from lrsearch.training import load_checkpoint, save_checkpoint


def best_weights(folder: Path) -> Path:
    """Where the best trial's final weights are, once a trial is complete.

    `lrsearch.training.load_checkpoint` reads it: ``{"trial": n, "metric": ..., "model": ...}``.
    Each machine keeps the best of its own trials.
    """
    return folder / "best.pt"


def keep_best(
    folder: Path, model: Mapping[str, Any], *, trial: int, metric: float, direction: str
) -> bool:
    """Keep a complete trial's weights if no complete trial before it was as good.

    Args:
        folder: Where to keep them; any number of processes may do so at once.
        model: The model's state dict.
        trial: Number of the trial.
        metric: Its metric.
        direction: "minimize" or "maximize".

    Returns:
        Whether they are the best.

    Raises:
        CheckpointError: If they cannot be written.
    """
    set_aside(folder, model, trial=trial, metric=metric, direction=direction)
    return put_in_place(folder, trial, direction, complete=True)


def set_aside(
    folder: Path, model: Mapping[str, Any], *, trial: int, metric: float, direction: str
) -> None:
    """Write a trial's weights beside the best ones, if they are better."""
    if _better(metric, _metric(best_weights(folder)), direction):
        plain = {n: v.detach() if isinstance(v, Tensor) else v for n, v in model.items()}
        save_checkpoint(_aside(folder, trial), {"trial": trial, "metric": metric, "model": plain})


def put_in_place(folder: Path, trial: int, direction: str, *, complete: bool) -> bool:
    """Have weights that were set aside take the best ones' place if they still are better.

    Args:
        folder: Where they are.
        trial: Number of the trial.
        direction: "minimize" or "maximize".
        complete: Whether the trial is complete after all; else they are deleted.

    Returns:
        Whether they are the best.
    """
    aside = _aside(folder, trial)
    if not complete or not aside.exists():
        aside.unlink(missing_ok=True)
        return False
    with turn(folder):
        return _promote(folder, aside, direction)


def settle_weights(folder: Path, study: optuna.Study) -> None:
    """After a start: end what dead workers have left of this, and what another study has.

    Called by one worker at a time.
    """
    trials = {t.number: t for t in study.get_trials(deepcopy=False)}
    best = best_weights(folder)
    if best.exists() and not _is_of(best, trials):
        best.unlink(missing_ok=True)
    for aside in folder.glob("trial-*.weights"):
        number = int(aside.stem.removeprefix("trial-"))
        if number in trials and not trials[number].state.is_finished():
            continue  # whoever ends it writes them again
        if _is_of(aside, trials):
            _promote(folder, aside, study.direction.name.lower())
        else:
            aside.unlink(missing_ok=True)


def _promote(folder: Path, aside: Path, direction: str) -> bool:
    metric, best = _metric(aside), best_weights(folder)
    better = metric is not None and _better(metric, _metric(best), direction)
    if better:
        aside.replace(best)
    aside.unlink(missing_ok=True)
    return better


def _aside(folder: Path, trial: int) -> Path:
    return folder / f"trial-{trial:05d}.weights"


def _metric(path: Path) -> float | None:
    """The metric of kept weights; ``None`` where there are none, or none that can be read."""
    with suppress(CheckpointError, KeyError):
        return float(load_checkpoint(path)["metric"])
    return None


def _better(metric: float, than: float | None, direction: str) -> bool:
    return than is None or (metric < than if direction == "minimize" else metric > than)


def _is_of(path: Path, trials: Mapping[int, FrozenTrial]) -> bool:
    """Whether kept weights are those of a complete trial among these."""
    with suppress(CheckpointError, KeyError):
        kept = load_checkpoint(path)
        trial = trials.get(int(kept["trial"]))
        return (
            trial is not None
            and trial.state == TrialState.COMPLETE
            and trial.values == [kept["metric"]]
        )
    return False
